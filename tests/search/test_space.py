"""search.yaml: what is allowed, how it is refused, and what trials draw."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="needs optuna: the extra `search`")

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import parsed
from spikejoule.core.yaml_files import read_mapping
from spikejoule.network.layers import layers_of
from spikejoule.search.space import SearchSettings, SearchSpace
from spikejoule.search.study import random_trials
from tests.search.conftest import SearchOf

pytestmark = pytest.mark.slow  # for the extra

RATE = ": 20 is not allowed; allowed: less than or equal to 10"
ENTRY = "is not allowed; allowed: a list of values, or a range {from: A, to: B}"


def draws(space: SearchSpace, number: int) -> list[dict[str, Any]]:
    """Draw the values of random trials."""
    return [space.draw(trial) for trial in random_trials(number)]


def test_the_projects_own_file(repository: Path, search_of: SearchOf) -> None:
    """It is allowed, and each side draws what changes its networks."""
    content = read_mapping(repository / "search.yaml")
    settings = parsed(content, SearchSettings)
    space = search_of(**content).space
    for drawn in draws(space, 50):
        made = space.params(drawn)
        assert made.train.max_epochs == settings.fixed["train.max_epochs"]
        flat = made.flattened()
        assert all(flat[key] in (value, [value]) for key, value in drawn.items())
    assert {*settings.space} - {*space.entries} == {"baseline.lr"}
    conventional = search_of(**content | {"side": "conventional"}).space
    assert {*conventional.entries} == {
        "model.hidden",
        "model.weight_bits",
        "train.pruned_fraction",
        "baseline.lr",
    }
    with pytest.raises(
        ParameterError, match="no parameter that changes a network of side conventional"
    ):
        search_of({"train.lr": [0.1]}, side="conventional")


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("train.lr", {"from": 0.001, "to": 20}, RATE),
        (
            "encode.time_window",
            {"from": 5, "to": 9, "step": 0.5},
            ": 5.5 is not allowed; allowed",
        ),
        ("model.hidden", [], ENTRY),
        ("model.layers", [["400", "8c3"]], ", since the layer 8c3 follows 400"),
        (
            "train.lrr",
            [1.0],
            ": 1.0 is given to an unknown key (did you mean lr?)",
        ),
        ("train.threads", [1, 2], " is not a parameter of a trial"),
    ],
)
def test_an_entry_that_is_not_allowed(
    search_of: SearchOf, key: str, content: Any, words: str
) -> None:
    with pytest.raises(ParameterError) as error:
        search_of({key: content})
    assert str(error.value).startswith(f"space.{key}")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_draws_stay_in_their_range_and_are_short(search_of: SearchOf) -> None:
    entries = {
        "train.lr": {"from": 0.00123456, "to": 0.00133456, "log": True},
        "model.threshold": {"from": 0.1, "to": 1.0, "step": 0.2},
        "encode.time_window": {"from": 5, "to": 10, "step": 2},
        "model.hidden": [100, [50, 20]],
        "model.layers": [None, ["12c5s2", "2avg", 40]],
    }
    space = search_of(entries).space
    found = draws(space, 60)
    rates = {drawn["train.lr"] for drawn in found}
    assert (
        rates - {0.00123456, 0.00133456}
        == {float(f"{rate:.4g}") for rate in rates} & rates
    )
    assert 0.00123456 <= min(rates) < max(rates) <= 0.00133456
    assert {drawn["model.threshold"] for drawn in found} == {0.1, 0.3, 0.5, 0.7, 0.9}
    assert {drawn["encode.time_window"] for drawn in found} == {5, 7, 9}
    assert all(type(drawn["encode.time_window"]) is int for drawn in found)
    assert {str(drawn["model.hidden"]) for drawn in found} == {"100", "[50, 20]"}
    layers = {space.params(drawn).model.layers for drawn in found[:9]}
    assert layers == {None, layers_of(["12c5s2", "2avg", "40"])}


def test_a_measure_of_energy_covers_what_is_computed(search_of: SearchOf) -> None:
    space = search_of({"train.lr": [0.1]}, energy="lemaire-complete-int8").space
    with pytest.raises(ParameterError, match="weight_bits: 32 is not what energy: "):
        space.params({"model.weight_bits": 32})
    space.params({"model.weight_bits": 8})
