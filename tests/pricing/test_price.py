"""`spikejoule.price` on plain PyTorch: counts, refusals, and the report."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import spikejoule
from spikejoule import Baseline, Population
from spikejoule.core.errors import ArtifactError, DataError, LimitError, ParameterError
from spikejoule.report.views.page import page_view
from tests.pricing.lif import LIF
from tests.pricing.lif import price_model as price
from tests.tools.counted import by_kind, count_of

N = 12
T = 5
LABELS = np.arange(N) % 4


def dense(bias: bool = True) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(30, 20, bias=bias), LIF(), nn.Linear(20, 4), LIF())
    for layer in (model[0], model[2]):
        layer.weight.data.mul_(4)
    return model.eval()


def events(report: spikejoule.Report, name: str) -> NDArray[Any]:
    return count_of(report.activity, "events", name)


@pytest.fixture
def spikes() -> Tensor:
    return (torch.rand(T, N, 30) < 0.3).float()


class Direct(nn.Module):
    """Makes the steps itself; its first layer runs once, or in each step."""

    def __init__(self, n_in: int = 30, once: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(n_in, 4)
        self.lif = LIF()
        self.once = once

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        current = self.first(x)
        return torch.stack(
            [self.lif(current if self.once else self.first(x)) for _ in range(T)]
        )


class TestCounts:
    def test_do_not_depend_on_batches_axes_or_dtype(self, spikes: Tensor) -> None:
        model = dense(bias=False)
        samples_first = spikes.transpose(0, 1)
        pairs = torch.utils.data.TensorDataset(samples_first, torch.from_numpy(LABELS))
        whole = price(model, spikes)
        loaded = price(model, torch.utils.data.DataLoader(pairs, 5), time_axis=1)
        assert loaded.analysis.inputs.variant.test_percent is not None
        with torch.inference_mode():
            inferred = price(model, spikes)
        reports = (
            loaded,
            inferred,
            price(model, samples_first, time_axis=1, batch_size=T),
            price(model, spikes.numpy().astype(bool)),
            price(model, spikes.to_sparse()),
        )
        expected = by_kind(whole.activity)
        for report in reports:
            counts = by_kind(report.activity)
            for kind in ("spikes", "events", "updates", "reads"):
                np.testing.assert_equal(counts[kind], expected[kind], err_msg=kind)
        halved = price(model.bfloat16(), spikes)
        assert (events(halved, "Linear 0") == events(whole, "Linear 0")).all()

    @pytest.mark.parametrize(("once", "times"), [(True, 1), (False, T + 1)])
    def test_constant_currents_are_products_whenever_they_are_computed(
        self, once: bool, times: int
    ) -> None:
        images = torch.rand(N, 30) * (torch.rand(N, 30) < 0.5)
        nonzero = (images != 0).sum(dim=1).numpy()
        activity = price(Direct(once=once), images, time_axis="none").activity
        assert (count_of(activity, "macs", "first") == times * nonzero * 4).all()
        assert (count_of(activity, "biases", "first") == times * 4).all()
        assert (count_of(activity, "reads", "input") == times * nonzero).all()
        assert activity.time_window == T

    def test_of_views_of_one_tensor_and_of_additions_in_place(
        self, spikes: Tensor
    ) -> None:
        class Views(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.hidden = dense()[:2]
                self.first = nn.Linear(10, 4)
                self.second = nn.Linear(10, 4)
                self.third = nn.Linear(20, 4)
                self.fourth = nn.Linear(20, 4)
                self.output = LIF()

            def forward(self, x: Tensor) -> Tensor:
                x = self.hidden(x)
                half = x[:, :10]
                every_second = x[:, ::2]
                repeated = x[:, :1].expand(-1, 20)
                current = self.first(half) + self.second(every_second)
                current = current + self.third(repeated)
                sums = [half.sum(), every_second.sum(), repeated.sum()]
                x += x.flip(1)
                spikes_into.append(torch.stack([*sums, x.sum()]))
                return self.output(current + self.fourth(x))

        for context in (torch.no_grad, torch.inference_mode):
            spikes_into: list[Tensor] = []
            model = Views().eval()
            with context():
                report = price(model, spikes, loop="price")
            layers = ("first", "second", "third", "fourth")
            counted = [events(report, name).sum() for name in layers]
            assert counted == (4 * sum(spikes_into)).tolist()

    @pytest.mark.parametrize("first", [LIF, lambda: nn.BatchNorm1d(30)])
    def test_of_what_enters_before_the_first_layer(
        self, first: Any, spikes: Tensor
    ) -> None:
        currents = spikes * torch.rand(T, N, 30)
        activity = price(
            nn.Sequential(first(), dense()).eval(), currents, loop="price"
        ).activity
        assert activity.network.input.out_shape == (30,)
        nonzero = (currents != 0).sum(dim=(0, 2)).numpy()
        for kind in ("values", "reads"):
            assert (count_of(activity, kind, "input") == nonzero).all()

    def test_of_own_neurons_and_the_weights_they_hold(self, spikes: Tensor) -> None:
        class Own(LIF):
            def __init__(self) -> None:
                super().__init__()
                self.weights = nn.Linear(20, 20, bias=False)
                self.inner = LIF()
                self.matrix = nn.Parameter(torch.eye(20))
                self.spikes = torch.zeros(N, 20)

            def forward(self, x: Tensor) -> Tensor:
                scaled = (x[:, None] * self.matrix).sum(-1)
                self.spikes = self.inner(scaled + self.weights(self.spikes))
                return self.spikes

        model = dense()
        own = Own()
        model[1] = own
        known = {Own: Population(), LIF: Population()}
        report = price(model, spikes, loop="price", neurons=known)
        (words,) = report.not_counted
        assert words.startswith("Own 1.matrix (")
        known[Own] = Population(recurrent=own.weights, input=own.matrix)
        report = price(model, spikes, loop="price", neurons=known)
        assert report.not_counted == ()
        counts = by_kind(report.activity)
        assert (counts["updates"]["Own 1"] == 20 * T).all()
        assert "Own 1.inner" not in counts["updates"]
        assert [*counts["events"]] == ["Linear 0", "Own 1.recurrent", "Linear 2"]
        assert [*counts["macs"]] == ["Own 1.input"]
        recurrent = counts["events"]["Own 1.recurrent"]
        assert (recurrent == 20 * counts["spikes"]["Own 1"]).all()

    def test_of_neurons_that_run_twice_a_step(self, spikes: Tensor) -> None:
        neurons = LIF()
        model = nn.Sequential(nn.Linear(30, 30), neurons, nn.Linear(30, 30), neurons)
        model.extend([nn.Linear(30, 4), LIF()])
        report = price(model, spikes, loop="price")
        assert report.activity.time_window == T
        assert (count_of(report.activity, "updates", "LIF 1") == 2 * T * 30).all()


class Functional(nn.Module):
    """Functions change its input and are its first layer."""

    def __init__(self, *rest: nn.Module) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(400, 30))
        self.rest = nn.Sequential(*rest)

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(x.expm1() @ self.weight.T)  # type: ignore[no-any-return]


class TestReport:
    def test_what_it_shows(self, tmp_path: Path) -> None:
        # Labels that the model itself gives: at chance level there is no verdict.
        torch.manual_seed(2)
        model = dense()
        spikes = (torch.rand(T, N, 30) < 0.3).float()
        ann = nn.Sequential(model[0], nn.ReLU(), model[2])
        answers = price(model, spikes).predictions
        report = price(model, spikes, labels=np.maximum(answers, 0), against=ann.eval())
        lines = str(report).splitlines()
        assert "under lemaire-complete" in lines[1]
        assert not any("rithmetic only" in line for line in lines)
        assert re.match(
            "verdict .*(wins|loses|Inconclusive) at equal accuracy", lines[0]
        )
        assert "<table>" in report._repr_html_()
        assert {"profile", "term", "layer", "pj"} <= set(report.table.columns)
        report.save(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "Both networks classify" in page
        assert "Arithmetic only, without memory" not in page
        spent = report.analysis.total().value_pj
        assert report.check(budget_nj=spent / 999) is report
        with pytest.raises(LimitError, match="the budget is 0.001 nJ"):
            report.check(budget_nj=0.001)

    def test_the_page_of_a_deep_network(self, tmp_path: Path) -> None:
        """Energy by kind and layer, and no words about a pipeline that is not there."""
        blocks = [module for _ in range(5) for module in (nn.Conv2d(2, 2, 3), LIF())]
        model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(72, 3), LIF()).eval()
        model[0].weight.data.fill_(-1)
        model[0].bias.data.fill_(-1)
        report = price(model, (torch.rand(T, 4, 2, 16, 16) < 0.3).float())
        assert "16 - 5 x conv 2 x 3x3 - 3" in str(report)
        view = page_view(report.analysis, has_front=False)
        total_pj = report.analysis.total().value_pj
        for rows in (view.kinds, view.layers):
            shares = [float(row.share.removesuffix(" %")) for row in rows]
            assert sum(shares) == pytest.approx(100, abs=0.05 * len(rows))
        first = next(row for row in view.layers if row.name == "Conv2d 0")
        of_layer = [
            row.energy.value_pj
            for row in report.analysis.records()
            if row.layer == first.name and row.energy is not None
        ]
        assert first.share == f"{100 * sum(of_layer) / total_pj:.1f} %"
        report.save(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        for words in (
            "validation",
            "Energy of training",
            "test samples",
            "model.hidden",
        ):
            assert words not in page
        assert page.count("no spike of") == 1
        assert "LIF 3, LIF 5, LIF 7, 2 more" in page

    def test_no_budget_holds_while_part_of_the_model_is_not_counted(
        self, spikes: Tensor
    ) -> None:
        model = Functional(LIF(), nn.Tanh(), nn.Linear(400, 4), LIF()).eval()
        report = price(model, spikes)
        with pytest.raises(LimitError, match=r"accept_uncounted=\['expm1', 'Tanh'\]"):
            report.check(budget_nj=1000)
        for names in (True, ("expm1", "Tanh"), ["Functional", "rest.1"]):
            assert report.check(budget_nj=1000, accept_uncounted=names) is report
        for name, missing in (("expm1", "Tanh"), ("Tanh", "expm1")):
            with pytest.raises(LimitError, match=rf"accept_uncounted=\['{missing}'\]"):
                report.check(budget_nj=1000, accept_uncounted=name)
        with pytest.raises(LimitError, match=r"the budget is 1e-06 nJ"):
            report.check(budget_nj=1e-6, accept_uncounted=True)
        # Uncounted parts of a network to compare with do not matter.
        ann = Functional(nn.ReLU(), nn.Linear(400, 4)).eval()
        report = price(dense(), spikes, labels=LABELS, against=ann)
        assert report.not_counted
        assert report.check(budget_nj=1000) is report

    def test_a_verdict_on_a_condition_repeats_it(
        self, spikes: Tensor, tmp_path: Path
    ) -> None:
        """A changed input of one network, an activation of the other."""
        torch.manual_seed(2)
        model = Functional(LIF(), nn.Linear(400, 4), LIF()).eval()
        model.weight.data.mul_(4)
        model.rest[1].weight.data.mul_(4)
        labels = np.maximum(price(model, spikes).predictions, 0)
        fitted = nn.Linear(30, 4, bias=False)
        classes = nn.functional.one_hot(torch.from_numpy(labels), 4).float()
        fitted.weight.data = torch.linalg.lstsq(spikes.mean(0), classes).solution.T
        ann = nn.Sequential(fitted, nn.Tanh()).eval()
        settings = {"labels": labels, "against": ann}
        assert price(model, spikes, **settings).verdict[0].startswith("No verdict: ")
        one = price(model, spikes, accept_uncounted="expm1", **settings)
        assert one.verdict[0].endswith(
            "counted (Tanh 1 (Tanh) of the network to compare with)."
        )
        assert one.check(budget_nj=1e4) is one
        both = price(model, spikes, accept_uncounted=("expm1", "Tanh"), **settings)
        condition = (
            "equal accuracy, not counting Functional (expm1), Tanh 1 (Tanh) of the "
            "network to compare with: "
        )
        both.save(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        for text in (both.verdict[0], page):
            assert condition in text

    def test_a_file_has_the_format_of_its_ending(
        self, spikes: Tensor, tmp_path: Path
    ) -> None:
        report = price(dense(), spikes)
        report.save(tmp_path / "report.csv")
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / "report.csv")[["term", "pj"]],
            report.table[["term", "pj"]],
            check_dtype=False,
        )
        report.save(tmp_path / "report.json")
        content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        assert len(content["energies"]) == len(report.table)
        with pytest.raises(ParameterError, match=r"'\S+report.txt', but must end in"):
            report.save(tmp_path / "report.txt")
        assert not (tmp_path / "report.txt").exists()

    def test_the_progress_bar_has_a_total(
        self, spikes: Tensor, capfd: pytest.CaptureFixture[str]
    ) -> None:
        pairs = torch.utils.data.TensorDataset(spikes.transpose(0, 1))
        loader = torch.utils.data.DataLoader(pairs, 5)
        for x, axis in ((spikes, 0), (spikes.transpose(0, 1), 1), (loader, 1)):
            price(dense(), x, time_axis=axis, batch_size=5, progress=True)
            assert "3/3" in capfd.readouterr().err

    def test_no_budget_holds_where_nothing_has_a_price(self) -> None:
        """A price list of synaptic events, and a model without any."""
        model = nn.Sequential(nn.Linear(30, 4), LIF()).eval()
        report = price(model, torch.rand(T, N, 30))
        assert report.check(budget_nj=1000) is report
        with pytest.raises(LimitError, match="truenorth has no price"):
            report.check(budget_nj=1000, profile="truenorth")

    def test_networks_of_one_name_are_numbered(self, spikes: Tensor) -> None:
        networks = [nn.Sequential(nn.Linear(30, 4)).eval() for _ in range(3)]
        report = price(dense(), spikes, labels=LABELS, against=networks)
        variants = report.analysis.ledger.variants
        assert {one.network for one in variants if one.side == "conventional"} == {
            f"Sequential 30-4{number}" for number in ("", " (2)", " (3)")
        }

    def test_what_it_notes(self, spikes: Tensor, tmp_path: Path) -> None:
        class Rough(LIF):
            reset = None  # type: ignore[assignment]

            def __init__(self) -> None:
                super(LIF, self).__init__()
                self.v = 0.0

            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x) * 0.9999999

        silent = dense().train()
        silent[1] = Rough()
        silent[2].weight.data.fill_(0)
        silent[2].bias.data.fill_(0)
        silent[1].v = torch.zeros(4, 20)
        report = price(
            silent, 3 * spikes, labels=0 * LABELS, batch_size=4, loop="price"
        )
        notes = " ".join(report.notes)
        report.save(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "ran in training mode" in page
        for part in (
            "ran in training mode",
            "no spike of LIF 3",
            f"because of equal spike counts: {N} of {N}",
            "integers up to 3",
            "Rough 1 gives numbers that are almost integers",
        ):
            assert part in notes
        assert report.analysis.inputs.variant.test_percent == 0
        assert "set time_axis" in price(dense(), spikes[0], time_axis="none").notes[0]


class Own(LIF):
    """A neuron that is not in `neurons`."""

    def __init__(self) -> None:
        super().__init__()
        self.surrogate = nn.Sigmoid()


class Layer(LIF):
    """Neurons computed by functions, after a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Linear(20, 20)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.weights(x))


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x[..., :3] = 0
        return x


class Wide(nn.Linear):
    """A layer with a forward of its own, as in LoRA: both products are counted."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ torch.eye(4)


class Uncounted(nn.Module):
    """Every kind of part that cannot be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.first, _, self.unused, self.out = dense()
        self.others = nn.Sequential(
            nn.LeakyReLU(inplace=True),
            Masked(),
            nn.GroupNorm(2, 20),
            Own(),
            Layer(),
        )
        self.wide = Wide(20, 4)
        self.tanh = nn.Tanh()
        self.scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4)))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.others(self.first(x)).flatten(1).reshape(-1, 20)
        wide = self.wide(torch.cat([hidden]).clamp(max=1)) + 0.0
        output: Tensor = self.out(self.scripted(self.tanh(wide)))
        return output


def test_what_is_not_counted_is_named(spikes: Tensor) -> None:
    model = Uncounted().eval()
    known = {nn.Tanh: Population()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = spikejoule.price(
            model, spikes, loop="price", neurons=known, time_axis=0, progress=False
        )
    neuron = "ge, gt, where"
    assert {*report.not_counted} == {
        "others.0 (LeakyReLU)",
        "others.1 (Masked: setitem)",
        "others.2 (GroupNorm)",
        "others.3 (Own, whose 0 and 1 count as spikes, and whose updates are not "
        f"counted: {neuron})",
        f"others.4 (Layer: {neuron})",
        f"out (LIF: data which no function of the model has made, {neuron})",
        "unused (Linear, never called)",
        "scripted (scripted)",
        "Uncounted (clamp)",
    }
    products = by_kind(report.activity)["events"] | by_kind(report.activity)["macs"]
    assert {"first", "wide", "wide.matmul"} <= products.keys()


class OtherSpikes(nn.Module):
    """Neurons without a state, which are not declared."""

    def __init__(self, fire: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fire = fire

    def forward(self, x: Tensor) -> Tensor:
        return self.fire(x)


@pytest.mark.parametrize(
    ("fire", "kind"),
    [
        (lambda x: (x * 2 >= 1).to(x), "events"),
        (lambda x: torch.sigmoid(x).round(), "events"),
        (lambda x: x.clone().sigmoid_().round_(), "macs"),
    ],
)
def test_how_the_spikes_of_unknown_neurons_are_counted(
    fire: Callable[[Tensor], Tensor], kind: str, spikes: Tensor
) -> None:
    model = dense()
    model[1] = OtherSpikes(fire)
    report = price(model, spikes)
    assert (by_kind(report.activity)[kind]["Linear 2"] > 0).any()
    words = {"events": "spikes", "macs": "values"}[kind]
    assert f"OtherSpikes, whose 0 and 1 count as {words}, and" in report.not_counted[0]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"model": "model.pt"},
            ParameterError,
            "model is 'model.pt', but must be an instance of",
        ),
        (
            {"time_axis": 2},
            ParameterError,
            "time_axis is 2, but must be 0, 1 or 'none'",
        ),
        (
            {"answer": len},
            ParameterError,
            "the model fails, given a batch of shape (5, 12, 30); given one step, ",
        ),
        (
            {"neurons": {LIF: lambda lif: lif.tau}},
            ParameterError,
            "what neurons says of LIF fails",
        ),
        ({"x": "samples.npz"}, ArtifactError, "samples must be an array"),
        (
            {"x": torch.zeros(T)},
            DataError,
            "shape (5,); needed are axes of time, samples, units",
        ),
        ({"x": []}, DataError, "there is no sample"),
        (
            {"model": Direct(), "x": torch.rand(T, 30), "time_axis": "none"},
            DataError,
            "which axis is that of the 5 samples",
        ),
        ({"neurons": {}}, ArtifactError, "no module of the model is a known neuron"),
        (
            {"model": nn.Sequential(torch.jit.script(nn.Linear(30, 4)), LIF())},
            ArtifactError,
            "RecursiveScriptModule 0 (scripted)",
        ),
        (
            {"model": nn.Sequential(nn.LazyLinear(4), LIF())},
            ParameterError,
            "the model has lazy layers without a shape: run it on a batch first.",
        ),
        ({"labels": [0, 1]}, DataError, "needs one label from 0 to 3"),
        ({"against": nn.Linear(30, 4)}, ParameterError, "against needs labels"),
    ],
)
def test_what_is_refused(
    arguments: dict[str, Any], error: type[Exception], words: str, spikes: Tensor
) -> None:
    choice = {"model": dense(), "x": spikes, **arguments}
    with pytest.raises(error, match=re.escape(words)):
        price(**choice)


def rescaled(x: Tensor) -> Tensor:
    return (x * 0.1).round().clamp(0, 255)


def clamped(x: Tensor) -> Tensor:
    highest = torch.tensor(0.5).type_as(x)
    return torch.where(x > highest, highest, x)


def chosen(x: Tensor) -> Tensor:
    return torch.where(x > x.flip(0), x, x.flip(0))


def masked(x: Tensor) -> Tensor:
    x[:, 0] = 0.5
    return x


class TestBaseline:
    """Conventional networks, with counts made by hand."""

    @pytest.fixture
    def images(self) -> Tensor:
        return torch.rand(N, 2, 8, 8) * (torch.rand(N, 2, 8, 8) < 0.4)

    def report(
        self, ann: nn.Module, images: Tensor, **settings: Any
    ) -> spikejoule.Report:
        baseline = Baseline(ann, **settings)
        return price(
            Direct(128),
            images,
            labels=LABELS,
            against=baseline,
            time_axis="none",
            batch_size=8,
        )

    def test_of_pooling_norms_and_modules_called_twice(self, images: Tensor) -> None:
        """A norm behind a layer is its bias; others multiply and add."""

        class Shared(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.norm = nn.BatchNorm2d(2)
                self.relu = nn.ReLU()
                self.pool = nn.MaxPool2d(3, 1, 1)
                self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
                self.folded = nn.BatchNorm2d(4)
                self.between = nn.BatchNorm2d(4)
                self.again = nn.Conv2d(4, 4, 1, bias=False)
                self.last = nn.Linear(256, 4, bias=False)

            def forward(self, x: Tensor) -> Tensor:
                x = self.pool(self.relu(self.folded(self.conv(self.norm(x)))))
                x = self.pool(self.relu(self.again(self.between(x))))
                return self.last(x.flatten(1))  # type: ignore[no-any-return]

        report = self.report(Shared().eval(), images)
        assert report.not_counted == ()
        operations = report.analysis.ledger.variants[1].operations
        columns = zip(operations.columns, operations.means, strict=True)
        means = {(column.term, column.place): mean for column, mean in columns}
        assert means["bias_addition", "conv units"] == 4 * 8 * 8
        assert ("bias_addition", "last units") not in means
        for norm, amount in {"norm": 2 * 8 * 8, "between": 4 * 8 * 8}.items():
            assert means["multiplication", norm] == means["addition", norm] == amount
        for name, amount in {"relu": 4 * 8 * 8, "pool": 4 * 22**2}.items():
            assert means["activation_comparison", name] == amount
            assert means["activation_comparison", f"{name}, call 2"] == amount
        for term in ("activation_read", "activation_write"):
            assert means[term, "pool"] == 4 * 8 * 8
        (words,) = {
            column.memory_bits
            for column in operations.columns
            if (column.term, column.place) == ("weight_read", "conv")
        }
        assert words == 32 * 4 * 2 * 9, "kernels are stored once"

    @pytest.mark.parametrize("pruned", [True, False])
    def test_of_products(self, images: Tensor, pruned: bool) -> None:
        """Those of all weights that are there, and those of nonzero inputs."""
        conv = nn.Conv2d(2, 4, 3, padding=1)
        linear = nn.Linear(256, 4)
        ann = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear).eval()
        for layer in (conv, linear):
            layer.weight.data *= torch.rand_like(layer.weight) < 0.2
        (baseline,) = self.report(ann, images, pruned=pruned).analysis.inputs.baselines

        def there(weights: Tensor) -> Tensor:
            return (weights != 0).float() if pruned else torch.ones_like(weights)

        def products(images: Tensor, hidden: Tensor) -> list[list[int]]:
            kernels = there(conv.weight)
            first = nn.functional.conv2d((images != 0).float(), kernels, padding=1)
            second = (hidden != 0).float() @ there(linear.weight).T
            by_layer = [first.sum(dim=(1, 2, 3)), second.sum(dim=1)]
            return torch.stack(by_layer, dim=1).int().tolist()  # type: ignore[no-any-return]

        with torch.no_grad():
            assert baseline.macs_nonzero.tolist() == products(images, ann[:3](images))
        whole = products(torch.ones(1, 2, 8, 8), torch.ones(1, 256))
        assert [[*baseline.synapses]] == whole
        assert baseline.activity.pruned == pruned

    @pytest.mark.parametrize(
        ("function", "is_named"),
        [(rescaled, False), (clamped, False), (masked, True), (chosen, True)],
    )
    def test_in_integers_only_rescaling_needs_no_name(
        self, function: Callable[[Tensor], Tensor], is_named: bool, images: Tensor
    ) -> None:
        class Between(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return function(x)

        ann = nn.Sequential(
            nn.Flatten(), nn.Linear(128, 4), Between(), nn.Linear(4, 4)
        ).eval()
        report = self.report(ann, images, weight_bits=8)
        assert [words[:9] for words in report.not_counted] == is_named * ["Between 2"]

    def test_in_integers_on_its_own_samples(self, images: Tensor) -> None:
        ann = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
        report = self.report(
            ann, images, samples=torch.rand(N, 3), weight_bits=8, name="small"
        )
        variant = report.analysis.ledger.variants[1]
        assert variant.network == "small, 8 bits"
        columns = variant.operations.columns
        assert {column.bits for column in columns if column.term == "mac"} == {8}
        with pytest.raises(
            ArtifactError, match=r"gives no scores .* of the 12 samples"
        ):
            self.report(ann, images, samples=torch.rand(N - 1, 3))


class Readout(nn.Module):
    """Potentials that integrate without spiking."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget the potentials."""
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.v = 0.9 * self.v + x
        return self.v


@pytest.mark.parametrize(
    ("last", "additions", "comparisons"),
    [
        (LIF(), 0, 3),
        (Readout(), 4 * T, 3),
        (nn.Identity(), 4 * T, 3),
        (nn.AvgPool1d(2), 2 * T, 1),
    ],
)
def test_the_answer(
    last: nn.Module, additions: int, comparisons: int, spikes: Tensor
) -> None:
    """The largest of four classes' spikes, potentials or sums, or of two groups'."""
    model = dense()
    model[3] = last
    report = price(
        model,
        spikes,
        loop="price",
        neurons={LIF: Population(), Readout: Population(fires=False, resets=False)},
    )
    operations = report.analysis.inputs.operations
    columns = zip(operations.columns, operations.means, strict=True)
    means = {(column.term, column.place): mean for column, mean in columns}
    assert means["decision_comparison", "output"] == comparisons
    assert means.get(("addition", "output"), 0) == additions
    assert ("spike_counted", "output") in means or additions
