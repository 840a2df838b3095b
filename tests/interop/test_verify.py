"""`spikejoule.verify` on what exporters drop, and on the graph of each of the sixty networks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.events import EventList
from spikejoule.energy.from_graph import price_graph
from spikejoule.nir.conventions import Conventions
from tests.interop.networks import CASES, Case, louder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

N_SAMPLES, STEPS, N_IN, N_OUT = 12, 20, 30, 10


def snn(kind: str, *shape: int, **options: Any) -> nn.Module:
    """Neurons of snnTorch as its exporter takes them, reset to zero unless it is said."""
    import snntorch

    each = {"beta": torch.full(shape, options.pop("beta", 0.5)), "threshold": torch.ones(shape)}
    if kind == "Synaptic":
        each["alpha"] = torch.full(shape, 0.5)
    own = {"linear_features": shape[0]} if kind == "RLeaky" else {}
    bias = options.pop("bias", 0.0)
    given = {"reset_mechanism": "zero", "init_hidden": True, **own, **options}
    made: nn.Module = getattr(snntorch, kind)(**each, **given)
    if own:
        nn.init.constant_(made.recurrent.bias, bias)  # type: ignore[arg-type, union-attr]
    return made


def dense(kind: str = "Leaky", **options: Any) -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Linear(N_IN, 40), snn(kind, 40, **options), nn.Linear(40, N_OUT),
                    snn("Leaky", N_OUT)]  # fmt: skip


def conv() -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Conv2d(2, 6, 3, padding=1), snn("Leaky", 6, 6, 6), nn.Flatten(),
                    nn.Linear(216, N_OUT), snn("Leaky", N_OUT)]  # fmt: skip


DROPPED: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "to zero": (dense(), ""),
    "beta is 1": (dense(beta=1.0), ""),
    "convolution": (conv(), ""),
    "its default": (dense(reset_mechanism="subtract"), "a step late"),
    "subtracts at once": (dense(reset_mechanism="subtract", reset_delay=False), "once more"),
    "Synaptic": (dense("Synaptic", reset_delay=False), ""),
    "Synaptic, delayed": (dense("Synaptic"), "reset_delay=True"),
    "recurrent": (dense("RLeaky", reset_delay=False), ""),
    "recurrent with a bias": (dense("RLeaky", reset_delay=False, bias=0.25), "have a bias"),
    "recurrent, delayed": (dense("RLeaky"), "reset_delay=True"),
}


@pytest.mark.parametrize("name", DROPPED)
@torch.no_grad()
def test_what_snntorchs_exporter_drops(name: str) -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    from snntorch.export_nir import export_to_nir

    make, cause = DROPPED[name]
    torch.manual_seed(3)
    network = nn.Sequential(*make())
    for values in network.parameters():
        if values.dim() > 1:  # sums are exact in any order, and all layers fire
            drawn = torch.randn(values.shape) * 3 / values[0].numel() ** 0.5
            values.copy_(torch.round(256 * drawn) / 256)
    shape = (N_IN,) if isinstance(network[0], nn.Linear) else (2, 6, 6)
    graph = export_to_nir(network, torch.zeros(1, *shape), ignore_dims=[0])
    spikes = (torch.rand(STEPS, N_SAMPLES, *shape) < 0.15).float()
    found = spikejoule.verify(network, graph, spikes, GIVEN["snntorch"], time_axis=0)
    assert all(one.spikes > 50 for one in found.layers), str(found)
    assert found.same == (not cause), str(found)
    assert cause in found.cause, str(found)


GIVEN = {
    "snntorch": Conventions(dt=1e-4, reset="zero", comparison="gt"),
    "spikingjelly": Conventions(dt=1e-4, reset="zero", comparison="ge"),
    "norse": Conventions(dt=0.003, reset="zero", comparison="gt"),
    "sinabs": Conventions(dt=1.0, reset="subtract", comparison="ge"),
}
GIVEN = {name: replace(one, current="same_step", initial="zero") for name, one in GIVEN.items()}


def exported(case: Case, model: Any, samples: Tensor) -> Any:
    """The graph of a network as its simulator exports it, by the recipes of the how-to page."""
    one = samples[:1] if case.time_axis == "none" else samples[:1, :1]
    if case.simulator == "snntorch":
        from snntorch import SpikingNeuron
        from snntorch.export_nir import export_to_nir

        model(samples[0] if case.stepwise else samples)
        for module in model.modules():
            for constant in ("alpha", "beta", "threshold"):
                if isinstance(module, SpikingNeuron) and hasattr(module, constant):
                    value = getattr(module, constant).detach().expand(module.mem.shape[1:]).clone()
                    delattr(module, constant)
                    module.register_buffer(constant, value)
        return export_to_nir(model, one[0], ignore_dims=[0])
    if case.simulator == "spikingjelly":
        from spikingjelly.activation_based.nir_exchange import export_to_nir as from_jelly

        return from_jelly(model, one[0] if case.stepwise else one, dt=1e-4)
    if case.simulator == "norse":
        from norse.torch.utils.export_nir import to_nir

        graph = to_nir(model, one[0], dt=0.003)
        for node in graph.nodes.values():
            for tau in ("tau", "tau_mem", "tau_syn"):
                if hasattr(node, tau):
                    setattr(node, tau, getattr(node, tau) / 0.003)
        return graph
    from sinabs.nir import to_nir as from_sinabs

    model(samples)
    return from_sinabs(model, one)


SAME = {
    "snntorch: Leaky zero delayed", "snntorch: Leaky zero at once", "norse: LIFBoxCell",
    *(f"spikingjelly: {name} {mode}" for mode in "sm" for name in
      ("IF", "LIF", "LIF without decay of the input", "PLIF", "CUBALIF")),
    "spikingjelly: SEW ADD",
}  # fmt: skip
OTHERWISE = {
    "spikingjelly: IF m": ({"dt": 5e-5}, "counts 0.5 times in the graph: is dt right?"),
    "spikingjelly: LIF m": ({"dt": 5e-5}, "keep 0.444444 of their potential, those of the graph"),
    "spikingjelly: CUBALIF m": ({"current": "next_step"}, "with same_step the spikes"),
    "sinabs: IAF single spikes": ({"reset": "zero"}, ""),
    "sinabs: IAF": ({}, "it gives up to"),
    "sinabs: LIF several spikes": ({}, "it gives up to"),
    "sinabs: LIF normalised": ({}, "keep 0.606531 of their potential, those of the graph 0.5"),
    "norse: LIFCell": ({}, "takes all that arrives"),
    "norse: IAFCell": ({}, "counts 0.003 times"),
}


def made(name: str) -> tuple[Case, nn.Module, Tensor]:
    case = CASES[name]
    pytest.importorskip(case.simulator, reason="needs the extra interop")
    torch.manual_seed(1)
    model = louder(case.make()).to(case.dtype).train(case.training)
    return case, model, case.samples()


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_graph_is_the_network_or_says_why_not(name: str) -> None:
    """Of those that are exported at all, none is taken for the network that is not; and what is,
    takes the same of every operation."""
    with torch.enable_grad():  # some are trained
        case, model, samples = made(name)
    try:
        graph = exported(case, model, samples)
    except Exception:
        assert name not in SAME
        return
    try:
        found = spikejoule.verify(
            model, graph, samples, GIVEN[case.simulator], time_axis=case.time_axis
        )
    except SpikejouleError:
        assert name not in SAME
        return
    # Of some small ones the last layer never fires, and is named as not compared.
    fires = any(one.spikes for one in found.layers)
    agrees = found.first is None and fires and not found.absent
    assert agrees == (name in SAME), str(found)
    assert agrees or found.cause != "none of those that are known"
    if agrees:
        axis = case.time_axis
        report = spikejoule.price(model, samples, time_axis=axis, progress=False)
        events = EventList.from_dense(samples.transpose(0, 1 - axis).flatten(2).numpy() != 0)
        priced = report.analysis, price_graph(graph, events, GIVEN[case.simulator])
        ours, theirs = (one.inputs.operations for one in priced)
        for term in {column.term for column in (*ours.columns, *theirs.columns)}:
            assert (ours.of(term).sum(axis=1) == theirs.of(term).sum(axis=1)).all(), term


@pytest.mark.parametrize("name", OTHERWISE)
@torch.no_grad()
def test_a_graph_that_is_run_in_another_way(name: str) -> None:
    (case, model, samples), (given, cause) = made(name), OTHERWISE[name]
    graph = exported(case, model, samples)
    how = replace(GIVEN[case.simulator], **given)
    found = spikejoule.verify(model, graph, samples, how, time_axis=case.time_axis)
    assert found.same == (not cause), str(found)
    assert cause in found.cause, str(found)
