"""The repository: imports, Makefile, and the launcher of stages."""

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from stages.shared.project import project_root
from tests.tools.pipeline_tools import git, run
from tests.tools.processes import fake_program


def test_what_is_compiled_keys_its_cache(repository: Path) -> None:
    """Compiled functions are in folders whose sources the cache key covers."""
    using = re.compile(r"@compiled|\bcompiled\w*\(|njit")
    for path in (repository / "src").rglob("*.py"):
        covered = path.parent.name in ("kernels", "compiling")
        assert covered or not using.search(path.read_text(encoding="utf-8")), path


def test_the_package_and_the_command_line_import_nothing_heavy(
    repository: Path,
) -> None:
    """Such imports take longer than many commands."""
    code = (
        "import sys, spikejoule.cli\n"
        "spikejoule.cli.build_parser().format_help()\n"
        "heavy = {'torch', 'numpy', 'numba', 'mlflow', 'matplotlib', 'sklearn'}\n"
        "sys.exit(', '.join(heavy.intersection(sys.modules)) or 0)\n"
    )
    environment = {"PYTHONPATH": str(repository / "src")}
    run([sys.executable, "-c", code], repository, environment)


@pytest.fixture
def made(repository: Path, tmp_path: Path) -> Path:
    """A folder, with a space in its name, with the Makefile and its dependencies."""
    folder = tmp_path / "a project"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, folder)
    (folder / ".git").mkdir()
    return folder


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
class TestMakefile:
    def make_test(self, folder: Path, *variables: str, status: int = 0) -> str:
        path = f"{folder / 'programs'}:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": str(folder)}
        return run(["make", "test", *variables], folder, environment, status)

    def pythons(self, folder: Path, suitable: str) -> Path:
        """Programs with the names of Python, one of which has a suitable version."""
        programs = folder / "programs"
        for version in ("3", "3.11", "3.12", "3.13", ""):
            fake_program(programs / f"python{version}", "exit 1")
        fake_program(programs / "environment-python", 'echo "pip: $*" >> log')
        fake_program(
            programs / suitable,
            '[ "$1" = -c ] && exit 0\n'
            'echo "venv: $*" >> log\n'
            f'mkdir -p .venv/bin && cp "{programs}/environment-python" '
            ".venv/bin/python",
        )
        return programs

    def test_builds_the_environment_once_and_again_when_dependencies_change(
        self, made: Path
    ) -> None:
        self.pythons(made, "python")

        def installations() -> int:
            """The number of installations by pip during `make test`."""
            self.make_test(made)
            log = made / "log"
            lines = log.read_text(encoding="utf-8").splitlines()
            log.unlink()
            return sum(" install " in line for line in lines)

        assert installations() > 0
        assert installations() == 0
        later = time.time() + 10
        for name in ("pyproject.toml", "constraints.txt"):
            os.utime(made / name, (later, later))
            assert installations() > 0
            os.utime(made / name, (0, 0))

    def test_no_suitable_python_and_a_failed_installation(self, made: Path) -> None:
        said = self.make_test(made, "PYTHON=/bin/false", status=2)
        assert re.search("error: Python 3.11, 3.12 or 3.13.*/bin/false", said)
        assert not (made / ".venv").exists()
        programs = self.pythons(made, "python3")
        fake_program(programs / "environment-python", '[ "$1" = -c ]')
        self.make_test(made, status=2)
        assert not (made / ".venv" / ".installed").exists(), "so make tries again"

    @pytest.mark.parametrize("columns", [0, 1, 30, 60, 100, 200])
    def test_help_ends_and_fits_any_width(self, columns: int, made: Path) -> None:
        environment = {"PATH": "/usr/bin:/bin", "COLUMNS": str(columns)}
        lines = run(["make", "-s", "help"], made, environment).splitlines()
        assert sum(line.startswith("  make ") for line in lines) > 15
        if columns >= 60:
            assert max(map(len, lines)) <= min(columns, 100)

    def test_lint_checks_files_that_git_does_not_track_yet(self, made: Path) -> None:
        """Also one whose name git would quote; not ignored ones."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(made)}
        git(made, environment, "init", "--quiet")
        (made / ".gitignore").write_text("ignored.py\n", encoding="utf-8")
        for name in ("tracked.py", "new.py", "new é.py", "ignored.py"):
            (made / name).touch()
        git(made, environment, "add", "tracked.py")
        log = made / "log"
        fake_program(made / ".venv/bin/pre-commit", 'printf "%s\\n" "$@" > log')
        without_installing = ("-o", ".venv/.installed-dev")
        run(["make", *without_installing, "lint"], made, environment)
        checked = set(log.read_text(encoding="utf-8").splitlines())
        assert {"tracked.py", "new.py", "new é.py"} <= checked
        assert "ignored.py" not in checked


class TestLauncher:
    ECHO = 'echo "$0|$PYTHONPATH|$MLFLOW_DISABLE_TELEMETRY|$*"'

    @pytest.fixture
    def workspace(self, repository: Path, tmp_path: Path) -> Path:
        workspace = tmp_path / "workspace"
        (workspace / "stages" / "shared").mkdir(parents=True)
        launcher = Path("stages") / "shared" / "run"
        shutil.copy(repository / launcher, workspace / launcher)
        (workspace / "stages" / "train.py").touch()
        fake_program(tmp_path / "programs" / "python3", self.ECHO)
        fake_program(tmp_path / "programs" / "spikejoule", "")
        return workspace

    def launch(self, workspace: Path, **environment: str) -> list[str]:
        path = f"{workspace.parent / 'programs'}:/usr/bin:/bin"
        command = ["stages/shared/run", "train"]
        return run(command, workspace, {"PATH": path, **environment}).strip().split("|")

    def test_which_environment_is_used(self, workspace: Path) -> None:
        """The activated one if it has spikejoule; else the project's own."""
        root = workspace.parent / "root"
        python = fake_program(root / ".venv" / "bin" / "python", self.ECHO)
        assert self.launch(workspace, DVC_ROOT=str(root))[0] == str(python)
        active = workspace.parent / "active"
        own = fake_program(workspace / ".venv" / "bin" / "python", self.ECHO)
        activated = fake_program(active / "bin" / "python", self.ECHO)
        assert self.launch(workspace, VIRTUAL_ENV=str(active))[0] == str(own)
        fake_program(active / "bin" / "spikejoule", "")
        assert self.launch(workspace, VIRTUAL_ENV=str(active))[0] == str(activated)

    def test_own_code_and_telemetry(self, workspace: Path) -> None:
        own = f"{workspace}/src:{workspace}"
        assert self.launch(workspace, PYTHONPATH="/other")[1] == f"{own}:/other"
        assert self.launch(workspace)[1:] == [own, "true", "-m stages.shared train"]

    def test_what_cannot_be_run(self, workspace: Path) -> None:
        for stage, status, words in (
            ("nothing", 2, "usage: stages/shared/run NAME"),
            ("train", 1, "no environment with spikejoule was found"),
        ):
            command = ["stages/shared/run", stage]
            said = run(command, workspace, {"PATH": "/usr/bin:/bin"}, status)
            assert said.startswith(f"error: {words}")


def test_project_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace of an experiment; DVC_ROOT may be that of another project."""
    inner = tmp_path / "one/.dvc/tmp/exps/tmp1"
    for folder in (inner, tmp_path / "two"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "one"))
    for here, root in (
        (inner, "one"),
        (tmp_path / "one", "one"),
        (tmp_path / "two", "two"),
    ):
        monkeypatch.chdir(here)
        assert project_root() == (tmp_path / root).resolve()
