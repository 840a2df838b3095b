"""The table of trained trials, its front, and the commands that repeat its points."""

import shlex
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("submitit", reason="needs submitit: the extra `search`")
optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")

from optuna.trial import create_trial  # noqa: E402

from spikejoule.core.errors import ArtifactError  # noqa: E402
from spikejoule.core.yaml_files import read_mapping, read_yaml  # noqa: E402
from spikejoule.params import Params, parse_params  # noqa: E402
from spikejoule.search.attributes import ENDED  # noqa: E402
from spikejoule.search.found import found_table, front_text  # noqa: E402
from spikejoule.search.space import Search, with_values  # noqa: E402
from tests.search.conftest import SearchOf  # noqa: E402
from tests.search.test_space import draws  # noqa: E402

pytestmark = pytest.mark.slow  # for the extra

RESULTS = [(90.0, 5.0), (95.0, 7.0), (94.0, 9.0), (97.0, 20.0), (97.0, 21.0)]
FRONT = {0, 1, 3}


@pytest.fixture
def search(repository: Path, search_of: SearchOf) -> Search:
    return search_of(**read_mapping(repository / "search.yaml"))


@pytest.fixture
def table(search: Search, params: Params) -> pd.DataFrame:
    space = search.space
    trials = []
    for number, (accuracy, energy) in enumerate(RESULTS):
        metrics = {
            "validation_accuracy_percent": accuracy,
            "energy_nj_per_inference": energy,
            "synaptic_events_per_inference": 100 * energy,
        }
        parameters = space.params(draws(space, len(RESULTS))[number]).flattened()
        ended = {
            "parameters": parameters,
            "metrics": metrics,
            "processor_seconds": 60.0,
            "trained_sha256": f"{number:064x}",
        }
        trial = create_trial(values=(accuracy, energy), user_attrs={ENDED: ended})
        trial.number = number
        trials.append(trial)
    return found_table(trials, search, params)


def test_a_command_sets_the_same_after_any_other(
    table: pd.DataFrame, search: Search, params: Params, tmp_path: Path
) -> None:
    """`dvc exp run` leaves what it sets in params.yaml."""
    drawn = draws(search.space, len(RESULTS))
    left = params.model_dump(mode="json")
    rows = table.to_dict("records")
    for row in (*rows, *reversed(rows)):
        words = shlex.split(row["command"])
        assert words[:3] == ["dvc", "exp", "run"]
        (tmp_path / "set.yaml").write_text(
            "\n".join(word.replace("=", ": ", 1) for word in words[3:] if word != "-S")
        )
        left = with_values(left, read_yaml(tmp_path / "set.yaml", ArtifactError))
        assert parse_params(left) == search.space.params(drawn[row["trial"]])


def test_the_front_and_the_table(table: pd.DataFrame, search: Search) -> None:
    lines = [line.strip() for line in front_text(table, "45nm-fp32").splitlines()]
    front = table["command"][table["on_front"] == 1]
    assert [line for line in lines if "dvc exp run" in line] == list(front)
    read = table.to_dict("records")
    assert [int(row["trial"]) for row in read] == [0, 1, 2, 3, 4]
    assert {int(row["trial"]) for row in read if row["on_front"]} == FRONT
    assert [float(row["energy_nj_per_inference"]) for row in read] == [
        e for _, e in RESULTS
    ]
