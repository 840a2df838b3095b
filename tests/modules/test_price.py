"""`spikejoule.price` on plain torch: what it counts, what it refuses, and its report."""

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.core.errors import ArtifactError, DataError, LimitError, ParameterError
from tests.modules.lif import LIF

N, T = 12, 5


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def dense(bias: bool = True) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(30, 20, bias=bias), LIF(), nn.Linear(20, 4), LIF())
    for weights in (model[0].weight, model[2].weight):
        weights.data.mul_(4)
    return model.eval()


def price(model: nn.Module, x: Any, **given: Any) -> spikejoule.Report:
    """Without a bar, with `LIF` as a neuron; notes are no warnings."""
    known = {"neurons": {LIF: spikejoule.Population()}, "progress": False, "time_axis": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spikejoule.price(model, x, **{**known, **given})


def counts(report: spikejoule.Report, term: str) -> dict[str, float]:
    """Means of a term by its place."""
    return {row["layer"]: row["count"] for row in report.analysis.records(term=term)}


@pytest.fixture
def spikes() -> Tensor:
    return (torch.rand(T, N, 30) < 0.3).float()


class TestCounts:
    def test_do_not_depend_on_batches_axes_or_dtype(self, spikes: Tensor) -> None:
        model = dense(bias=False)
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(spikes.transpose(0, 1), torch.arange(N) % 4), 5
        )
        whole = price(model, spikes)
        others = [
            price(model, spikes.transpose(0, 1), time_axis=1, batch_size=T),
            price(model, loader, time_axis=1),
            price(model, spikes.numpy().astype(bool)),
            price(model, spikes.to_sparse()),
        ]
        assert others[1].analysis.inputs.accuracy is not None
        with torch.inference_mode():
            others.append(price(model, spikes))
        for other in others:
            for kind in ("spikes", "events", "updates", "reads"):
                found, expected = (one.activity.counts[kind] for one in (other, whole))
                assert found.keys() == expected.keys()
                for name in found:
                    assert (found[name] == expected[name]).all(), (kind, name)
        for layer in (0, 2):
            nn.utils.parametrizations.weight_norm(model[layer])
        assert price(model, spikes).not_counted == ()
        halved = price(dense(bias=False).bfloat16(), spikes)
        assert (halved.activity.of("events", "Linear 0") == whole.activity.of(
            "events", "Linear 0")).all()  # fmt: skip

    def test_constant_currents_are_products_in_every_step_in_which_they_are_made(self) -> None:
        class Direct(nn.Module):
            def __init__(self, once: bool) -> None:
                super().__init__()
                self.first, self.output, self.once = nn.Linear(30, 20), dense()[1:], once

            def forward(self, x: Tensor) -> Tensor:
                current = self.first(x)
                steps = [self.output(current if self.once else self.first(x)) for _ in range(T)]
                return torch.stack(steps[: T - 1 + self.once])

        images = torch.rand(N, 30) * (torch.rand(N, 30) < 0.5)
        nonzero = float((images != 0).sum()) / N
        for once, times in ((True, 1), (False, T + 1)):
            report = price(Direct(once), images, time_axis="none")
            assert counts(report, "mac") == pytest.approx({"first": times * nonzero * 20})
            assert counts(report, "bias_addition")["first"] == times * 20
            assert counts(report, "activation_read")["input"] == pytest.approx(times * nonzero)
            assert report.activity.time_window == T

    def test_of_views_of_one_tensor_and_of_additions_in_place(self, spikes: Tensor) -> None:
        class Views(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.hidden, self.output, self.seen = dense()[:2], LIF(), list[Tensor]()
                self.first, self.second = nn.Linear(10, 4), nn.Linear(10, 4)
                self.third, self.fourth = nn.Linear(20, 4), nn.Linear(20, 4)

            def forward(self, x: Tensor) -> Tensor:
                given = self.hidden(x)
                parts = given[:, :10], given[:, ::2], given[:, :1].expand(-1, 20)
                current = sum(layer(part) for layer, part in zip(
                    (self.first, self.second, self.third), parts, strict=True))  # fmt: skip
                self.seen += [torch.stack([part.sum() for part in parts])]
                given += given.flip(1)
                self.seen[-1] = torch.cat([self.seen[-1], given.sum()[None]])
                return self.output(current + self.fourth(given))

        for context in (torch.no_grad, torch.inference_mode):
            model = Views().eval()
            with context():
                report = price(model, spikes, loop="price")
            for name, seen in zip(
                ("first", "second", "third", "fourth"), sum(model.seen), strict=True
            ):
                assert report.activity.of("events", name).sum() == 4 * seen, (name, context)

    def test_of_classes_when_there_are_as_many_samples_as_steps(self) -> None:
        class Direct(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = dense()

            def forward(self, x: Tensor) -> Tensor:
                return torch.stack([self.network(x) for _ in range(T)])

        images = torch.rand(2 * T - 1, 30)
        model = Direct()
        expected = price(model, images, time_axis="none").predictions
        again = price(model, [images[: T - 1], images[T - 1 :]], time_axis="none").predictions
        assert again is not None
        assert (again == expected).all()
        with pytest.raises(DataError, match="which axis is that of 5 samples"):
            price(model, images[:T], time_axis="none")


class TestReport:
    def test_what_it_shows(self, spikes: Tensor, tmp_path: Any) -> None:
        ann = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
        report = price(dense(), spikes, labels=np.arange(N) % 4, against=ann.eval())
        lines = str(report).splitlines()
        assert lines[0].startswith("verdict")
        assert re.search("At .* %, which both reach: (the|undecided)", lines[0])
        assert 10 <= len(lines) <= 13
        assert "<table>" in report._repr_html_()
        assert {"profile", "term", "layer", "pj"} <= set(report.table.columns)
        report.save(tmp_path / "page.html")
        assert "that both reach" in (tmp_path / "page.html").read_text(encoding="utf-8")
        spent = report.analysis.total().value_pj
        assert spent is not None
        assert report.check(budget_nj=spent / 999) is report
        with pytest.raises(LimitError, match="the budget is 0.001 nJ"):
            report.check(budget_nj=0.001)

    def test_what_it_notes(self, spikes: Tensor) -> None:
        silent = dense().train()
        silent[2].weight.data.fill_(0)
        silent[2].bias.data.fill_(0)
        silent.append(nn.Identity()).append(nn.GroupNorm(2, 4))
        report = price(silent, 3 * spikes, labels=np.zeros(N, dtype=int))
        assert report.predictions is not None
        words = " ".join(report.notes)
        for part in (
            "training mode", "no spike of LIF 3", f"for equal spike counts: {N} of {N}",
            "whole numbers up to 3",
        ):  # fmt: skip
            assert part in words
        assert report.not_counted == ("GroupNorm 5 (GroupNorm, which has parameters)",)
        known = report.analysis.inputs.accuracy
        assert known is not None
        assert known.test_percent == 0

    def test_how_a_model_ran(self, spikes: Tensor) -> None:
        class Rough(LIF):
            reset = None  # type: ignore[assignment]

            def __init__(self) -> None:
                super(LIF, self).__init__()
                self.v = 0.0

            def forward(self, x: Tensor) -> Tensor:
                self.v = 0.0
                return super().forward(x) * 0.9999999

        model = dense()
        model[1] = Rough()
        words = " ".join(price(model, spikes, loop="price", batch_size=8).notes)
        assert "Rough 1 gives numbers that are almost whole" in words
        assert "Rough has no reset()" in words
        assert "time_axis has to say" in price(dense(), spikes[0], time_axis="none").notes[0]

    def test_in_training_and_of_neurons_that_work_twice_in_a_step(self, spikes: Tensor) -> None:
        layer, norm, output, neurons = nn.Linear(30, 30), nn.BatchNorm1d(30), dense()[2:], LIF()
        model = nn.Sequential(layer, norm, neurons, nn.Linear(30, 30), neurons, nn.Linear(30, 20))
        model.extend(output)
        before = norm.running_mean.clone()  # type: ignore[union-attr, operator]
        report = price(model, spikes, loop="price")
        assert (norm.running_mean == before).all()
        assert report.activity.time_window == T
        assert (report.activity.of("updates", "LIF 2") == 2 * T * 30).all()

    def test_names_neurons_that_it_does_not_know_and_that_have_parts(self, spikes: Tensor) -> None:
        class Own(LIF):
            def __init__(self) -> None:
                super().__init__()
                self.surrogate = nn.Sigmoid()

        class Layer(LIF):
            def __init__(self) -> None:
                super().__init__()
                self.weights = nn.Linear(20, 4)

            def forward(self, x: Tensor) -> Tensor:
                return super().forward(self.weights(x))

        network = dense()
        known = {nn.Tanh: spikejoule.Population()}
        network[1], network[2], network[3] = Own(), Layer(), nn.Tanh()
        network.append(torch.jit.script(nn.Sequential(nn.Linear(4, 4))))
        report = price(network, spikes, neurons=known, loop="price")
        named = {
            "Own 1 (Own)",
            "ge (a function, and no module)",
            "gt (a function, and no module)",
            "RecursiveScriptModule 4 (scripted)",
        }
        assert {*report.not_counted} == named

    def test_names_functions_and_layers_that_are_never_called(
        self, spikes: Tensor, tmp_path: Any
    ) -> None:
        class Functional(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.neurons, self.last, self.out = dense()

            def forward(self, x: Tensor) -> Tensor:
                hidden = self.neurons(self.first(x)) @ torch.eye(20)
                given: Tensor = self.out(nn.functional.linear(hidden, self.last.weight))
                return given

        report = price(Functional(), spikes, loop="price")
        named = "linear (a function, and no module)", "last (Linear, never called)"
        assert {*named, "matmul (a function, and no module)"} == {*report.not_counted}
        report.save(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        for words in (*named, "Functional is in training mode"):
            assert words in page


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"model": "model.pt"}, ParameterError, "model is 'model.pt', but must be an instance of"),
        ({"model": dense().to("meta")}, ParameterError, "the model, given a batch of shape (5, 12"),
        ({"time_axis": 2}, ParameterError, "time_axis is 2, but must be 0, 1 or 'none'"),
        ({"answer": 3}, ParameterError, "answer is 3, but must be callable"),
        ({"answer": len}, ParameterError, "the model, given a batch of shape (5, 12, 30), fails"),
        ({"batch_size": 0}, ParameterError, "batch_size is 0, but must be greater"),
        ({"neurons": [LIF]}, ParameterError, "neurons is [<class"),
        ({"neurons": {LIF: lambda one: one.tau}}, ParameterError, "what neurons says of LIF fails"),
        ({"x": "samples.npz"}, ArtifactError, "samples must be an array"),
        ({"x": torch.zeros(T, N, 30, device="meta")}, ParameterError, "meta"),
        ({"x": torch.zeros(T)}, DataError, "shape (5,); needed are axes of time, samples, units"),
        ({"x": []}, DataError, "there is no sample"),
        ({"x": [{"a": 1}]}, ArtifactError, "but are a dict"),
        ({"neurons": {}}, ArtifactError, "no module of the model is a neuron"),
        ({"labels": [0, 1]}, DataError, "needs one label from 0 to 3"),
        ({"against": nn.Linear(30, 4)}, ParameterError, "against needs labels"),
        ({"profile": "abacus"}, ParameterError, "profile: 'abacus'"),
    ],
)
def test_what_is_refused(
    given: dict[str, Any], error: type[Exception], words: str, spikes: Tensor
) -> None:
    model, x = given.pop("model", dense()), given.pop("x", spikes)
    with pytest.raises(error, match=re.escape(words)):
        price(model, x, **given)


class TestBaseline:
    """A conventional network of torch, by hand."""

    def report(self, ann: nn.Module, images: Tensor, **given: Any) -> spikejoule.Report:
        class Spiking(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer, self.lif = nn.Linear(2 * 8 * 8, 4), LIF()

            def forward(self, x: Tensor) -> Tensor:
                return torch.stack([self.lif(self.layer(x.flatten(1))) for _ in range(T)])

        baseline = spikejoule.Baseline(ann, **given)
        labels = np.arange(len(images)) % 4
        return price(Spiking(), images, labels=labels, against=baseline, time_axis="none")

    def test_of_convolutions_pooling_and_a_norm(self) -> None:
        ann = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(64, 4, bias=False),
        ).eval()  # fmt: skip
        images = torch.rand(N, 2, 8, 8) * (torch.rand(N, 2, 8, 8) < 0.4)
        report = self.report(ann, images)
        with torch.no_grad():
            features = ann[:6](images)
        ones = torch.ones(4, 1, 3, 3)
        reached = nn.functional.conv2d(torch.ones(1, 1, 8, 8), ones[:1], padding=1)[0, 0] * 4
        variants = {one.method: one.operations for one in report.analysis.ledger.variants[1:]}
        dense, skipping = (
            {
                (one.term, one.place): mean
                for one, mean in zip(found.columns, found.means, strict=True)
            }
            for found in (variants["dense"], variants["zero-skipping"])
        )
        conv, linear = "Conv2d 0", "Linear 6"
        every = 2 * int(reached.sum())
        assert dense["mac", conv] == every
        assert dense["mac", linear] == 64 * 4
        assert skipping["mac", conv] == float(((images != 0) * reached).sum().item() / N)
        assert skipping["mac", linear] == int((features != 0).sum()) * 4 / N
        assert dense["bias_addition", f"{conv} units"] == 4 * 8 * 8, "the norm's"
        assert dense["bias_addition", f"{linear} units"] == 0
        assert dense["activation_comparison", "ReLU 2"] == 4 * 8 * 8
        assert dense["activation_comparison", "MaxPool2d 3"] == 4 * 8 * 8
        assert dense["activation_read", "MaxPool2d 3"] == 4 * 8 * 8
        assert dense["activation_write", "MaxPool2d 3"] == 64
        (words,) = {one.memory_bits for one in variants["dense"].columns
                    if (one.term, one.place) == ("weight_read", conv)}  # fmt: skip
        assert words == 32 * 4 * 2 * 9, "kernels are stored once"
        assert report.not_counted == ()

    def test_in_integers_on_samples_of_its_own(self) -> None:
        ann = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
        images = torch.rand(N, 2, 8, 8)
        report = self.report(ann, images, samples=torch.rand(N, 3), weight_bits=8, name="small")
        one = report.analysis.ledger.variants[1]
        assert (one.network, one.weight_bits) == ("small, 8 bits", 8)
        assert {column.bits for column in one.operations.columns if column.term == "mac"} == {8}
        with pytest.raises(ArtifactError, match=r"gives no scores .* of the 12 samples"):
            self.report(ann, images, samples=torch.rand(N - 1, 3))
