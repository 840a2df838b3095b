"""The page that compares others' definitions says what their formulas give, and so do
the sources.

Counts are those of the committed run of the defaults.
"""

import csv
from pathlib import Path

import pytest
import torch

import spikejoule
from tests.interop import estimators
from tests.interop.estimators import Items, Layer
from tests.tools.committed import committed_text, committed_values
from tests.tools.pages import names_in

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "explanation" / "agreement.md"
STEPS = 50

WEIGHTS = ("parameters", "weights", "biases")


def ours(
    network: str, profile: str = "45nm-int32", **where: str
) -> tuple[float, float]:
    """Sums of counts and of pJ under a profile, from the committed energies."""
    rows = [
        row
        for row in csv.DictReader(committed_text("metrics/energy.csv").splitlines())
        if (row["profile"], row["network"], row["phase"])
        == (profile, network, "inference")
        and not row["class"]
        and all(row[name] == value for name, value in where.items())
    ]
    assert rows
    return sum(float(row["count"] or 0) for row in rows), sum(
        float(row["pj"] or 0) for row in rows
    )


MEANS = [
    ours("snn", "45nm-fp32", term="spike_routed", layer=name)[0]
    for name in ("input", "hidden", "output")
]
SPIKING = [
    Layer(784, 400, STEPS, MEANS[0], MEANS[1]),
    Layer(400, 10, STEPS, MEANS[1], MEANS[2]),
]
RELU = [Layer(784, 400), Layer(400, 10)]
EVENTS = sum(layer.events for layer in SPIKING)
UPDATES = sum(layer.updates for layer in SPIKING)

ESTIMATORS: dict[str, tuple[Items, Items]] = {
    "SpikingJelly": (
        estimators.network(estimators.spikingjelly_spiking, SPIKING),
        estimators.network(estimators.spikingjelly_relu, RELU),
    ),
    "qualia": (
        estimators.network(estimators.qualia_spiking, SPIKING),
        estimators.network(estimators.qualia_relu, RELU),
    ),
    "spyx": (
        estimators.network(estimators.spyx_spiking, SPIKING),
        estimators.spyx_quantised(RELU, estimators.spyx_quantised_bits(STEPS)),
    ),
}


def nj(picojoules: float) -> str:
    """Nanojoules with one decimal."""
    return f"{picojoules / 1000:,.1f} nJ"


def page_rows() -> dict[str, list[str]]:
    """Cells of all tables, by the first one of a row."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in rows}


def energy_rows() -> dict[str, list[str]]:
    """The table of energies: a row for each estimator, the weights' part included."""
    rows = {}
    for name, networks in ESTIMATORS.items():
        spiking, relu = (sum(items.values()) for items in networks)
        weights = [sum(items.get(key, 0) for key in WEIGHTS) for items in networks]
        cells = [nj(spiking), nj(weights[0]), nj(relu), nj(weights[1])]
        rows[name] = [*cells, f"{spiking / relu:.3f}"]
    spiking = ours("snn", term="total")[1]
    # A price list of integers compares no network of floating point.
    macs = ours("ReLU 784-400-10, dense", "45nm-fp32", term="mac")[0]
    relu = macs * estimators.MAC_PJ
    rows["here"] = [nj(spiking), "", nj(relu), "", f"{spiking / relu:.3f}"]
    return rows


class TestPage:
    def test_the_counts_are_those_that_are_priced(self) -> None:
        assert (
            pytest.approx(committed_values("energy")["synaptic_events_per_inference"])
            == EVENTS
        )
        assert committed_values("energy")["neuron_updates_per_inference"] == UPDATES

    def test_energies(self) -> None:
        assert page_rows().items() >= energy_rows().items()


@pytest.mark.parametrize(
    ("rate", "hidden_rate", "steps", "spiking", "quantised"),
    [
        (0.2, 0.2, 10, 10904673.55136, 2730047.83648),
        (0.07122802734375, 0.0135650634765625, 8, 3015242.36245375, 2730047.83648),
    ],
)
def test_what_spyx_gave(
    rate: float, hidden_rate: float, steps: int, spiking: float, quantised: float
) -> None:
    """`honest_energy_results.json` of its study, at commit 158b136: a 256-128-10
    network.
    """
    spikes = (steps * rate * 256, steps * hidden_rate * 128)
    layers = [
        Layer(256, 128, steps, *spikes),
        Layer(128, 10, steps, spikes[1], fires=False),
    ]
    found = estimators.network(estimators.spyx_spiking, layers)
    assert sum(found.values()) == pytest.approx(spiking, rel=1e-12)
    baseline = estimators.spyx_quantised(layers, estimators.spyx_quantised_bits(steps))
    assert sum(baseline.values()) == pytest.approx(quantised, rel=1e-12)


@torch.no_grad()
def test_additions_and_recurrence_are_counted_by_hand() -> None:
    """The page's own loop, and the tools' counts next to it."""
    pytest.importorskip("snntorch")
    names = names_in(PAGE, "by_hand.py")
    model = names["model"]
    by_tool = []
    for tool in ("spikingjelly", "neurobench"):
        for neurons in (model.lif1, model.lif2, model.lif3):
            neurons.reset_mem()
        with (
            spikejoule.count_as(tool, model.fc3) as addition,
            spikejoule.count_as(tool, model.lif3) as recurrent,
        ):
            for step in names["samples"]:
                model(step)
        by_tool.append((addition, recurrent))
    (jelly, jelly_recurrent), (bench, bench_recurrent) = by_tool
    cells = [f"{names['addition']:,}", f"{jelly.total():,}"]
    cells.append(f"{bench['Effective_ACs']}, and {bench['Effective_MACs']:,} MACs")
    page = PAGE.read_text(encoding="utf-8")
    assert f"after the addition | {' | '.join(cells)} |" in page
    totals = [names["recurrent"], jelly_recurrent.total()]
    totals.append(bench_recurrent["Effective_ACs"])
    cells = [f"{total:,}" for total in totals]
    assert f"`lif3.recurrent` | {' | '.join(cells)} |" in page
    assert totals[0] - names["unread"] == totals[1]


class Product(torch.nn.Module):
    """The product of scores and queries alone."""

    def forward(self, scores: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        return scores @ query


@torch.no_grad()
def test_attention_is_counted_by_hand() -> None:
    """The page's own loop, and SpikingJelly's count of the same product."""
    pytest.importorskip("spikingjelly")
    names = names_in(PAGE, "attention_by_hand.py")
    product = Product()
    with spikejoule.count_as("spikingjelly", product) as counted:
        product(names["scores"], names["query"])
    assert counted.total() == names["products"]
    rows = page_rows()
    assert rows["all"][0] == f"{names['products']:,}"
    assert rows["those with a score other than 0"][0] == f"{names['without_zeros']:,}"
