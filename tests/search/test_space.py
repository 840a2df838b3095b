"""search.yaml: what may stand in it, in one sentence what may not, and what is drawn from it."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.core.errors import ParameterError
from spikejoule.energy import load_profiles
from spikejoule.params import Params, load_params
from spikejoule.search.settings import load_search
from spikejoule.search.space import SearchSpace, check_trial, search_space

CONTENT: dict[str, Any] = {
    "study": "a",
    "trials": 3,
    "energy": "45nm-fp32",
    "fixed": {"train.max_epochs": 2},
    "space": {"train.lr": {"from": 0.001, "to": 0.02, "log": True}},
    "stop": {"after_fraction": None, "margin_percent": 1.0},
}


class Draws:
    """Draws at random as a trial of Optuna's does, which need not be installed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.requested: list[str] = []

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.requested.append(name)
        assert all(isinstance(one, str | int | float | None) for one in choices)
        return self.random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.requested.append(name)
        assert (high - low) % step == 0
        return self.random.randrange(low, high + 1, step)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.requested.append(name)
        if step is not None:
            return low + step * self.random.randrange(round((high - low) / step) + 1)
        return self.random.choice([low, high, self.random.uniform(low, high)])


@pytest.fixture
def params(repository: Path) -> Params:
    return load_params(repository / "params.yaml")


def space_of(tmp_path: Path, params: Params, **changes: Any) -> SearchSpace:
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(CONTENT | changes), encoding="utf-8")
    return search_space(load_search(file), params, "search.yaml")


def test_the_projects_own_file_is_allowed(repository: Path, params: Params) -> None:
    settings = load_search(repository / "search.yaml")
    space = search_space(settings, params, "search.yaml")
    of_model = {f"model.{key}" for key in ("hidden", "threshold", "decay", "weight_bits")}
    of_train = {"train.lr", "train.pruned_fraction"}
    assert {"encode.encoding", "encode.time_window", *of_model, *of_train} <= set(settings.space)
    for seed in range(50):
        drawn = space.draw(Draws(seed))
        made = space.params(drawn)
        assert made.train.max_epochs == settings.fixed["train.max_epochs"]
        flat = made.flattened()
        assert all(flat[key] in (value, [value]) for key, value in drawn.items())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"space": {"train.lr": {"from": 0.001, "to": 20}}},
         "search.yaml: space.train.lr.to: 20 is not allowed; allowed: a number above 0 and of at "
         "most 10"),
        ({"space": {"train.lr": {"from": "0.001", "to": 2}}},
         "search.yaml: space.train.lr.from: '0.001' is not allowed; allowed: a number above 0 and "
         "of at most 10"),
        ({"space": {"train.lr": {"from": 0.1, "to": 0.01}}},
         "search.yaml: space.train.lr.to: 0.01 is not allowed; allowed: above from, which is 0.1"),
        ({"space": {"train.lr": {"from": 0.1, "upto": 1}}},
         "search.yaml: space.train.lr: {'from': 0.1, 'upto': 1} is not allowed; allowed: a range "
         "{from: A, to: B}, with step or log"),
        ({"space": {"train.lr": {"from": 0.1, "to": 1, "log": True, "step": 0.1}}},
         "search.yaml: space.train.lr.log: true is not allowed; allowed: true with from above 0 "
         "and no step"),
        ({"space": {"model.decay": {"from": 0, "to": 1, "log": True}}},
         "search.yaml: space.model.decay.log: true is not allowed; allowed: true with from above 0 "
         "and no step"),
        ({"space": {"encode.time_window": {"from": 5, "to": 10, "step": 0.5}}},
         "search.yaml: space.encode.time_window.step: 0.5 is not allowed; allowed: a whole number "
         "up to to - from"),
        ({"space": {"encode.time_window": {"from": 0.5, "to": 10}}},
         "search.yaml: space.encode.time_window.from: 0.5 is not allowed; allowed: a whole number "
         "of at least 1 and of at most 10000"),
        ({"space": {"encode.code": ["latency", "poisson"]}},
         "search.yaml: space.encode.code: is called encode.encoding now; rename the key"),
        ({"space": {"encode.encoding": ["latency", "morse"]}},
         "search.yaml: space.encode.encoding: 'morse' is not allowed; allowed: direct, latency, "
         "none, poisson, regular"),
        ({"space": {"encode.encoding": {"from": "latency", "to": "poisson"}}},
         "search.yaml: space.encode.encoding.from: 'latency' is not allowed; allowed: direct, "
         "latency, none, poisson, regular"),
        ({"space": {"model.hidden": [100, 0]}},
         "search.yaml: space.model.hidden: 0 is not allowed; allowed: a whole number from 1 to "
         "65535, or a list of 1 to 8 of them"),
        ({"space": {"model.hidden": [100, 100]}},
         "search.yaml: space.model.hidden: [100, 100] is not allowed; allowed: each value once"),
        ({"space": {"model.hidden": []}},
         "search.yaml: space.model.hidden: [] is not allowed; allowed: a list of at least one "
         "value"),
        ({"space": {"model.hidden": 100}},
         "search.yaml: space.model.hidden: 100 is not allowed; allowed: a list of values, or a "
         "range {from: A, to: B}, with step or log"),
        ({"space": {"train.lrr": [1.0]}},
         "search.yaml: space.train.lrr: is no parameter of a trial (did you mean train.lr?); "
         "allowed: those of encode, model, train in params.yaml, but train.engine, train.device, "
         "train.threads, train.resume, train.distillation"),
        ({"fixed": {"train.max_epochs": 0}},
         "search.yaml: fixed.train.max_epochs: 0 is not allowed; allowed: a whole number of at "
         "least 1 and of at most 100000"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_one_sentence(
    tmp_path: Path, params: Params, changes: dict[str, Any], line: str
) -> None:
    with pytest.raises(ParameterError) as error:
        space_of(tmp_path, params, **changes)
    assert str(error.value) == line


@pytest.mark.parametrize("key", ["seed", "data.source", "evaluate.confidence", "train.threads"])
def test_a_key_that_trains_nothing_else(tmp_path: Path, params: Params, key: str) -> None:
    with pytest.raises(ParameterError, match=f"space.{key}: is no parameter of a trial"):
        space_of(tmp_path, params, space={key: [1, 2]})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 0}, "trials: 0 is not allowed; allowed: a whole number of at least 1"),
        ({"study": "a b"}, "study: 'a b' is not allowed; allowed: a name of 1 to 100 letters"),
        ({"study": ".hidden"}, "study: '.hidden' is not allowed"),
        ({"spaces": {}}, "spaces: {} is given to an unknown key (did you mean space?)"),
        ({"space": {}}, "space: {} is not allowed; allowed: parameters by full key"),
        ({"space": [1]}, "space: [1] is not allowed; allowed: parameters by full key"),
        ({"fixed": {"train.lr": 0.1}}, "fixed.train.lr: is in space, too; allowed: one of the two"),
        ({"stop": {"after_fraction": 2, "margin_percent": 1}}, "stop.after_fraction: 2 is not"),
        ({"stop": {"after_fraction": None}}, "stop.margin_percent: is missing"),
    ],
)
def test_the_files_own_keys(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(CONTENT | changes), encoding="utf-8")
    with pytest.raises(ParameterError) as error:
        load_search(file)
    assert str(error.value).startswith(f"{file}: {words}")
    assert "\n" not in str(error.value)


def test_kinds_are_drawn_first_and_idle_parameters_never(tmp_path: Path, params: Params) -> None:
    space = space_of(
        tmp_path,
        params,
        space={
            "encode.latency_threshold": {"from": 0.1, "to": 0.3},
            "encode.max_rate": [50, 80],
            "encode.encoding": ["latency", "poisson"],
        },
    )
    asked = set()
    for seed in range(20):
        draws = Draws(seed)
        drawn = space.draw(draws)
        assert draws.requested[0] == "encode.encoding"
        own = {"latency": "encode.latency_threshold", "poisson": "encode.max_rate"}
        assert set(drawn) == {"encode.encoding", own[str(drawn["encode.encoding"])]}
        asked |= set(drawn)
    assert len(asked) == 3


def test_draws_stay_in_their_range_and_are_short(tmp_path: Path, params: Params) -> None:
    entries = {
        "train.lr": {"from": 0.00123456, "to": 0.0198765, "log": True},
        "model.threshold": {"from": 0.1, "to": 1.0, "step": 0.2},
        "encode.time_window": {"from": 5, "to": 10, "step": 2},
        "model.hidden": [100, [50, 20]],
    }
    for seed in range(30):
        drawn = space_of(tmp_path, params, space=entries).draw(Draws(seed))
        rate = drawn["train.lr"]
        assert isinstance(rate, float)
        assert 0.00123456 <= rate <= 0.0198765
        assert rate in (0.00123456, 0.0198765) or rate == float(f"{rate:.4g}")
        assert drawn["model.threshold"] in (0.1, 0.3, 0.5, 0.7, 0.9)
        assert drawn["encode.time_window"] in (5, 7, 9)
        assert isinstance(drawn["encode.time_window"], int)
        assert drawn["model.hidden"] in (100, [50, 20])


def test_an_engine_runs_what_is_drawn(params: Params) -> None:
    asked = params.train.model_copy(update={"engine": "event", "device": "cuda"})
    with pytest.raises(ParameterError, match="engine event runs on the CPU alone"):
        check_trial(params.model_copy(update={"train": asked}), None)


def test_energy_prices_what_is_computed(params: Params) -> None:
    profiles = load_profiles()
    integers = next(one for one in profiles.values() if one.numbers == "int8")
    with pytest.raises(ParameterError, match="weight_bits: 32 is not what energy: "):
        check_trial(params, integers)
    check_trial(params, profiles["45nm-fp32"])
    direct = params.model_copy(
        update={"encode": params.encode.model_copy(update={"encoding": "direct"})}
    )
    check_trial(direct, profiles["45nm-fp32"])
    with pytest.raises(ParameterError, match="multiplies beside its synaptic events"):
        check_trial(direct, None)
