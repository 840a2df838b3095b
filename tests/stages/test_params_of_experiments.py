"""Parameters set by `dvc exp run -S`: DVC records what the stages read.

`tests/core/test_yaml_files.py` compares with DVC's reader, this module with its writer.
"""

import shutil
from pathlib import Path

from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import parse_yaml

from spikejoule.params import load_params


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
