"""Presets: one file each, and a plain DVC command for each preset and seed.

`tests/core/test_yaml_files.py` compares with DVC's reader of params.yaml, and a test
here with its writer.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spikejoule.core.yaml_files import read_mapping
from spikejoule.params import load_params, parse_params
from spikejoule.search.space import with_values
from stages import presets
from tests.tools.committed import params_text, parsed
from tests.tools.dvc_private import apply_overrides, parse_yaml
from tests.tools.pipeline_tools import REPOSITORY, clean_environment, git
from tests.tools.processes import fake_program
from tests.tools.recorded import runs, store_of

PRESETS = sorted((REPOSITORY / "experiments").iterdir())


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_allowed_and_has_a_description(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    parse_params(with_values(parsed(params_text()), read_mapping(path)))


@pytest.mark.parametrize(
    "text",
    ["model.hidden: [[20], 10]", "train: {lr: 1}", "- 1", f"a: {'[' * 999}{']' * 999}"],
    ids=str.split("nested mapping list deep"),
)
def test_a_preset_holds_values_and_lists_only(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.yaml must hold values or lists"):
        presets.overrides_of(path)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_preset_without_a_preset_lists_them() -> None:
    command = ["make", "--no-print-directory", "-o", ".venv/.installed", "preset"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode != 0
    assert "error: name a preset" in done.stderr
    assert "frugal-5000" in done.stderr


def test_parameters_that_an_experiment_sets(committed: Path, tmp_path: Path) -> None:
    """`dvc exp run -S` parses values in its own way, and rewrites the file."""
    path = Path(shutil.copy(committed / "params.yaml", tmp_path))
    values = {
        "train.lr": ("1e-5", 1e-5),
        "encode.time_window": ("1_2", 12),
        "model.hidden": ("[20, 10]", [20, 10]),
        "train.target_accuracy": ("null", None),
        "publish.experiment": ("'1:30'", "1:30"),
        "data.source": ("yes", "yes"),
    }
    apply_overrides(path, [f"{key}={text}" for key, (text, _) in values.items()])
    used = load_params(path).flattened()
    assert {key: used[key] for key in values} == {
        key: value for key, (_, value) in values.items()
    }
    recorded = parse_yaml(path.read_text(encoding="utf-8"), path)
    for key, (_, value) in values.items():
        section, _, name = key.partition(".")
        assert recorded[section][name] == value


EARLIER = "refs/exps/ab/cdef/mine"


@pytest.fixture
def project(
    tmp_path: Path,
    committed: Path,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A repository with a preset and its earlier experiment; the working directory."""
    folder = tmp_path / "a project"
    (folder / "experiments").mkdir(parents=True)
    shutil.copy(committed / "params.yaml", folder)
    shutil.copy(empty_database, folder)
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    text = (
        "# A preset of one's own.\ntrain.weight_decay: 0.00001\nmodel.hidden: "
        "[50, 20]\n"
    )
    (folder / "experiments" / "mine.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    environment = clean_environment(tmp_path)
    git(folder, environment, "init", "-q")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    git(
        folder,
        environment,
        *identity,
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "The project",
    )
    git(folder, environment, "update-ref", EARLIER, "HEAD")
    return folder


def test_a_new_preset_is_one_file_and_a_plain_command(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An earlier experiment of that name, which DVC would not replace, is moved."""
    asked = project.parent / "asked"
    log = shlex.quote(str(asked))
    dvc = fake_program(
        project.parent / "dvc",
        f'echo "$*" >> {log}; git for-each-ref refs/exps >> {log}',
    )
    monkeypatch.setattr(presets, "DVC", (str(dvc),))
    assert presets.main(["mine", "--seeds", "42", "43"]) == 0
    overrides = "-S train.weight_decay=0.00001 -S model.hidden=[50,20]"
    runs = [
        f"exp run --temp -n mine {overrides} -S seed=42",
        f"exp run --temp -n mine-seed-43 {overrides} -S seed=43",
    ]
    printed = [shlex.split(line) for line in capfd.readouterr().out.splitlines()]
    assert printed == [["dvc", *run.split()] for run in runs]
    assert asked.read_text(encoding="utf-8").splitlines() == runs
    assert presets.git("for-each-ref", "refs/spikejoule") == ""


def test_several_experiments_have_one_parent_run_and_a_single_one_has_none(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = project.parent / "asked"
    log = shlex.quote(str(asked))
    dvc = fake_program(
        project.parent / "dvc", f'echo "${{MLFLOW_RUN_CONTEXT-none}}" >> {log}'
    )
    monkeypatch.setattr(presets, "DVC", (str(dvc),))
    monkeypatch.delenv("MLFLOW_RUN_CONTEXT", raising=False)
    assert presets.main(["mine"]) == 0
    for _ in range(2):
        assert presets.main(["mine", "--seeds", "1", "2"]) == 0
    single, *several = asked.read_text(encoding="utf-8").splitlines()
    assert single == "none"
    assert several == [several[0]] * 4
    (parent,) = runs(store_of(project))
    assert json.loads(several[0]) == {"mlflow.parentRunId": parent.info.run_id}
    assert parent.info.run_name == "mine, seeds 1 2"


def test_a_store_out_of_reach_leaves_experiments_without_a_parent(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none/mlflow.db")
    monkeypatch.setattr(presets, "DVC", ("true",))
    assert presets.main(["mine", "--seeds", "1", "2"]) == 0
    printed = capfd.readouterr()
    assert printed.out.count("exp run") == 2
    (warning,) = printed.err.splitlines()
    assert warning.startswith("warning: the parent run 'mine, seeds 1 2' was not")


def test_a_kill_or_a_failure_loses_no_earlier_experiment(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Presets end with the first that fails, which replaces nothing."""
    before = presets.git("for-each-ref")
    killed = (
        "from stages import presets\n"
        "presets.DVC = ('sh', '-c', 'kill -9 $PPID')\n"
        "presets.main(['mine'])"
    )
    path = f"{REPOSITORY}:{REPOSITORY / 'src'}"
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", killed], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert before.split()[0] in presets.git("for-each-ref", presets.REPLACED)
    monkeypatch.setattr(presets, "DVC", ("false",))
    assert presets.main(["mine", "--seeds", "42", "43"]) == 1
    assert capsys.readouterr().out.count("exp run") == 1
    assert presets.git("for-each-ref") == before
