"""The ledger of training next to SpikingJelly's NeuroMC and to SATA.

NeuroMC 712c66 is part of SpikingJelly 2.0.0. SATA's products are the formulas of its
simulator, RuokaiYin/SATA_Sim at commit 2a0961a, for one training sample: C input
channels, K output channels, kernels of side R and T steps take T C R^2 K products for
each of the E^2 outputs of a channel, in each of three stages; those with a zero spike,
or a zero delta on the way back, are left out.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikejoule.energy.dataflow import DENSE, Dataflow
from spikejoule.energy.operations import PHASES, OperationCounts
from spikejoule.energy.prices import load_profiles
from spikejoule.energy.training.counting import count_training
from spikejoule.network.layers import layers_of
from spikejoule.network.network import Network
from tests.energy.by_hand import training

neuromc: Any = pytest.importorskip(
    "spikingjelly.activation_based.op_counter.neuromc", reason="needs the extra interop"
)
from spikingjelly.activation_based import layer, neuron  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/energy-of-training.md"
STAGES = ("forward", "backward", "optimizer")
DEFAULT = (784, 400, 10)
STEPS = 50
BATCH = 64
# Mean spikes of a training sample, by layer; the dense step hardly depends on them.
SPIKES = (407, 592, 20)


def estimate(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int, int], rate: float
) -> Any:
    """What NeuroMC says about a step of a batch of input spikes."""
    # A sign, which takes no operation.
    allowed = neuromc.core._AUXILIARY_ATEN_OPS | {"aten.neg.default"}
    monkeypatch.setattr(neuromc.core, "_AUXILIARY_ATEN_OPS", allowed)
    network = nn.Sequential()
    for n_in, n_out in (sizes[:2], sizes[1:]):
        network.append(layer.Linear(n_in, n_out, step_mode="m"))
        network.append(
            neuron.LIFNode(tau=10.0, decay_input=False, v_reset=0.0, step_mode="m")
        )
    return neuromc.estimate_neuromc_runtime_energy(
        network,
        (torch.rand(STEPS, BATCH, sizes[0]) < rate).float(),
        target=torch.rand(BATCH, sizes[-1]),
        loss_fn=lambda spikes, target: nn.functional.mse_loss(spikes.mean(0), target),
        optimizer=torch.optim.Adam(network.parameters()),
    )


def ours(dataflow: Dataflow) -> OperationCounts:
    """Count the same step."""
    record = training(
        [tuple(BATCH * count for count in SPIKES)],
        samples=BATCH,
        network=Network.of_layers(DEFAULT[0], DEFAULT[1:-1], DEFAULT[-1]),
        time_window=STEPS,
        batch_size=BATCH,
    )
    return count_training(record, dataflow)


def products(counted: OperationCounts, *terms: str) -> int:
    """Products of all layers together."""
    return int(counted.of(*terms).sum())


def row(name: str, energies_uj: list[float]) -> str:
    """A row of the page's table."""
    cells = [
        f"{energy:,.0f}" if energy > 100 else f"{energy:.1f}" for energy in energies_uj
    ]
    return f"| {' | '.join([name, *cells])} |"


def test_neuromc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its products are those of a dense step; on the way back, each counts twice."""
    report = estimate(monkeypatch, DEFAULT, 0.01)
    found = {stage: {"module": 0, "trace": 0} for stage in STAGES}
    for entry in report.mapping_summary:
        source = entry["source"] if entry["source"] in found["forward"] else "module"
        found[entry["stage"]][source] += entry["mac_count"]
    dense = ours(DENSE)
    forward = products(dense, "mac")
    backward = products(dense, "gradient_mac", "backpropagation_mac")
    assert found["forward"] == {"module": forward, "trace": 0}
    assert found["backward"] == {"module": backward, "trace": backward}
    energies_uj = [report.energy_by_stage[stage] / 1e6 / BATCH for stage in STAGES]
    repeated_uj = report.energy_by_op["aten.mm.default"] / 1e6 / BATCH
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert row("NeuroMC", energies_uj) in text
    assert f"counting each once gives {energies_uj[1] - repeated_uj:.1f} µJ" in text


def test_neuromc_does_not_see_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (estimate(monkeypatch, (30, 20, 4), rate) for rate in (0.0, 0.5))
    assert few.energy_by_stage == many.energy_by_stage


def test_the_dense_step_of_the_page() -> None:
    counted = ours(DENSE)
    prices = load_profiles()["lemaire-complete"]
    low_pj, _, high_pj = np.nan_to_num(
        [prices.price_at(column) for column in counted.columns]
    ).T
    energies_pj = counted.counts[0] * (low_pj + high_pj) / 2
    phases = np.array([column.phase for column in counted.columns])
    # The data is part of going forward.
    forward, backward, optimizer = (
        energies_pj[np.isin(phases, names)].sum() / 1e6 / BATCH
        for names in (PHASES[:2], PHASES[2:3], PHASES[3:])
    )
    expected = row("here, dense", [forward, backward, optimizer])
    assert expected in PAGE.read_text(encoding="utf-8")


def test_sata() -> None:
    """Its VGG5 behind the first layer, with a tenth of all spikes."""
    steps = 8
    network = Network.of_chain(
        (64, 16, 16), layers_of(["128c3p1", "128c3p1", "2avg", "1024"]), 10
    )
    synapses = [int(node.fan_out().sum()) for node in network.connections]
    events = [round(0.1 * steps * count) for count in synapses]
    spikes = tuple(round(0.1 * steps * size) for size in network.layer_sizes)
    counted = count_training(
        training(
            [spikes],
            network=network,
            time_window=steps,
            counted={"events": np.array([events])},
        )
    )
    # C K R^2 E^2 of each layer. It also counts products with zero padding: of 16 x 16
    # windows of side 3, all that do not fit.
    by_layer = [64 * 128 * 9 * 16**2, 128 * 128 * 9 * 16**2, 8192 * 1024, 1024 * 10]
    padding = [count * (1 - (46 / 48) ** 2) for count in by_layer[:2]] + [0, 0]
    assert np.subtract(by_layer, padding) == pytest.approx(synapses)
    sata = [fraction * steps * sum(by_layer) for fraction in (0.1, 0.3, 0.1)]
    here = [
        products(counted, "synaptic_event"),
        products(counted, "backpropagation_mac"),
        products(counted, "gradient_accumulation"),
    ]
    assert here[0] == here[2] == pytest.approx(0.1 * steps * sum(synapses))
    # Every delta, but none to the input.
    assert here[1] == steps * sum(synapses[1:])
    text = PAGE.read_text(encoding="utf-8")
    for name, counts in (("SATA", sata), ("here", here)):
        cells = [f"{count / 1e6:.1f}" for count in counts]
        assert f"| {' | '.join([name, *cells])} |" in text
