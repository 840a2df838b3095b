"""The house: Makefile, dependencies, the stages' launcher, hooks and ignore files."""

import configparser
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from spikejoule.core.errors import ParameterError
from spikejoule.params import Params, load_params, parse_params
from stages.shared import common
from stages.shared.project import project_root
from tests.tools.pipeline_tools import write_paths
from tests.tools.without_torch import needs_torch

BY_MACHINE = {"torch"}
CHECKS = [
    *("make .venv/.installed-search", "make lint", "make test"),
    *("make .venv/.installed-interop", "make test-rest", "make docs"),
]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def requirements(project: dict[str, Any]) -> list[Requirement]:
    extras = project["project"]["optional-dependencies"].values()
    lines = [*project["project"]["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines]


@pytest.fixture(scope="module")
def pins(repository: Path) -> dict[str, str]:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs)
    return {normalized(name): version for name, version in pairs}


def fake_program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def run(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=None if environment is None else dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


class TestDependencies:
    def test_every_dependency_has_a_tested_version_in_its_range(
        self, requirements: list[Requirement], pins: dict[str, str]
    ) -> None:
        for requirement in requirements:
            if requirement.name not in BY_MACHINE:
                assert requirement.specifier.contains(pins[normalized(requirement.name)]), (
                    requirement
                )

    def test_ranges_and_no_exact_pins(self, requirements: list[Requirement]) -> None:
        for requirement in requirements:
            operators = {specifier.operator for specifier in requirement.specifier}
            assert ">=" in operators, requirement
            assert not operators & {"==", "===", "~="}, requirement

    def test_nothing_belongs_to_one_machine(self, pins: dict[str, str], repository: Path) -> None:
        of_a_machine = r"torch|nvidia(?!-ml-py)|cuda|triton|spikejoule"
        assert not [name for name in pins if re.match(of_a_machine, name)]
        text = (repository / "constraints.txt").read_text(encoding="utf-8")
        assert not re.search(r"[@+]|://|file:", text)
        assert "+cpu" not in (repository / "pyproject.toml").read_text(encoding="utf-8")


class TestImports:
    def test_direction(self, repository: Path) -> None:
        linter = Path(sys.executable).with_name("lint-imports")
        if not linter.is_file():
            pytest.skip("needs import-linter beside the interpreter")
        environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
        done = run([str(linter), "--no-cache"], repository, environment)
        assert done.returncode == 0, done.stdout

    def test_the_package_itself_is_light(self, repository: Path) -> None:
        code = (
            "import sys; before = set(sys.modules); import spikejoule; "
            "print(*sorted(set(sys.modules) - before))"
        )
        environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
        assert run([sys.executable, "-c", code], repository, environment).stdout.split() == [
            "spikejoule"
        ]

    def test_no_torch_where_none_is_needed(self, repository: Path) -> None:
        modules = ["params", "data.images", "data.source", "core.store"]
        modules += [
            "encoding.encoders.poisson",
            "encoding.counting",
            "evaluation.evaluation",
            "report.charts",
            "tracking",
        ]
        code = "import sys\n" + "".join(f"import spikejoule.{name}\n" for name in modules)
        code += "print([name for name in ('torch', 'mlflow') if name in sys.modules])"
        environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
        done = run([sys.executable, "-c", code], repository, environment)
        assert done.stdout.strip() == "[]", done.stderr

    @needs_torch
    @pytest.mark.parametrize("stage", ["baseline", "train", "measure_inference", "energy_report"])
    def test_a_stage_starts_without_what_it_does_not_use(
        self, stage: str, repository: Path
    ) -> None:
        unused = "'torch._dynamo', 'sklearn', 'pandas', 'scipy.special', 'scipy.stats', 'mlflow'"
        code = f"import sys, stages.{stage}\nprint({{{unused}}} & set(sys.modules))"
        environment = {**os.environ, "PYTHONPATH": f"{repository / 'src'}:{repository}"}
        done = run([sys.executable, "-c", code], repository, environment)
        assert done.stdout.strip() == "set()", done.stderr


@pytest.fixture
def made(repository: Path, tmp_path: Path) -> Path:
    """A folder with the Makefile and what its environment depends on, and a space in its name."""
    folder = tmp_path / "a project"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, folder)
    return folder


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
class TestMakefile:
    PYTHONS = ("python3", "python3.11", "python3.12", "python3.13", "python")

    def make(
        self, folder: Path, *arguments: str, programs: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        path = "/usr/bin:/bin" if programs is None else f"{programs}:/usr/bin:/bin"
        return run(["make", *arguments], folder, {"PATH": path, "HOME": str(folder)})

    def pythons(self, folder: Path, suitable: str) -> Path:
        """Programs by the names of Python, of which one is of a suitable version."""
        programs = folder / "programs"
        for name in self.PYTHONS:
            fake_program(programs / name, "exit 1")
        fake_program(programs / "environment-python", 'echo "pip: $*" >> log')
        fake_program(
            programs / suitable,
            '[ "$1" = -c ] && exit 0\n'
            'echo "venv: $*" >> log\n'
            f'mkdir -p .venv/bin && cp "{programs}/environment-python" .venv/bin/python',
        )
        return programs

    @pytest.mark.parametrize("suitable", PYTHONS)
    def test_builds_the_environment_once_with_a_suitable_python(
        self, made: Path, suitable: str
    ) -> None:
        programs = self.pythons(made, suitable)
        for _ in range(2):
            done = self.make(made, "test", programs=programs)
            assert done.returncode == 0, done.stderr
        log = (made / "log").read_text(encoding="utf-8").splitlines()
        assert [line for line in log if line.startswith("venv")] == ["venv: -m venv --clear .venv"]
        installs = [line for line in log if "install" in line]
        assert len(installs) == 1
        assert "-c constraints.txt -e .[dev,shared]" in installs[0]
        assert len([line for line in log if "-m pytest" in line]) == 2

    @pytest.mark.parametrize("target", ["test-interop", "test-all"])
    def test_other_simulators_are_installed_where_tests_need_them(
        self, made: Path, target: str
    ) -> None:
        programs = self.pythons(made, "python3")
        for each in ("test", "test-rest", target, target):
            done = self.make(made, each, programs=programs)
            assert done.returncode == 0, done.stderr
        log = (made / "log").read_text(encoding="utf-8").splitlines()
        tested = [place for place, line in enumerate(log) if "-m pytest" in line]
        installs = [place for place, line in enumerate(log) if " install " in line]
        assert [line.partition(" -c ")[2] for line in map(log.__getitem__, installs)] == [
            "constraints.txt -e .[dev,shared]",
            "constraints.txt -e .[search]",
            "constraints.txt -e .[interop]",
            "constraints.txt --no-deps sinabs>=3.1 pbr",
        ]
        assert installs[0] < tested[0] < installs[1] < tested[1] < installs[2] < tested[2]

    @pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
    def test_installs_again_when_the_dependencies_change(self, made: Path, name: str) -> None:
        programs = self.pythons(made, "python3")
        self.make(made, "test", programs=programs)
        stamp = (made / ".venv" / ".installed").stat().st_mtime
        os.utime(made / name, (stamp + 10, stamp + 10))
        self.make(made, "test", programs=programs)
        log = (made / "log").read_text(encoding="utf-8")
        assert log.count("-m pip install") == 2
        assert log.count("-m venv") == 1

    def test_no_suitable_python_is_a_clear_error(self, made: Path) -> None:
        done = self.make(made, "test", "PYTHON=/bin/false")
        assert done.returncode != 0
        assert "error: Python 3.11, 3.12 or 3.13" in done.stderr
        assert "/bin/false" in done.stderr
        assert not (made / ".venv").exists()

    def test_failed_installation_is_tried_again(self, made: Path) -> None:
        programs = self.pythons(made, "python3")
        fake_program(programs / "environment-python", '[ "$1" = -c ]')
        assert self.make(made, "test", programs=programs).returncode != 0
        assert not (made / ".venv" / ".installed").exists()

    def test_help_lists_every_target(self, made: Path) -> None:
        text = (made / "Makefile").read_text(encoding="utf-8")
        (phony,) = re.findall(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)
        done = self.make(made)
        assert [line.split()[1] for line in done.stdout.splitlines()] == phony.split()

    @pytest.mark.parametrize(
        ("target", "n_experiments"),
        [
            ("seed-notebook", 1),
            ("frugal POINTS=2500 5000 5000-int8 10000 4000-int4 9000-int4", 6),
            ("accurate", 1),
            ("contrast", 4),
            ("baselines", 2),
            ("sweep", 1),
        ],
    )
    def test_settings_of_experiments_are_allowed(
        self, target: str, n_experiments: int, made: Path, repository: Path
    ) -> None:
        said = self.make(made, "-n", *target.split(" ", 1)).stdout
        experiments = re.findall(r"exp run (.*?)(?:;|$)", said, flags=re.MULTILINE)
        experiments = [text for text in experiments if " -S " in text]
        assert len(experiments) == n_experiments
        flat = load_params(repository / "params.yaml").flattened()
        for text in experiments:
            settings = [word for word in shlex.split(text) if "=" in word]
            assert len(settings) == text.count("-S ")
            content = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
            for setting in settings:
                key, _, value = setting.partition("=")
                assert key in flat
                section, _, name = key.rpartition(".")
                # Of a grid, the first of its values
                first = value if value.startswith("[") else value.split(",")[0]
                (content[section] if section else content)[name] = yaml.safe_load(first)
            parse_params(content)


class TestContinuousIntegration:
    """`.ci/run` with fake programs: nothing is installed, linted or tested here."""

    PARTS = ("chromium", "initdb", "slurmctld")
    PACKAGES = "chromium postgresql slurmctld slurmd slurm-client munge"

    @pytest.fixture
    def machine(self, repository: Path, tmp_path: Path) -> Path:
        """A machine with Python, make, git and apt-get, which log their arguments; we are root."""
        (tmp_path / ".ci").mkdir()
        shutil.copy(repository / ".ci" / "run", tmp_path / ".ci" / "run")
        for name in ("bash", "sh", "dirname"):
            found = shutil.which(name)
            assert found is not None
            (tmp_path / name).symlink_to(found)
        for name in ("python3", "git"):
            fake_program(tmp_path / name, "exit 0")
        fake_program(tmp_path / "id", "echo 0")
        for name in ("make", "apt-get"):
            fake_program(tmp_path / name, f'echo "{name} $*" >> "{tmp_path}/log"')
        return tmp_path

    def check(self, machine: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(machine / "bash"), str(machine / ".ci" / "run")]
        return run(command, machine, {"PATH": str(machine), **variables})

    def log(self, machine: Path) -> list[str]:
        return (machine / "log").read_text(encoding="utf-8").splitlines()

    def test_installs_what_the_tests_start_then_lints_and_tests(self, machine: Path) -> None:
        assert self.check(machine).returncode == 0
        # The environment is made meanwhile.
        log = self.log(machine)
        log.remove(CHECKS[0])
        assert log == [
            "apt-get update",
            f"apt-get install --yes --no-install-recommends {self.PACKAGES}",
            *CHECKS[1:],
        ]

    @pytest.mark.parametrize("lacking", ["root", "apt-get"])
    def test_says_what_it_cannot_install(self, machine: Path, lacking: str) -> None:
        if lacking == "root":
            fake_program(machine / "id", "echo 1000")
        else:
            (machine / "apt-get").unlink()
        done = self.check(machine, CI="true")
        assert done.returncode == 0
        assert done.stderr.startswith("note: without chromium postgresql slurmctld")
        assert self.log(machine) == CHECKS

    def test_failed_installation_is_an_error_in_ci_and_a_note_elsewhere(
        self, machine: Path
    ) -> None:
        fake_program(machine / "apt-get", "exit 100")
        done = self.check(machine, CI="true")
        assert done.returncode == 1
        assert done.stderr == f"error: {self.PACKAGES} could not be installed.\n"
        assert self.log(machine) == CHECKS[:1]
        (machine / "log").unlink()
        done = self.check(machine)
        assert done.returncode == 0
        assert done.stderr.startswith(f"note: {self.PACKAGES} could not be installed")
        assert self.log(machine) == CHECKS


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

    def launch(self, workspace: Path, *arguments: str, **environment: str) -> list[str]:
        path = f"{workspace.parent / 'programs'}:/usr/bin:/bin"
        done = run(
            ["stages/shared/run", *(arguments or ("train", "1", "a b"))],
            workspace,
            {"PATH": path, **environment},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().split("|")

    @pytest.mark.parametrize("has_spikejoule", [True, False])
    def test_an_activated_environment_is_taken_if_it_has_spikejoule(
        self, workspace: Path, has_spikejoule: bool
    ) -> None:
        active = workspace.parent / "active"
        pythons = [
            fake_program(folder / "bin" / "python", self.ECHO)
            for folder in (workspace / ".venv", active)
        ]
        if has_spikejoule:
            fake_program(active / "bin" / "spikejoule", "")
        found = self.launch(workspace, VIRTUAL_ENV=str(active))[0]
        assert found == str(pythons[has_spikejoule])

    def test_environment_of_the_workspace_of_an_experiment(self, workspace: Path) -> None:
        root = workspace.parent / "root"
        python = fake_program(root / ".venv" / "bin" / "python", self.ECHO)
        assert self.launch(workspace, DVC_ROOT=str(root))[0] == str(python)

    def test_no_environment_is_said(self, workspace: Path) -> None:
        done = run(["stages/shared/run", "train"], workspace, {"PATH": "/usr/bin:/bin"})
        assert done.returncode == 1
        assert done.stderr.startswith("error: no environment with spikejoule was found")

    def test_own_code_arguments_and_telemetry(self, workspace: Path) -> None:
        own = f"{workspace}/src:{workspace}"
        assert self.launch(workspace, PYTHONPATH="/other")[1] == f"{own}:/other"
        assert self.launch(workspace)[1:] == [own, "true", "-m stages.train 1 a b"]

    @pytest.mark.parametrize("arguments", [[], ["nothing"]])
    def test_unknown_stage_is_a_usage_error(self, workspace: Path, arguments: list[str]) -> None:
        done = run(["stages/shared/run", *arguments], workspace, {"PATH": "/usr/bin:/bin"})
        assert done.returncode == 2
        assert done.stderr.startswith("error: usage: stages/shared/run NAME")


class TestStages:
    @pytest.fixture
    def workspace(self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        shutil.copy(repository / "params.yaml", tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(common, "set_up_logging", lambda: None)
        write_paths(tmp_path, {"test": "c"})
        return tmp_path

    @pytest.mark.usefixtures("workspace")
    def test_paths_that_dvc_knows_of_and_parameters_arrive(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seen: list[tuple[Mapping[str, Path], Params]] = []
        # The stage is named like this file.
        Path("dvc.yaml").write_text(
            "vars: [{paths: {train: a, data_metrics: b, test: c}}]\n"
            "stages: {test_house: {deps: ['${paths.train}'], metrics: [{'${paths.data_metrics}': {"
            "cache: false}}]}}\n"
        )

        def stage(paths: Mapping[str, Path], params: Params) -> None:
            seen.append((paths, params))
            paths["test"].touch()

        assert common.run_stage(stage, "A stage.", []) == 1
        ((paths, params),) = seen
        assert paths == {"train": Path("a"), "data_metrics": Path("b")}
        assert params.seed == 42
        said = capsys.readouterr().err
        assert said == "error: dvc.yaml must list ${paths.test} in this stage.\n"

    @pytest.mark.usefixtures("workspace")
    def test_error_is_printed_without_a_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        def fail(paths: Mapping[str, Path], params: Params) -> None:
            raise ParameterError("first problem\nsecond problem")

        assert common.run_stage(fail, None, []) == 1
        assert capsys.readouterr().err == "error: first problem\nerror: second problem\n"

    @pytest.mark.parametrize(
        ("error", "status", "first_line"),
        [
            ("KeyboardInterrupt", 130, "error: interrupted from the keyboard."),
            ("ValueError", 1, "Traceback (most recent call last):"),
        ],
    )
    def test_interruption_while_a_stage_imports(
        self, error: str, status: int, first_line: str, repository: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "stages").mkdir()
        shutil.copy(repository / "stages" / "__init__.py", tmp_path / "stages")
        (tmp_path / "stages" / "slow.py").write_text(f"raise {error}\n", encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = run([sys.executable, "-m", "stages.slow"], tmp_path, environment)
        assert (done.returncode, done.stderr.splitlines()[0]) == (status, first_line)
        assert (len(done.stderr.splitlines()) == 1) == (status == 130)

    def test_whole_launcher(self, repository: Path, tmp_path: Path) -> None:
        # As DVC calls it: a wrong parameter ends with one line and 1, and leaves no output.
        for name in ("stages", "src"):
            (tmp_path / name).symlink_to(repository / name)
        (tmp_path / "params.yaml").write_text(
            (repository / "params.yaml")
            .read_text(encoding="utf-8")
            .replace("source: auto", "source: nowhere"),
            encoding="utf-8",
        )
        fake_program(tmp_path / ".venv" / "bin" / "python", f'exec "{sys.executable}" "$@"')
        write_paths(tmp_path, {"train": "a", "validation": "b", "test": "c", "data_metrics": "d"})
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = run(["stages/shared/run", "prepare"], tmp_path, environment)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: data.source: ")
        assert "nowhere" in done.stderr
        assert not any((tmp_path / name).exists() for name in "abcd")


@pytest.mark.parametrize(
    ("here", "dvc_root", "expected"),
    [
        ("one", None, "one"),
        ("one/.dvc/tmp/exps/tmp1", "one", "one"),  # an experiment in a folder of its own
        ("two", "one", "two"),  # inherited from another project
    ],
)
def test_project_root(
    here: str,
    dvc_root: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("one/.dvc", here):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    if dvc_root:
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / dvc_root))
    assert project_root() == (tmp_path / expected).resolve()


class TestRepository:
    def test_dvc_configuration(self, repository: Path) -> None:
        config = configparser.ConfigParser()
        config.read(repository / ".dvc" / "config")
        core = config["core"]
        assert core["analytics"] == core["check_update"] == core["autostage"] == "false"

    def test_caches_make_no_stage_run_again(self, repository: Path) -> None:
        ignored = (repository / ".dvcignore").read_text(encoding="utf-8").splitlines()
        assert {"__pycache__", "*.egg-info", ".venv"} <= set(ignored)

    @pytest.mark.parametrize(
        ("path", "ignored"),
        [
            ("data/train.npz", True),
            ("models/surrogate_snn_checkpoint.pth", True),
            ("mlflow.db", True),
            ("mlflow.db.lock", True),
            ("search.db.lock", True),
            (".venv/bin/python", True),
            (".cache/mnist/a.gz", True),
            ("metrics/.train.json.0123456789abcdef.tmp", True),
            ("metrics/train.json", False),
            ("src/spikejoule/data/images.py", False),
            ("dvc.lock", False),
            ("constraints.txt", False),
        ],
    )
    def test_what_git_ignores(
        self, repository: Path, tmp_path: Path, path: str, ignored: bool
    ) -> None:
        run(["git", "init", "-q", str(tmp_path)], tmp_path)
        shutil.copy(repository / ".gitignore", tmp_path)
        done = run(["git", "check-ignore", "-q", path], tmp_path)
        assert done.returncode == (0 if ignored else 1)
