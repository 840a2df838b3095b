"""The table of what was found, the front in it, and the commands that repeat its points."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import read_csv, write_csv
from spikejoule.core.yaml_files import read_yaml
from spikejoule.params import Params, load_params, parse_params
from spikejoule.search.front import (
    FoundTable,
    found_png,
    found_table,
    found_text,
    write_found,
)
from spikejoule.search.settings import load_search
from spikejoule.search.space import SearchSpace, search_space, with_values
from tests.search.test_space import Draws

RESULTS = [(90.0, 5.0), (95.0, 7.0), (94.0, 9.0), (97.0, 20.0), (97.0, 21.0)]
FRONT = {0, 1, 3}


@pytest.fixture
def current(repository: Path) -> Params:
    return load_params(repository / "params.yaml")


@pytest.fixture
def space(repository: Path, current: Params) -> SearchSpace:
    return search_space(load_search(repository / "search.yaml"), current, "search.yaml")


@pytest.fixture
def found(space: SearchSpace) -> dict[int, tuple[dict[str, Any], dict[str, Any]]]:
    return {
        number: (
            {
                "validation_accuracy_percent": accuracy,
                "energy_nj_per_inference": energy,
                "synaptic_events_per_inference": 100 * energy,
                "best_epoch": 3,
                "trained_sha256": f"{number:064x}",
            },
            space.draw(Draws(number)),
        )
        for number, (accuracy, energy) in enumerate(RESULTS)
    }


def test_the_front_and_its_commands(
    found: Any, space: SearchSpace, current: Params, tmp_path: Path
) -> None:
    table = found_table(found, space, current)
    assert [row.trial for row in table.rows] == [0, 1, 2, 3, 4]
    assert {row.trial for row in table.front} == FRONT
    for row in table.rows:
        words = shlex.split(row.command)
        assert words[:3] == ["dvc", "exp", "run"]
        (tmp_path / "set.yaml").write_text(
            "\n".join(word.replace("=", ": ", 1) for word in words[3:] if word != "-S")
        )
        values = read_yaml(tmp_path / "set.yaml", ArtifactError)
        made = parse_params(with_values(current.model_dump(mode="json"), values))
        assert made == space.params(found[row.trial][1])
    text = found_text(table, "45nm-fp32")
    assert [line.strip() for line in text.splitlines() if "dvc exp run" in line] == [
        row.command for row in table.front
    ]


def test_the_file_reads_back_and_a_changed_one_is_refused(
    found: Any, space: SearchSpace, current: Params, tmp_path: Path
) -> None:
    file = tmp_path / "search.csv"
    table = found_table(found, space, current)
    write_found(table, file)
    assert FoundTable.read(file) == table
    assert set(table.drawn) == {entry.key for entry in space.entries}
    rows = read_csv(file, FoundTable.columns())
    rows[0]["on_front"] = "0"
    write_csv(file, tuple(rows[0]), [tuple(row.values()) for row in rows])
    with pytest.raises(ArtifactError, match="row 2: on_front is 0, but by the accuracies"):
        FoundTable.read(file)


def test_the_figure_depends_on_the_trials(found: Any, space: SearchSpace, current: Params) -> None:
    table = found_table(found, space, current)
    png = found_png(table, "45nm-fp32", "5 trials")
    assert png.startswith(b"\x89PNG")
    assert png == found_png(table, "45nm-fp32", "5 trials")
    fewer = found_table({0: found[0]}, space, current)
    assert png != found_png(fewer, "45nm-fp32", "5 trials")
