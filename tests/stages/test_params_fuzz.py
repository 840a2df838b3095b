"""What DVC records of params.yaml is what runs, or the run is refused.

By DVC's own reader for a campaign of 150 hostile files (SPIKEJOULE_MUTATIONS sets another number),
and by `dvc repro` itself for a few.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import parse_yaml
from ruamel.yaml.error import ReusedAnchorWarning

from spikejoule.core.errors import ParameterError
from spikejoule.data.images import Dataset, save_images
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.params import load_params
from tests.tools.mutated_params import mutated
from tests.tools.pipeline_tools import clean_environment, commit, dvc, git, run, set_parameters

# Three of these eight made a reader of YAML 1.1 compute with other values than DVC recorded.
BY_DVC = range(39, 47)
CAMPAIGN = range(int(os.environ.get("SPIKEJOULE_MUTATIONS", "150")))

PROBE = """\
import json
from pathlib import Path

from spikejoule.params import Params
from stages.shared.common import run_stage


def main(paths: object, params: Params) -> None:
    Path("probe.json").write_text(json.dumps(params.flattened()), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(run_stage(main, None))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return clean_environment(tmp_path_factory.mktemp("dvc"))


@pytest.fixture(scope="module")
def project(
    repository: Path,
    mnist5k: Dataset,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A repository with the real encode stage on few digits, and a stage that tells what it got."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copy(repository / "params.yaml", folder)
    set_parameters(folder, {"encode.time_window": 12})
    (folder / "src").symlink_to(repository / "src")
    shutil.copytree(repository / "stages", folder / "stages")
    (folder / "stages" / "probe.py").write_text(PROBE, encoding="utf-8")
    save_images(folder / "validation.npz", mnist5k.train.select(slice(10)))
    save_images(folder / "test.npz", mnist5k.test.select(slice(10)))
    names = ("validation", "test", "events_validation", "events_test")
    paths = {name: f"{name}.npz" for name in names} | {"encode_metrics": "encode.json"}
    command = "stages/shared/run"
    parameters = list(load_params(folder / "params.yaml").flattened())
    stages = {
        "encode": {
            "cmd": f"{command} encode",
            "deps": ["${paths.validation}", "${paths.test}"],
            "params": ["seed", "encode"],
            "outs": [f"${{paths.{name}}}" for name in list(paths)[2:]],
        },
        "probe": {"cmd": f"{command} probe", "params": parameters, "outs": ["probe.json"]},
    }
    (folder / "dvc.yaml").write_text(
        yaml.safe_dump({"vars": [{"paths": paths}], "stages": stages}), encoding="utf-8"
    )
    (folder / ".gitignore").write_text("src\n__pycache__\n", encoding="utf-8")
    git(folder, environment, "init", "-q", "-b", "main")
    git(folder, environment, "config", "user.name", "A Researcher")
    git(folder, environment, "config", "user.email", "researcher@example.org")
    dvc(folder, environment, "init", "-q")
    commit(folder, environment, "The project")
    return folder


def outcomes(
    project: Path,
    environment: Mapping[str, str],
    cases: Path,
    files: Mapping[str, bytes],
    *command: str,
) -> dict[str, dict[str, Any]]:
    """Run DVC on each params.yaml, by name; see `tests.tools.repro_driver`."""
    repository = Path(__file__).resolve().parents[2]
    for name, content in files.items():
        (cases / f"{name}.yaml").write_bytes(content)
    path = os.pathsep.join(str(folder) for folder in (repository / "src", repository))
    run(
        [sys.executable, "-m", "tests.tools.repro_driver", cases, *command],
        project,
        {**environment, "PYTHONPATH": path},
        seconds=120 + 10 * len(files),
    )
    return {name: json.loads((cases / f"{name}.json").read_bytes()) for name in files}


def complaints(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with one outcome of `tests.tools.repro_driver`."""
    said, lines = found["said"], found["said"].splitlines()
    wrong = []
    if "Traceback" in said:
        wrong.append("a traceback")
    ours = [line for line in lines if line.startswith("error: ")]
    if found["status"] and not ours and not any(line.startswith("ERROR: ") for line in lines):
        wrong.append("no reason")
    if any(len(line) > 700 for line in ours):
        wrong.append("a reason of more than 700 characters")
    if not found["status"] and set(found["recorded"]) != {"encode", "probe"}:
        wrong.append("a stage did not run")
    if "used" in found and not same(found["recorded"]["probe"], found["used"]):
        wrong.append(f"recorded {found['recorded']['probe']}, used {found['used']}")
    for header in found.get("headers", ()):
        recorded = found["recorded"]["encode"]
        if (
            not same(recorded, used_by(header, recorded))
            or header["n_steps"] != header["time_window"]
        ):
            wrong.append(f"recorded {recorded}, encoded with {header}")
    return wrong


def used_by(header: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded parameters, but those that the header of an event list tells as it tells them."""
    kind = ENCODERS[header["type"]]
    own = {name: header[kind.header_names.get(name, name)] for name in kind.model_fields}
    encode = {**recorded["encode"], **own, "encoding": header["type"]}
    return {"seed": header["seed"], "encode": encode}


def same(recorded: Any, used: Any) -> bool:
    """Equality of plain values, in which true is not 1; one size may stand for a list of one."""
    if isinstance(used, Mapping):
        return (
            isinstance(recorded, Mapping)
            and recorded.keys() == used.keys()
            and all(same(recorded[key], used[key]) for key in used)
        )
    if isinstance(used, Sequence) and not isinstance(used, str):
        listed = recorded if isinstance(recorded, list) else [recorded]
        return len(listed) == len(used) and all(map(same, listed, used))
    numbers = [type(value) in (int, float) for value in (recorded, used)]
    return bool(recorded == used) and (all(numbers) or type(recorded) is type(used))


@pytest.mark.filterwarnings(f"ignore::{ReusedAnchorWarning.__module__}.ReusedAnchorWarning")
def test_what_dvc_reads_is_what_runs_or_it_is_refused(repository: Path, tmp_path: Path) -> None:
    text, path = (repository / "params.yaml").read_text(encoding="utf-8"), tmp_path / "params.yaml"
    n_refused = 0
    for number in CAMPAIGN:
        path.write_bytes(mutated(text, number))
        try:
            used = load_params(path).flattened()
        except ParameterError as error:
            n_refused += 1
            for line in str(error).splitlines():
                assert line.isprintable(), number
                assert len(line) < 700, number
            continue
        recorded = parse_yaml(path.read_text(encoding="utf-8"), path)
        for key, value in used.items():
            section, _, name = key.rpartition(".")
            of_key = recorded[section][name] if section else recorded[name]
            assert same(of_key, value), (number, key)
    assert 0.1 < n_refused / len(CAMPAIGN) < 0.9, "nearly all were refused, or none"


@pytest.mark.slow
def test_dvc_repro_on_hostile_parameters(
    project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    files = {f"{n:05}": mutated(text, n) for n in BY_DVC}
    files["octal"] = text.replace("time_window: 12", "time_window: 010").encode()
    files["sexagesimal"] = text.replace("time_window: 12", "time_window: 1:30").encode()
    files["key"] = (text + "true: 2\n").encode()
    found = outcomes(project, environment, tmp_path, files, "repro", "--no-run-cache")
    failures = {
        name: (wrong, files[name], outcome["said"])
        for name, outcome in found.items()
        if (wrong := complaints(outcome))
    }
    assert not failures
    assert found["octal"]["headers"][0]["time_window"] == 10
    assert "encode.time_window: '1:30' is not allowed" in found["sexagesimal"]["said"]
    assert "the key 'true' is no text" in found["key"]["said"]


def test_parameters_that_an_experiment_sets(
    project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """`dvc exp run -S` parses the values in a way of its own, and writes the file anew."""
    values = ["train.lr=1e-5", "train.weight_decay=1E-7", "encode.max_rate=75.50"]
    values += ["encode.time_window=1_2", "model.hidden=[20, 10]", "train.grad_clip_norm=1e20"]
    values += ["train.target_accuracy=null", "publish.experiment='1:30'", "data.source=yes"]
    values += ["model.decay=1.0"]
    options = [word for value in values for word in ("-S", value)]
    files = {"experiment": (project / "params.yaml").read_bytes()}
    found = outcomes(project, environment, tmp_path, files, "exp", "run", *options)["experiment"]
    assert complaints(found) == []
    assert found["status"] == 0, found["said"]
    kept = ("train.lr", "model.decay", "publish.experiment")
    assert {key: found["used"][key] for key in kept} == {
        "train.lr": 1e-5,
        "model.decay": 1.0,
        "publish.experiment": "1:30",
    }
