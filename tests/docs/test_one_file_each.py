"""What a user adds is one file: the code of the how-to pages, put into a project and run.

Each page gives one new file (or entry) and lines of params.yaml. Nothing else of the package
changes before stages run with all of the new things at once.
"""

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.tools.pages import blocks_of, write_block
from tests.tools.pipeline_tools import STAGES as ALL_STAGES
from tests.tools.pipeline_tools import (
    clean_environment,
    clone_of_working_tree,
    git,
    run,
    set_parameters,
)
from tests.tools.without_torch import needs_torch

pytestmark = [needs_torch, pytest.mark.slow]

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
# All stages in one process: importing torch takes longer than they do.
STAGES = """
import sys
from stages.shared.common import run_stage
for name in sys.argv[1:]:
    if status := run_stage(name):
        sys.exit(f"{name} ended with {status}")
"""
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
    "encodings": [images.entry(), trained.encoding, complete.encoder.entry()],
    "density": events.density,
    "neurons": [trained.architecture.neuron.entry(), complete.architecture.neuron.entry()],
    "graph": [sorted(graph.nodes), graph.metadata["reason"]],
    "config": trained.training_config,
    "engine": trained.engine,
    "rates": [record["learning_rate"] for record in trained.history],
    "losses": [record["train_loss"] for record in trained.history],
    "data": trained.data,
}))
"""
# The third statement of the surrogate, and the tests that hold for every kind: of the engines, that
# of the new surrogate, since all kernels are compiled anew beside it, which takes minutes.
NAIVE, LAPLACIAN = (
    '    if name == "constant":\n',
    '    if name == "laplacian":\n        return slope / 2 * math.exp(-slope * abs(x))\n',
)
CHANGES = {
    "tests/naive.py": {NAIVE: LAPLACIAN + NAIVE},
    "tests/engine/test_engines.py": {
        "SURROGATE = st.sampled_from(list(SURROGATES))": 'SURROGATE = st.just("laplacian")',
        "@settings(max_examples=80)\n": "@settings(max_examples=20)\n",
    },
}
HOLD_FOR_EVERY_KIND = (
    "tests/model/test_torch_twin.py",
    "tests/engine/test_engines.py::test_all_agree",
    "tests/training/test_schedule.py",
    "tests/energy/test_profiles.py",
    "tests/stages/test_dvc_yaml.py",
    "tests/test_params.py",
)
RUN_TESTS = "import sys, pytest; sys.exit(pytest.main(['-q', '-n', '0', *sys.argv[1:]]))"


def written(repository: Path, folder: Path) -> Path:
    """Make `folder` a clone with all that the pages add; returns `folder`."""
    clone_of_working_tree(repository, folder, clean_environment(folder.parent), {})
    for page in PAGES:
        for block in blocks_of(repository / "docs" / "how-to" / f"{page}.md"):
            if block.title:
                write_block(block, folder)
    return folder


def python(folder: Path, code: str, *arguments: str) -> str:
    environment = clean_environment(folder.parent)
    environment["PYTHONPATH"] = f"{folder / 'src'}:{folder}"
    return run([sys.executable, "-c", code, *arguments], folder, environment)


def test_stages_run_with_all_of_the_new_files(repository: Path, tmp_path: Path) -> None:
    added = written(repository, tmp_path / "project")
    set_parameters(added, CHOSEN | SMALL)
    python(added, STAGES, *ALL_STAGES[:-1])
    status = git(added, clean_environment(tmp_path), "status", "--porcelain", "-uall").splitlines()
    assert {line for line in status if "src/" in line or "stages/" in line} == {
        " M src/spikejoule/energy/hardware.yaml",
        "?? src/spikejoule/data/sources/uci_digits.py",
        "?? src/spikejoule/training/schedules/linear.py",
        "?? src/spikejoule/model/neurons/linear_leak.py",
        "?? src/spikejoule/model/surrogates/laplacian.py",
        "?? src/spikejoule/encoding/encoders/periodic.py",
    }
    rest = {line[3:].split("/")[0] for line in status}
    assert rest - {"src", "metrics", "reports", "figures"} == {"params.yaml"}

    result = json.loads(python(added, RESULT).splitlines()[-1])
    encoding = {"type": "periodic", "time_window": 8, "max_rate_hz": 500.0, "phase": 0.25}
    assert all(stated.items() >= encoding.items() for stated in result["encodings"])
    assert result["density"] > 0
    assert result["data"]["source"] == "uci_digits"
    assert set(result["data"]["sha256"]) == {"uci-images-uint8", "uci-labels-uint8"}
    assert result["data"]["counts"] == {"train": 1260, "validation": 140, "test": 397}
    neuron = {"neuron": "linear_leak", "threshold": 0.3, "leak": 0.05}
    assert result["neurons"] == [neuron, neuron]
    assert result["engine"] == "dense"
    nodes, reason = result["graph"]
    assert nodes == []
    assert reason.startswith("model.neuron: 'linear_leak' has no node in NIR")
    assert result["config"]["surrogate"] == "laplacian"
    # Three batches per epoch: the rate of the last step of each is 4/6 and 1/6 of the first.
    assert result["rates"] == pytest.approx([0.01 * 4 / 6, 0.01 / 6])
    assert result["losses"][1] < result["losses"][0]

    energy = json.loads((added / "metrics" / "energy.json").read_text())
    assert energy["profile"] == "my-board"
    assert 0 < energy["energy_per_inference_low_pj"] < energy["energy_per_inference_high_pj"]
    own, packaged = (
        yaml.safe_load((root / "src/spikejoule/energy/hardware.yaml").read_text())
        for root in (added, repository)
    )
    assert set(own) - set(packaged) == {"my-board", "my-core"}


def test_the_tests_that_hold_for_every_kind_pass(repository: Path, tmp_path: Path) -> None:
    """Both engines and loops agree on the new surrogate; no list of kinds is kept elsewhere."""
    folder = written(repository, tmp_path / "project")
    for name, changes in CHANGES.items():
        text = (folder / name).read_text(encoding="utf-8")
        for before, after in changes.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (folder / name).write_text(text, encoding="utf-8")
    python(folder, RUN_TESTS, *HOLD_FOR_EVERY_KIND)
