"""Both kinds of networks share one space and one budget of processor time."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from optuna.trial import TrialState

from spikejoule.baselines.counts import BASELINE
from spikejoule.core.errors import ParameterError
from spikejoule.core.npz import arrays_digest
from spikejoule.data.dataset import Dataset, describe
from spikejoule.search.study import by_state, run_trials
from spikejoule.search.trial import SearchData, run_trial
from stages import baseline
from tests.search.conftest import SearchOf, trials_of
from tests.tools.without_torch import needs_torch

pytestmark = pytest.mark.slow  # for the extra

FIXED = {"train.max_epochs": 3, "model.state_bits": 16, "encode.encoding": "latency"}
DRAWN = {
    "model.hidden": [12],
    "model.bias": False,
    "model.weight_bits": 4,
    "train.pruned_fraction": 0.5,
}


@pytest.fixture
def data(mnist5k: Dataset) -> SearchData:
    small = replace(mnist5k, train=mnist5k.train.select(slice(400)))
    validation = small.test.select(slice(100))
    return SearchData(
        small.train, validation, describe(small, small.train, validation, False)
    )


@pytest.fixture
def of_side(search_of: SearchOf) -> SearchOf:
    entries = {key: [value] for key, value in DRAWN.items()}
    return partial(
        search_of, entries, trials=50, fixed=FIXED, energy="lemaire-complete-int8"
    )


@needs_torch
def test_a_conventional_trial_is_what_its_command_trains(
    repository: Path,
    of_side: SearchOf,
    data: SearchData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same weights as the member of the family in the stage `baseline`."""
    asked = of_side(side="conventional")
    drawn = asked.space.params(DRAWN)
    assert drawn.baseline.family_hidden == (12,)
    metrics, digest = run_trial(drawn, data, asked, None)
    names = ("train", "validation", "test", "baseline", "baseline_metrics")
    paths = {name: tmp_path / name for name in (*names, "baseline_timings")}
    data.train.save(paths["train"])
    for name in ("validation", "test"):
        data.validation.save(paths[name])
    shutil.copy(repository / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    baseline.main(paths, drawn)
    arrays = BASELINE.read(paths["baseline"])
    assert (
        str(arrays["names"][2])
        == "ReLU 784-12-10, 50 % pruned, 4 bits, 16-bit sums, no bias"
    )
    prefix = "baseline3."
    weights = {
        name.removeprefix(prefix): of
        for name, of in arrays.items()
        if f"{prefix}l" in name
    }
    assert arrays_digest(weights) == digest
    assert (
        arrays["validation_accuracy_percent"][2]
        == metrics["validation_accuracy_percent"]
    )
    assert (
        arrays["baseline3.macs_nonzero"].sum(axis=1).mean()
        == metrics["macs_per_inference"]
    )


@needs_torch
@pytest.mark.parametrize("side", ["spiking", "conventional"])
def test_none_begins_after_the_processor_time(
    side: str,
    of_side: SearchOf,
    data: SearchData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spikejoule.search.study.load_data", lambda *_: data)
    asked = of_side(side=side, processor_minutes=1e-6)
    run_trials(asked)
    (trial,) = by_state(trials_of(asked))[TrialState.COMPLETE]
    ended = trial.user_attrs["ended"]
    assert ended["processor_seconds"] > 1e-6
    assert 0 < ended["metrics"]["energy_nj_per_inference"] < 100


def test_several_hidden_layers_are_no_family(of_side: SearchOf) -> None:
    with pytest.raises(ParameterError, match=r"model\.hidden: .*one hidden layer"):
        of_side(side="conventional").space.params(DRAWN | {"model.hidden": [12, 9]})
