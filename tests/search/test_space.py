"""search.yaml: what may be in it, in one sentence what may not, and what is drawn from it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")

from optuna.samplers import RandomSampler  # noqa: E402

from spikejoule.core.errors import ParameterError  # noqa: E402
from spikejoule.energy import load_profiles  # noqa: E402
from spikejoule.params import Params  # noqa: E402
from spikejoule.search.space import (  # noqa: E402
    SearchSpace,
    check_trial,
    load_search,
    search_space,
)

RATE = ": 20 is not allowed; allowed: a number above 0 and of at most 10"
ENTRY = "is not allowed; allowed: a list of values, or a range {from: A, to: B}"
CONTENT: dict[str, Any] = {
    "study": "a",
    "trials": 3,
    "energy": "45nm-fp32",
    "fixed": {"train.max_epochs": 2},
    "space": {"train.lr": {"from": 0.001, "to": 0.02, "log": True}},
}


def space_of(tmp_path: Path, params: Params, **changes: Any) -> SearchSpace:
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(CONTENT | changes), encoding="utf-8")
    return search_space(load_search(file), params, "search.yaml")


def draws(space: SearchSpace, number: int) -> list[tuple[list[str], dict[str, Any]]]:
    """What so many trials draw at random, and the order in which they do."""
    study = optuna.create_study(sampler=RandomSampler(seed=number))
    trials = [study.ask() for _ in range(number)]
    drawn = [dict(space.draw(trial)) for trial in trials]
    return [(list(trial.params), values) for trial, values in zip(trials, drawn, strict=True)]


def test_the_projects_own_file_is_allowed(repository: Path, params: Params) -> None:
    settings = load_search(repository / "search.yaml")
    space = search_space(settings, params, "search.yaml")
    of_model = {f"model.{key}" for key in ("hidden", "threshold", "decay", "weight_bits")}
    of_train = {"train.lr", "train.pruned_fraction"}
    assert {"encode.encoding", "encode.time_window", *of_model, *of_train} <= set(settings.space)
    for _, drawn in draws(space, 50):
        made = space.params(drawn)
        assert made.train.max_epochs == settings.fixed["train.max_epochs"]
        flat = made.flattened()
        assert all(flat[key] in (value, [value]) for key, value in drawn.items())


def test_a_side_draws_what_changes_its_networks(repository: Path, params: Params) -> None:
    settings = load_search(repository / "search.yaml")
    conventional = settings.model_copy(update={"side": "conventional"})
    assert {*search_space(conventional, params, "search.yaml").entries} == {
        "model.hidden", "model.weight_bits", "train.pruned_fraction", "baseline.lr"
    }  # fmt: skip
    spiking = search_space(settings, params, "search.yaml").entries
    assert {*settings.space} - {*spiking} == {"baseline.lr"}
    nothing = conventional.model_copy(update={"space": {"train.lr": [0.1]}})
    with pytest.raises(ParameterError, match="nothing that changes a network of side conventional"):
        search_space(nothing, params, "search.yaml")


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("train.lr", {"from": 0.001, "to": 20}, RATE),
        ("train.lr", [0.1, 20], RATE),
        ("train.lr", {"from": 1, "to": 0.1}, ENTRY),
        ("model.decay", {"from": 0, "to": 1, "log": True}, ENTRY),
        ("encode.time_window", {"from": 5, "to": 9, "step": 0.5}, ENTRY),
        ("encode.code", ["latency"], ": is called encode.encoding now; rename the key"),
        ("model.hidden", [], ENTRY),
        ("train.lrr", [1.0], ": 1.0 is given to an unknown key (did you mean lr?); allowed"),
        *((key, [1, 2], ": is no parameter of a trial") for key in ("seed", "train.threads")),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_allowed(
    tmp_path: Path, params: Params, key: str, content: Any, words: str
) -> None:
    with pytest.raises(ParameterError) as error:
        space_of(tmp_path, params, space={key: content})
    assert str(error.value).startswith(f"search.yaml: space.{key}")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"study": "a b"}, "study: 'a b' is not allowed; allowed: a name of 1 to 100 letters"),
        ({"spaces": {}}, "spaces: {} is given to an unknown key (did you mean space?)"),
        ({"space": {}}, "space: {} is not allowed; allowed: parameters by full key"),
        ({"fixed": {"train.max_epochs": 0}}, "fixed.train.max_epochs: 0 is not allowed; allowed: "),
    ],
)
def test_the_files_own_keys(
    tmp_path: Path, params: Params, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError) as error:
        space_of(tmp_path, params, **changes)
    assert f"search.yaml: {words}" in str(error.value)
    assert "\n" not in str(error.value)


def test_kinds_are_drawn_first_and_idle_parameters_never(tmp_path: Path, params: Params) -> None:
    own = {"latency": "encode.latency_threshold", "poisson": "encode.max_rate"}
    entries = {
        "encode.latency_threshold": {"from": 0.1, "to": 0.3},
        "encode.max_rate": [50, 80],
        "encode.encoding": ["latency", "poisson"],
    }
    found = draws(space_of(tmp_path, params, space=entries), 20)
    for order, drawn in found:
        assert order == ["encode.encoding", own[drawn["encode.encoding"]]] == list(drawn)
    assert {drawn["encode.encoding"] for _, drawn in found} == set(own)


def test_draws_stay_in_their_range_and_are_short(tmp_path: Path, params: Params) -> None:
    entries = {
        "train.lr": {"from": 0.00123456, "to": 0.00133456, "log": True},
        "model.threshold": {"from": 0.1, "to": 1.0, "step": 0.2},
        "encode.time_window": {"from": 5, "to": 10, "step": 2},
        "model.hidden": [100, [50, 20]],
    }
    found = [drawn for _, drawn in draws(space_of(tmp_path, params, space=entries), 60)]
    rates = {drawn["train.lr"] for drawn in found}
    assert rates - {0.00123456, 0.00133456} == {float(f"{rate:.4g}") for rate in rates} & rates
    assert 0.00123456 <= min(rates) < max(rates) <= 0.00133456
    assert {drawn["model.threshold"] for drawn in found} == {0.1, 0.3, 0.5, 0.7, 0.9}
    assert {drawn["encode.time_window"] for drawn in found} == {5, 7, 9}
    assert all(type(drawn["encode.time_window"]) is int for drawn in found)
    assert {str(drawn["model.hidden"]) for drawn in found} == {"100", "[50, 20]"}


def test_a_measure_of_energy_covers_what_is_computed(params: Params) -> None:
    profiles = load_profiles()
    integers = next(one for one in profiles.values() if one.numbers == "int8")
    with pytest.raises(ParameterError, match="weight_bits: 32 is not what energy: "):
        check_trial(params, integers)
    check_trial(params, profiles["45nm-fp32"])
