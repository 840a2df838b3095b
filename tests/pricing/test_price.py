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
from tests.pricing.lif import LIF
from tests.tools.counted import by_kind, count_of

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
    return {row.layer: row.count for row in report.analysis.records(term=term)}


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
                found, expected = (by_kind(one.activity)[kind] for one in (other, whole))
                assert found.keys() == expected.keys()
                for name in found:
                    assert (found[name] == expected[name]).all(), (kind, name)
        for layer in (0, 2):
            nn.utils.parametrizations.weight_norm(model[layer])
        assert price(model, spikes).not_counted == ()
        halved = price(dense(bias=False).bfloat16(), spikes)
        assert np.array_equal(
            count_of(halved.activity, "events", "Linear 0"),
            count_of(whole.activity, "events", "Linear 0"),
        )

    def test_integers_are_counted_as_the_same_numbers_in_floats(self, spikes: Tensor) -> None:
        model = dense()
        held = [layer._parameters for layer in model if isinstance(layer, nn.Linear)]
        for parameters in held:
            parameters.update({name: of.detach().round() for name, of in parameters.items()})
        floats = price(model, spikes)
        for parameters in held:
            parameters.update({name: of.long() for name, of in parameters.items()})
        integers = price(model, spikes.long())
        assert (integers.analysis.inputs.proxies, integers.not_counted) == (
            floats.analysis.inputs.proxies, ())  # fmt: skip
        assert counts(floats, "synaptic_event")["Linear 0"] > 0

    def test_a_layer_of_integers_that_is_no_module_is_named(self, spikes: Tensor) -> None:
        class First(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight, self.rest = torch.randint(-3, 4, (30, 20)), dense()[1:]

            def forward(self, x: Tensor) -> Tensor:
                return self.rest((x.long() @ self.weight).float())

        assert "matmul" in " ".join(price(First().eval(), spikes).not_counted)

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
                assert count_of(report.activity, "events", name).sum() == 4 * seen, (name, context)

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

    def test_of_memory_that_changes_without_torch(self, spikes: Tensor) -> None:
        held = np.zeros((T, N, 30), dtype=np.float32)
        shared = torch.from_numpy(held)

        def loader() -> Any:
            for times in (1, 0, 2):
                held[:] = spikes.numpy() * times
                yield shared

        class Whole(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer, self.neurons = nn.Linear(30, 4), dense()[3]

            def forward(self, x: Tensor) -> Tensor:
                return torch.stack([self.neurons(step) for step in self.layer(x)])

        found = (
            count_of(price(Whole(), loader()).activity, "events", "layer").reshape(3, N).sum(axis=1)
        )
        assert found.tolist() == [times * 4 * int(spikes.sum()) for times in (1, 0, 2)]

    @pytest.mark.parametrize("first", [LIF, lambda: nn.BatchNorm1d(30)])
    def test_of_what_enters_before_the_first_layer(self, first: Any, spikes: Tensor) -> None:
        currents = spikes * torch.rand(T, N, 30)
        report = price(nn.Sequential(first(), dense()).eval(), currents, loop="price")
        assert report.activity.network.input.out_shape == (30,)
        nonzero = (currents != 0).sum(dim=(0, 2)).numpy()
        for kind in ("values", "reads"):
            assert (count_of(report.activity, kind, "input") == nonzero).all()
        assert not [note for note in report.notes if "input" in note]

    def test_of_neurons_of_ones_own_and_what_they_hold(self, spikes: Tensor) -> None:
        class Own(LIF):
            def __init__(self) -> None:
                super().__init__()
                self.weights, self.inner = nn.Linear(20, 20, bias=False), LIF()
                self.matrix, self.given = nn.Parameter(torch.eye(20)), torch.zeros(N, 20)

            def forward(self, x: Tensor) -> Tensor:
                self.given = self.inner(x + self.weights(self.given))
                return self.given

        for said, named in (({}, ["Own 1.matrix"]), ({"recurrent": True}, [])):
            model = dense()
            model[1] = one = Own()
            given = spikejoule.Population(recurrent=one.weights if said else None)
            known = {Own: given, LIF: spikejoule.Population()}
            report = price(model, spikes, loop="price", neurons=known)
            assert (count_of(report.activity, "updates", "Own 1") == 20 * T).all()
            assert "Own 1.inner" not in by_kind(report.activity)["updates"]
            assert [words.partition(" (")[0] for words in report.not_counted] == named
            if said:
                events = by_kind(report.activity)["events"]
                assert [*events] == ["Linear 0", "Own 1.recurrent", "Linear 2"]
                fired = count_of(report.activity, "spikes", "Own 1")
                assert (events["Own 1.recurrent"] == 20 * fired).all()


class TestReport:
    def test_what_it_shows(self, tmp_path: Any) -> None:
        # The same weights without spikes, and labels that the model itself gives: without
        # accuracies above guessing there is no verdict.
        torch.manual_seed(2)
        model = dense()
        spikes = (torch.rand(T, N, 30) < 0.3).float()
        ann = nn.Sequential(model[0], nn.ReLU(), model[2])
        answers = price(model, spikes).predictions
        assert answers is not None
        labels = np.where(answers < 0, 0, answers)
        report = price(model, spikes, labels=labels, against=ann.eval())
        lines = str(report).splitlines()
        assert lines[0].startswith("verdict")
        assert re.search("(wins|loses|Undecided) at equal accuracy", lines[0])
        assert 10 <= len(lines) <= 13
        assert "<table>" in report._repr_html_()
        assert {"profile", "term", "layer", "pj"} <= set(report.table.columns)
        report.table["nj"] = report.table["pj"] / 1000
        assert "nj" in report.table
        report.save(tmp_path / "page.html")
        assert "Both networks classify" in (tmp_path / "page.html").read_text(encoding="utf-8")
        spent = report.analysis.total().value_pj
        assert spent is not None
        assert report.check(budget_nj=spent / 999) is report
        with pytest.raises(LimitError, match="the budget is 0.001 nJ"):
            report.check(budget_nj=0.001)

    def test_no_budget_is_kept_while_part_of_the_model_is_not_counted(self, spikes: Tensor) -> None:
        class Functional(nn.Module):
            """Its largest layer is a function."""

            def __init__(self, rest: nn.Module) -> None:
                super().__init__()
                self.weight, self.rest = nn.Parameter(torch.randn(400, 30)), rest

            def forward(self, x: Tensor) -> Tensor:
                return self.rest(nn.functional.linear(x, self.weight))

        model = Functional(nn.Sequential(LIF(), nn.Linear(400, 4), LIF()))
        report = price(model.eval(), spikes)
        with pytest.raises(LimitError) as refused:
            report.check(budget_nj=1000)
        assert report.own_not_counted
        for name in report.own_not_counted:
            assert name in str(refused.value)
        assert "linear" in str(refused.value)
        assert "accept_uncounted=True" in str(refused.value)
        assert report.check(budget_nj=1000, accept_uncounted=True) is report
        with pytest.raises(LimitError, match=r"the budget is 1e-06 nJ"):
            report.check(budget_nj=1e-6, accept_uncounted=True)
        # What a network to compare with lacks is no part of this model's energy.
        ann = Functional(nn.Sequential(nn.ReLU(), nn.Linear(400, 4))).eval()
        report = price(dense(), spikes, labels=np.arange(N) % 4, against=ann)
        assert report.not_counted
        assert report.check(budget_nj=1000) is report

    def test_no_budget_is_kept_where_nothing_has_a_price(self) -> None:
        """Price lists of synaptic events, and a model without any."""
        model = nn.Sequential(nn.Linear(30, 4), LIF()).eval()
        report = price(model, torch.rand(T, N, 30))
        assert report.check(budget_nj=1000) is report
        for name in ("truenorth", "odin", "seneca"):
            with pytest.raises(LimitError, match=name):
                report.check(budget_nj=1000, profile=name, accept_uncounted=True)

    def test_networks_of_one_name_are_told_apart(self, spikes: Tensor) -> None:
        anns = [nn.Sequential(nn.Linear(30, 4)).eval() for _ in range(3)]
        report = price(dense(), spikes, labels=np.arange(N) % 4, against=anns)
        assert {one.network for one in report.analysis.baselines} == {
            f"Sequential 30-4{number}" for number in ("", " (2)", " (3)")
        }
        # Dense and without zeros
        assert len(report.analysis.conventional_points) == 2 * 3

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
        assert (count_of(report.activity, "updates", "LIF 2") == 2 * T * 30).all()

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
            "mul (a function, and no module)",
            "where (a function, and no module)",
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
        for words in (*named, "The model (Functional) is in training mode"):
            assert words in page

    def test_names_what_works_in_place_and_layers_with_a_forward_of_their_own(
        self, spikes: Tensor
    ) -> None:
        class Spike(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x.sub_(0.2).gt_(0)

        class Wide(nn.Linear):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x) @ torch.eye(4)

        class Clamped(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                given = (nn.LeakyReLU(inplace=True), nn.Hardtanh(inplace=True), Spike())
                self.first, self.neurons, _, self.last = dense()
                self.given, self.wide = nn.Sequential(*given), Wide(20, 4)

            def forward(self, x: Tensor) -> Tensor:
                hidden = self.neurons(self.given(self.first(x))).flatten(1).reshape(-1, 20)
                given: Tensor = self.last(self.wide(torch.cat([hidden]).clamp(max=1)) + 0.0)
                return given

        with pytest.warns(UserWarning, match=r"^Not counted: ") as warned:
            report = spikejoule.price(
                Clamped().eval(), spikes, loop="price", neurons={LIF: spikejoule.Population()},
                time_axis=0, progress=False,
            )  # fmt: skip
        assert {one.filename for one in warned} == {__file__}
        assert {*report.not_counted} == {
            "given.0 (LeakyReLU)", "given.1 (Hardtanh)", "given.2 (Spike)",
            "wide (Wide, which has a forward of its own)", "clamp (a function, and no module)",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"model": "model.pt"}, ParameterError, "model is 'model.pt', but must be an instance of"),
        ({"time_axis": 2}, ParameterError, "time_axis is 2, but must be 0, 1 or 'none'"),
        ({"answer": len}, ParameterError, "the model, given a batch of shape (5, 12, 30), fails"),
        ({"neurons": {LIF: lambda one: one.tau}}, ParameterError, "what neurons says of LIF fails"),
        ({"x": "samples.npz"}, ArtifactError, "samples must be an array"),
        ({"x": torch.zeros(T, N, 30, device="meta")}, ParameterError, "meta"),
        ({"x": torch.zeros(T)}, DataError, "shape (5,); needed are axes of time, samples, units"),
        ({"x": []}, DataError, "there is no sample"),
        ({"x": [{"a": 1}]}, ArtifactError, "but are a dict"),
        ({"neurons": {}}, ArtifactError, "no module of the model is a neuron"),
        ({"labels": [0, 1]}, DataError, "needs one label from 0 to 3"),
        ({"against": nn.Linear(30, 4)}, ParameterError, "against needs labels"),
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

    def test_of_pruned_layers(self) -> None:
        ann = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(),
                            nn.Linear(256, 4)).eval()  # fmt: skip
        for layer in (ann[0], ann[3]):
            layer.weight.data *= torch.rand_like(layer.weight) < 0.2
        images = torch.rand(N, 2, 8, 8) * (torch.rand(N, 2, 8, 8) < 0.4)
        (one,) = self.report(ann, images, pruned=True).analysis.inputs.baselines

        def products(convolved: Tensor, entered: Tensor) -> list[list[int]]:
            kept = (ann[0].weight != 0).float(), (ann[3].weight != 0).float()
            first = nn.functional.conv2d((convolved != 0).float(), kept[0], padding=1)
            second = (entered != 0).float() @ kept[1].T
            return [[int(a), int(b)] for a, b in zip(
                first.sum(dim=(1, 2, 3)), second.sum(dim=1), strict=True)]  # fmt: skip

        with torch.no_grad():
            assert one.macs_nonzero.tolist() == products(images, ann[:3](images))
        assert [[*one.synapses]] == products(torch.ones(1, 2, 8, 8), torch.ones(1, 256))
        assert one.pruned

    def test_of_norms_that_no_layer_holds_and_modules_at_several_places(self) -> None:
        class Shared(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.norm, self.relu, self.pool = (
                    nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(3, 1, 1))  # fmt: skip
                self.conv, self.again = (nn.Conv2d(2, 2, 1) for _ in range(2))
                self.between, self.last = nn.BatchNorm2d(2), nn.Linear(128, 4)

            def forward(self, x: Tensor) -> Tensor:
                x = self.pool(self.relu(self.conv(self.norm(x))))
                x = self.pool(self.relu(self.again(self.between(x))))
                return self.last(x.flatten(1))  # type: ignore[no-any-return]

        report = self.report(Shared().eval(), torch.rand(N, 2, 8, 8))
        variants = report.analysis.ledger.variants[1:]
        found = {(one.term, one.place): mean for one, mean in zip(
            variants[0].operations.columns, variants[0].operations.means, strict=True)}  # fmt: skip
        assert report.not_counted == ()
        assert report.analysis.inputs.baselines[0].network.input.out_shape == (2, 8, 8)
        for norm in ("norm", "between"):
            assert found["multiplication", norm] == found["addition", norm] == 128
        reached = 2 * 22**2
        for name, amount in (("relu", 128), ("pool", reached)):
            assert found["activation_comparison", name] == amount
            assert found["activation_comparison", f"{name}, call 2"] == amount

    def test_in_integers_on_samples_of_its_own(self) -> None:
        ann = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
        images = torch.rand(N, 2, 8, 8)
        report = self.report(ann, images, samples=torch.rand(N, 3), weight_bits=8, name="small")
        one = report.analysis.ledger.variants[1]
        assert (one.network, one.weight_bits) == ("small, 8 bits", 8)
        assert {column.bits for column in one.operations.columns if column.term == "mac"} == {8}
        with pytest.raises(ArtifactError, match=r"gives no scores .* of the 12 samples"):
            self.report(ann, images, samples=torch.rand(N - 1, 3))
