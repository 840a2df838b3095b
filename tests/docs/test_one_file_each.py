"""What a user adds is one file: the code of the how-to pages, put into a project and run.

Each page gives one new file (or entry) and lines of params.yaml. Nothing else of the package
changes before stages run with all of the new things at once.
"""

import csv
import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.tools.pages import Block, blocks_of, write_block
from tests.tools.pipeline_tools import (
    artifact_paths,
    clean_environment,
    clone_of_working_tree,
    git,
    run,
    set_parameters,
)
from tests.tools.without_torch import needs_torch

# One worker for all: others would run the stages again for themselves.
pytestmark = [needs_torch, pytest.mark.xdist_group("one file each")]

PAGES = (
    "add-an-encoder",
    "add-a-data-set",
    "add-a-neuron",
    "add-a-surrogate",
    "add-a-schedule",
    "add-a-hardware-profile",
)
CHOSEN = {
    "data.source": "uci_digits",
    "data.test_images": 397,
    "encode.encoding": "periodic",
    "model.neuron": "linear_leak",
    "train.surrogate": "laplacian",
    "train.schedule": "linear",
    "energy_report.profile": "my-board",
}
# Little to learn, nothing to compile: no augmented image, and the engine that runs every neuron.
SMALL = {
    "encode.time_window": 8,
    "encode.max_rate": 500,
    "encode.phase": 0.25,
    "model.hidden": 12,
    "model.threshold": 0.3,
    "train.batch_size": 500,
    "train.lr": 0.01,
    "train.max_epochs": 2,
    "train.surrogate_slope": "null",
    "train.shift_pixels": 0,
    "train.rotate_degrees": 0,
    "train.scale_fraction": 0,
    "measure_inference.n_samples": 60,
    "energy_report.bootstrap_samples": 100,
}
# The third statement of the surrogate, and the parameter's value that is refused: their tests
NAIVE_LAPLACIAN = """\
    if name == "laplacian":
        return slope / 2 * math.exp(-slope * abs(x))
"""
# All stages in one process: importing torch takes longer than they do.
STAGES = """
import sys
from stages.shared.common import run_stage
for name in sys.argv[1:]:
    if status := run_stage(name):
        sys.exit(f"{name} ended with {status}")
"""
# Of the engines' tests, those of surrogates: all kernels are new beside a new surrogate, and take
# minutes to compile.
HOLD_FOR_EVERY_KIND = (
    "tests/model/test_network.py",
    "tests/engine/test_engines.py::test_all_agree",
    "tests/training/test_schedule.py",
    "tests/energy/test_profiles.py",
    "tests/stages/test_dvc_yaml.py",
    "tests/test_params.py",
)
RUN_TESTS = "import sys, pytest; sys.exit(pytest.main(['-q', '-n', '0', *sys.argv[1:]]))"
# What the files say, read by the package that has the new files.
RESULT = """
import json
from pathlib import Path
import nir
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.model.checkpoint import read_complete
from spikejoule.model.trained import load_trained
from spikejoule.encoding.encoded_files import load_encoded_images
paths = artifact_paths(Path())
graph = nir.read(paths["nir"])
trained, complete = load_trained(paths["trained"]), read_complete(paths["checkpoint"])
events, images = load_encoded_images(paths["events_test"])
print(json.dumps({
    "header": images.entry(),
    "density": events.density,
    "trained": trained.encoding,
    "complete": complete.encoder.entry(),
    "neurons": [trained.architecture.neuron.entry(), complete.architecture.neuron.entry()],
    "graph": [sorted(graph.nodes), graph.metadata["reason"]],
    "config": trained.training_config,
    "engine": trained.engine,
    "rates": [record["learning_rate"] for record in trained.history],
    "data": trained.data,
}))
"""


def written(repository: Path, folder: Path) -> Path:
    """Make `folder` a clone with all that the pages add; returns `folder`."""
    clone_of_working_tree(repository, folder, clean_environment(folder.parent), {})
    for block in blocks_of_all(repository):
        write_block(block, folder)
    return folder


@pytest.fixture(scope="module")
def added(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with all that the pages add, in which it was chosen and run."""
    folder = written(repository, tmp_path_factory.mktemp("added") / "project")
    set_parameters(folder, CHOSEN | SMALL)
    python(
        folder,
        STAGES,
        *("prepare", "encode", "baseline", "train", "measure_inference", "evaluate"),
        "energy_report",
    )
    return folder


def blocks_of_all(repository: Path) -> list[Block]:
    """The blocks of the pages that are files, or belong to one."""
    files = [repository / "docs" / "how-to" / f"{page}.md" for page in PAGES]
    return [block for file in files for block in blocks_of(file) if block.title]


def python(folder: Path, code: str, *arguments: str) -> str:
    environment = clean_environment(folder.parent)
    environment["PYTHONPATH"] = f"{folder / 'src'}:{folder}"
    return run([sys.executable, "-c", code, *arguments], folder, environment)


@pytest.fixture(scope="module")
def result(added: Path) -> dict:
    return json.loads(python(added, RESULT).splitlines()[-1])


def test_one_new_file_each_and_lines_of_params_yaml(added: Path) -> None:
    status = git(added, clean_environment(added.parent), "status", "--porcelain", "-uall")
    code = {line for line in status.splitlines() if "src/" in line or "stages/" in line}
    assert code == {
        " M src/spikejoule/energy/hardware.yaml",
        "?? src/spikejoule/data/sources/uci_digits.py",
        "?? src/spikejoule/training/schedules/linear.py",
        "?? src/spikejoule/model/neurons/linear_leak.py",
        "?? src/spikejoule/model/surrogates/laplacian.py",
        "?? src/spikejoule/encoding/encoders/periodic.py",
    }
    rest = {line[3:].split("/")[0] for line in status.splitlines()}
    assert rest - {"src", "metrics", "reports", "figures"} == {"params.yaml"}


def test_the_encoder_stands_in_every_header(result: dict) -> None:
    entry = {"type": "periodic", "time_window": 8, "max_rate_hz": 500.0, "phase": 0.25}
    assert result["complete"] == entry
    assert result["trained"].items() >= entry.items()
    assert result["header"].items() >= entry.items()
    assert result["density"] > 0


def test_the_digits_are_those_of_the_source(added: Path, result: dict) -> None:
    assert result["data"]["source"] == "uci_digits"
    assert set(result["data"]["sha256"]) == {"uci-images-uint8", "uci-labels-uint8"}
    counts = json.loads((added / "metrics" / "data.json").read_text())["counts"]
    assert counts == {"train": 1260, "validation": 140, "test": 397}


def test_the_neuron_the_surrogate_and_the_schedule_were_used(result: dict) -> None:
    neuron = {"neuron": "linear_leak", "threshold": 0.3, "leak": 0.05}
    assert result["neurons"] == [neuron, neuron]
    assert result["engine"] == "dense"
    nodes, reason = result["graph"]
    assert nodes == []
    assert reason.startswith("model.neuron: 'linear_leak' has no node in NIR")
    assert result["config"]["surrogate"] == "laplacian"
    # Three batches per epoch: the rate of the last step of each is 4/6 and 1/6 of the first.
    assert result["rates"] == pytest.approx([0.01 * 4 / 6, 0.01 / 6])


def test_the_network_learned_and_has_a_price(added: Path) -> None:
    metrics = json.loads((added / "metrics" / "energy.json").read_text())
    assert metrics["profile"] == "my-board"
    assert 0 < metrics["energy_per_inference_low_pj"] < metrics["energy_per_inference_high_pj"]
    with (added / artifact_paths(added)["energy_table"]).open(encoding="utf-8") as stream:
        assert {row["profile"] for row in csv.DictReader(stream)} >= {"my-board", "45nm-fp32"}
    with (added / "metrics" / "history.csv").open(encoding="utf-8") as stream:
        first, last = csv.DictReader(stream)
    assert float(last["train_loss"]) < float(first["train_loss"])


def test_prices_are_those_of_the_entry(added: Path, repository: Path) -> None:
    own = yaml.safe_load((added / "src/spikejoule/energy/hardware.yaml").read_text())
    packaged = yaml.safe_load((repository / "src/spikejoule/energy/hardware.yaml").read_text())
    assert set(own) - set(packaged) == {"my-board", "my-core"}


@pytest.mark.slow
def test_the_tests_that_hold_for_every_kind_pass(repository: Path, tmp_path: Path) -> None:
    """Both engines and loops agree on the new surrogate; no list of kinds is kept elsewhere."""
    folder = written(repository, tmp_path / "project")
    for name, line, more in (
        ("naive.py", '    if name == "constant":\n', NAIVE_LAPLACIAN),
        (
            "test_params.py",
            '    "seed": [-1, 2**32, 1.0, True, None],\n',
            '    "encode.phase": [1],\n    "data.test_images": [0],\n    "model.leak": [2],\n',
        ),
    ):
        file = folder / "tests" / name
        text = file.read_text(encoding="utf-8")
        assert line in text
        file.write_text(text.replace(line, more + line, 1), encoding="utf-8")
    python(folder, RUN_TESTS, *HOLD_FOR_EVERY_KIND)
