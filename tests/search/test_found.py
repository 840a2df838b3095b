"""The table of what was found, the front in it, and the commands that repeat its points."""

import shlex
from pathlib import Path

import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import read_csv
from spikejoule.core.yaml_files import read_yaml
from spikejoule.params import load_params, parse_params
from spikejoule.search.found import (
    COLUMNS,
    FoundTrial,
    found_trials,
    front_png,
    front_text,
    write_table,
)
from spikejoule.search.settings import load_search
from spikejoule.search.space import search_space, with_values
from spikejoule.search.trial import TrialResult
from tests.search.test_space import Draws

RESULTS = [(90.0, 5.0), (95.0, 7.0), (94.0, 9.0), (97.0, 20.0), (97.0, 21.0)]
FRONT = {0, 1, 3}


@pytest.fixture
def trials(repository: Path) -> list[FoundTrial]:
    current = load_params(repository / "params.yaml")
    settings = load_search(repository / "search.yaml")
    space = search_space(settings, current, "search.yaml")
    found = {
        number: (
            TrialResult(accuracy, 100 * energy, energy, 3, f"{number:064x}"),
            space.draw(Draws(number)),
        )
        for number, (accuracy, energy) in enumerate(RESULTS)
    }
    return found_trials(found, space, settings.fixed, current)


def test_the_front(trials: list[FoundTrial]) -> None:
    assert [one.trial for one in trials] == [0, 1, 2, 3, 4]
    assert {one.trial for one in trials if one.on_front} == FRONT
    lines = front_text(trials, "45nm-fp32").splitlines()
    assert [line.strip() for line in lines if "dvc exp run" in line] == [
        one.command for one in trials if one.on_front
    ]


def test_a_command_sets_the_same_after_any_other(
    repository: Path, trials: list[FoundTrial], tmp_path: Path
) -> None:
    """`dvc exp run` leaves what it sets in params.yaml."""
    current = load_params(repository / "params.yaml")
    settings = load_search(repository / "search.yaml")
    space = search_space(settings, current, "search.yaml")
    left = current.model_dump(mode="json")
    for one in (*trials, *reversed(trials)):
        words = shlex.split(one.command)
        assert words[:3] == ["dvc", "exp", "run"]
        (tmp_path / "set.yaml").write_text(
            "\n".join(word.replace("=", ": ", 1) for word in words[3:] if word != "-S")
        )
        left = with_values(left, read_yaml(tmp_path / "set.yaml", ArtifactError))
        assert parse_params(left) == space.params(one.drawn)


def test_the_table_and_the_figure(trials: list[FoundTrial], tmp_path: Path) -> None:
    file = tmp_path / "search.csv"
    write_table(trials, ["model.hidden"], file)
    rows = read_csv(file, [*COLUMNS, "model.hidden"])
    assert {int(row["trial"]) for row in rows if row["on_front"] == "1"} == FRONT
    assert [row["command"] for row in rows] == [one.command for one in trials]
    assert [float(row["energy_nj_per_inference"]) for row in rows] == [e for _, e in RESULTS]
    png = front_png(trials, "45nm-fp32", "5 trials")
    assert png.startswith(b"\x89PNG")
    assert png == front_png(trials, "45nm-fp32", "5 trials")
    assert png != front_png(trials[:1], "45nm-fp32", "5 trials")
