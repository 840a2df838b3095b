"""What a user's loop may do: evaluate, freeze, accumulate, use several optimizers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule import Population
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.energy.dataflow import DENSE
from spikejoule.energy.training.counting import count_training
from spikejoule.tracker.energies import COUNTED
from tests.tracker.chains import Neurons, neurons_of
from tests.tracker.test_products import BATCH, STEPS, InTime, lif

Optimizers = Callable[[nn.Module], Any]


def network() -> InTime:
    return InTime(nn.Linear(30, 20), lif(), nn.Linear(20, 4), lif())


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([x for x in model.parameters() if x.requires_grad])


def tracked(model: nn.Module, optimizer: Any, **changed: Any) -> spikejoule.Tracker:
    settings: Any = {"time_axis": 0, "neurons": neurons_of("arctangent")}
    return spikejoule.track(model, optimizer, **(settings | changed))


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return (torch.rand(STEPS, BATCH, 30) < 0.3).float()


def backward(model: nn.Module, x: Tensor) -> None:
    nn.functional.cross_entropy(model(x), torch.zeros(x.shape[1]).long()).backward()


def inside(tracking: spikejoule.Tracker, *actions: Callable[[], Any]) -> None:
    with tracking:
        for act in actions:
            act()


def counts(tracker: spikejoule.Tracker, *terms: str) -> int:
    return int(count_training(tracker.record, DENSE, COUNTED).of(*terms).sum())


def by_place(tracker: spikejoule.Tracker, term: str) -> dict[str, int]:
    counted = count_training(tracker.record, DENSE, COUNTED)
    return {
        column.place: int(own.sum())
        for column, own in zip(counted.columns, counted.counts.T, strict=True)
        if column.term == term
    }


class TestCounted:
    def test_passes_that_do_not_train_are_apart(self, x: Tensor) -> None:
        model = network()
        model.eval()
        expected = spikejoule.price(
            model, x, time_axis=0, neurons=neurons_of("arctangent"), progress=False
        )
        optimizer = adam(model)
        with tracked(model, optimizer) as tracker:
            model(x)
            model.train()
            with torch.no_grad():
                model(x)
            backward(model, x)
            optimizer.step()
        assert tracker.evaluation is not None
        assert int(tracker.evaluation.samples_of_row.sum()) == 2 * BATCH
        total = expected.activity.events.sum()
        assert tracker.evaluation.events.sum() == 2 * total
        assert tracker.record.samples == BATCH
        assert tracker.record.activity.events.sum() == total

    def test_price_in_the_block(self, x: Tensor) -> None:
        """It finds what it finds outside, and nothing of what the tracker computes."""
        model = network().eval()
        optimizer = adam(model)
        settings: Any = {"time_axis": 0, "neurons": neurons_of("arctangent")}
        outside = spikejoule.price(model, x, progress=False, **settings)
        with tracked(model, optimizer) as tracker:
            inside_it = spikejoule.price(model, x, progress=False, **settings)
            backward(model.train(), x)
            optimizer.step()
        assert outside.not_counted == inside_it.not_counted == ()
        assert inside_it.table.equals(outside.table)
        assert tracker.record.samples == BATCH

    def test_epochs_are_rows(self, x: Tensor) -> None:
        model = network()
        optimizer = adam(model)
        with tracked(model, optimizer) as tracker:
            for n_batches in (1, 2):
                for _ in range(n_batches):
                    backward(model, x)
                    optimizer.step()
                tracker.end_epoch()
        assert tracker.record.activity.samples_of_row.tolist() == [BATCH, 2 * BATCH]
        assert tracker.record.batches.tolist() == [1, 2]
        assert {*tracker.table.epoch} == {1, 2}

    def test_accumulation_adds_gradients_and_steps_once(self, x: Tensor) -> None:
        model = network()
        optimizer = adam(model)
        with tracked(model, optimizer) as accumulated:
            for _ in range(3):
                backward(model, x)
            optimizer.step()
        with tracked(model, optimizer) as stepped:
            for _ in range(3):
                backward(model, x)
                optimizer.step()
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        products = ("mac", "gradient_mac", "backpropagation_mac")
        assert counts(accumulated, *products) == counts(stepped, *products)
        assert counts(accumulated, "optimizer_root") == n_parameters
        assert counts(stepped, "optimizer_root") == 3 * n_parameters
        assert counts(accumulated, "gradient_accumulation") == 2 * n_parameters
        assert counts(stepped, "gradient_accumulation") == 0

    def test_several_optimizers_update_their_own_parameters(self, x: Tensor) -> None:
        model = network()
        first = torch.optim.Adam(model.each[0].parameters())
        second = torch.optim.SGD(model.each[2].parameters(), momentum=0.9)
        with tracked(model, [first, second]) as tracker:
            for number in range(4):
                backward(model, x)
                first.step()
                if number % 2:
                    second.step()
        assert by_place(tracker, "optimizer_root") == {"each.0": 2400, "each.1": 80}
        accesses = by_place(tracker, "moment_access")
        assert accesses["each.2"] == 2 * 2 * 80  # two steps, read and written
        assert tracker.not_counted == tracker.not_counted[-1:]

    @pytest.mark.parametrize(
        ("make", "terms"),
        [
            (
                torch.optim.SGD,
                {"optimizer_multiplication": 1, "optimizer_addition": 1},
            ),
            (
                lambda x: torch.optim.SGD(x, momentum=0.9),
                {"optimizer_multiplication": 2, "moment_access": 2},
            ),
            (
                torch.optim.RMSprop,
                {"optimizer_multiplication": 4, "optimizer_division": 1},
            ),
            (
                lambda x: torch.optim.AdamW(x, weight_decay=0.1),
                {"optimizer_multiplication": 7, "optimizer_addition": 4},
            ),
            (
                lambda x: torch.optim.Adam(x, weight_decay=0.1),
                {"optimizer_multiplication": 7, "optimizer_addition": 5},
            ),
        ],
    )
    def test_rules(self, make: Any, terms: dict[str, int], x: Tensor) -> None:
        model = network()
        optimizer = make(model.parameters())
        with tracked(model, optimizer) as tracker:
            backward(model, x)
            optimizer.step()
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        for term, of_each in terms.items():
            assert counts(tracker, term) == of_each * n_parameters, term

    def test_clipping_is_seen(self, x: Tensor) -> None:
        for clips in (False, True):
            model = network()
            optimizer = adam(model)
            with tracked(model, optimizer) as tracker:
                backward(model, x)
                if clips:
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            assert tracker.record.clipping == clips

    def test_a_loop_that_calls_the_model_for_each_step(self, x: Tensor) -> None:
        whole = network()
        single = network()
        single.load_state_dict(whole.state_dict())
        with tracked(whole, adam(whole)) as expected:
            backward(whole, x)
        with tracked(
            single.each, adam(single), time_axis="none", loop_steps=STEPS
        ) as tracker:
            single(x).sum().backward()
        assert tracker.record.activity.time_window == STEPS
        events = tracker.record.activity.events
        assert (events == expected.record.activity.events).all()
        assert (tracker.record.touched == expected.record.touched).all()

    def test_a_model_that_fails_leaves_no_counts(self, x: Tensor) -> None:
        model = network()
        with tracked(model, adam(model)) as tracker:
            with pytest.raises(RuntimeError):
                model(torch.rand(STEPS, BATCH, 31))
            backward(model, x)
        assert tracker.record.samples == BATCH

    def test_it_names_what_it_does_not_count(self, x: Tensor) -> None:
        model = InTime(nn.Linear(30, 20), nn.BatchNorm1d(20), lif(), nn.Linear(20, 4))
        optimizer = torch.optim.Adagrad(model.parameters())
        with tracked(model, optimizer, neurons={Neurons: Population()}) as tracker:
            backward(model, x)
        words = ", ".join(tracker.not_counted)
        assert "the steps of Adagrad, as it is set" in words
        assert "each.1 (its statistics and backward pass)" in words
        assert "each.1.weight (its gradient and updates)" in words
        assert "the surrogate derivatives" in words


class TestRefused:
    def test_arguments(self) -> None:
        model = network()
        with pytest.raises(ParameterError, match="must be a torch.optim optimizer"):
            tracked(model, model)
        with pytest.raises(ParameterError, match="has no parameter of the model"):
            tracked(model, adam(network()))
        with pytest.raises(ParameterError, match="set time_axis='none'"):
            tracked(model, adam(model), loop_steps=3)
        with pytest.raises(ParameterError, match="surrogate is 'x'; allowed: arctan"):
            Population(surrogate="x")
        with pytest.raises(ParameterError, match="profile: 'x' is not allowed"):
            tracked(model, adam(model), profile="x")

    def test_mixed_precision(self, x: Tensor) -> None:
        model = network()
        with (
            pytest.raises(ParameterError, match="leave out autocast"),
            tracked(model, adam(model)),
            torch.autocast("cpu", torch.bfloat16),
        ):
            model(x)

    def test_steps_without_the_passes_that_they_need(self, x: Tensor) -> None:
        model = network()
        optimizer = adam(model)
        with pytest.raises(ParameterError, match="without a backward pass"):
            inside(tracked(model, optimizer), lambda: model(x), optimizer.step)
        model.eval()
        with pytest.raises(ParameterError, match="with model.train"):
            inside(
                tracked(model, optimizer), lambda: backward(model, x), optimizer.step
            )
        model.train()

        def twice() -> None:
            loss = model(x).sum()
            loss.backward(retain_graph=True)
            loss.backward()

        with pytest.raises(ParameterError, match="2 backward passes, but 1 forward"):
            inside(tracked(model, optimizer), twice, optimizer.step)

    def test_freezing_inside_the_block(self, x: Tensor) -> None:
        model = network()
        freeze = partial(model.each[0].requires_grad_, False)
        with pytest.raises(ParameterError, match="in a block of its own"):
            inside(tracked(model, adam(model)), lambda: backward(model, x), freeze)

    def test_blocks_without_training(self, x: Tensor) -> None:
        model = network()
        with (
            pytest.raises(ArtifactError, match="no forward pass in training mode"),
            tracked(model, adam(model)),
        ):
            model.eval()(x)
        with tracked(model, adam(model)) as tracker:
            with pytest.raises(ParameterError, match="after each epoch"):
                tracker.end_epoch()
            with pytest.raises(ParameterError, match="allowed: 0 to 100"):
                tracker.end_epoch(101)
            assert "being counted: 0 batches" in str(tracker)
            with pytest.raises(ArtifactError, match="still being counted"):
                tracker.record  # noqa: B018
            backward(model.train(), x)
        with pytest.raises(ParameterError, match="track again"), tracker:
            pass

    def test_steps_that_are_not_the_models(self, x: Tensor) -> None:
        model = network()
        with (
            pytest.raises(DataError, match="the 6 samples of 5 steps were not found"),
            tracked(model.each, adam(model)),
        ):
            model.each(x)

        def step(n_samples: int) -> None:
            model.each[1].v = model.each[3].v = 0.0
            model.each(torch.rand(n_samples, 30))

        steps = tracked(model.each, adam(model), time_axis="none", loop_steps=4)
        with pytest.raises(DataError, match="set loop_steps"):
            inside(steps, *(partial(step, size) for size in (6, 6, 5)))


class TestReport:
    def test_prints_saves_and_logs(
        self, x: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mlflow = pytest.importorskip("mlflow")
        model = network()
        optimizer = adam(model)
        with tracked(model, optimizer) as tracker:
            for percent in (40, 60):
                optimizer.zero_grad()
                backward(model, x)
                optimizer.step()
                tracker.end_epoch(accuracy_percent=percent)
        total = tracker.energies.total("by events")
        by_epoch = tracker.energies.by_epoch("by events")
        assert 0 < total.low_j < total.high_j < tracker.energies.total("dense").low_j
        assert by_epoch.shape == (2, 2)
        np.testing.assert_allclose(by_epoch.sum(axis=1), total)
        lines = str(tracker).splitlines()
        assert lines[0].startswith("energy by events")
        assert "under lemaire-complete" in lines[0]
        events = int(tracker.record.activity.events.sum())
        assert f"{events:,}" in str(tracker)
        assert "<td>" in tracker._repr_html_()
        table = tracker.table
        added = table[(table.way == "by events") & (table.term == "synaptic_event")]
        assert added["count"].sum() == events

        tracker.save(tmp_path / "training.html")
        page = (tmp_path / "training.html").read_text(encoding="utf-8")
        assert page.count("<svg") == 1
        assert "Training reaches its best accuracy of 60.00 % after" in page
        assert ">Accuracy (%)<" in page
        assert "<dt>not counted</dt>" in page
        assert "epoch 1" not in page  # a row of a table
        assert "http://" not in page.replace("http://www.w3.org", "")

        monkeypatch.chdir(tmp_path)
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
        try:
            with mlflow.start_run() as run:
                tracker.log_to_mlflow()
            tracker.log_to_mlflow()
            assert mlflow.active_run() is None
            logged = mlflow.get_run(run.info.run_id).data.metrics
            assert logged["training_by_events_high_j"] == total.high_j
            client = mlflow.MlflowClient()
            curve = client.get_metric_history(
                run.info.run_id, "by_epoch/accuracy_percent"
            )
            assert [(point.step, point.value) for point in curve] == [(1, 40), (2, 60)]
            assert len(mlflow.search_runs()) == 2
        finally:
            mlflow.set_tracking_uri(None)


class TestRepeatedCalls:
    """Calls in a loop over time are counted together, with the counts of each alone."""

    @pytest.mark.parametrize("graded", [False, True])
    def test_tensors_that_the_model_changes(self, x: Tensor, graded: bool) -> None:
        class Changing(nn.Module):
            """Drops spikes in place after a layer has read them."""

            def __init__(self) -> None:
                super().__init__()
                self.first = nn.Linear(30, 20)
                self.lif = lif()
                self.second = nn.Linear(20, 4).requires_grad_(False)
                self.third = nn.Linear(20, 4)
                self.expected = 0

            def forward(self, x: Tensor) -> Tensor:
                self.lif.v = 0.0
                total = torch.zeros(x.shape[1], 4)
                for step in x:
                    spikes = self.lif(self.first(3 * step if graded else step))
                    total = total + self.second(spikes.detach())
                    self.expected += 4 * int(spikes.sum())
                    spikes = spikes.clone()
                    spikes.mul_((torch.rand_like(spikes) < 0.5).float())
                    self.expected += 4 * int(spikes.sum())
                    total = total + self.third(spikes)
                return total

        model = Changing()
        with tracked(model, adam(model)) as tracker:
            for _ in range(2):
                model(x).sum().backward()
        layers = ("second", "third")
        events = [tracker.record.activity.counts[name].events for name in layers]
        assert np.sum(events) == model.expected > 0
        first = tracker.record.activity.counts["first"].events
        size = 3 if graded else 1
        assert first is not None
        assert first[0] == 2 * 20 * size * int(x.sum())

    def test_values_in_later_steps_only(self, x: Tensor) -> None:
        model = network()
        values = x.clone()
        values[-1] *= 0.5
        with tracked(model, adam(model)) as tracker:
            backward(model, values)
        counts_of_first = tracker.record.activity.counts["each.0"]
        assert counts_of_first.events is None
        assert counts_of_first.macs is not None
        assert counts_of_first.macs[0] == 20 * int(x.sum())
