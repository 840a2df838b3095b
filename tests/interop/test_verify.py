"""`spikejoule.verify` on what exporters drop: each case of four simulators, with its cause."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import spikejoule
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.verified import Verification

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

N_SAMPLES, STEPS, N_IN, N_OUT = 12, 20, 30, 10
DT = 1e-4


def weighted(network: nn.Module) -> nn.Module:
    """Weights that make every layer fire, multiples of 1/256: sums are exact in any order."""
    torch.manual_seed(3)
    with torch.no_grad():
        for values in network.parameters():
            if values.dim() > 1:
                drawn = torch.randn(values.shape) * 3 / values[0].numel() ** 0.5
                values.copy_(torch.round(256 * drawn) / 256)
    return network.eval()


def spikes_of(shape: tuple[int, ...]) -> torch.Tensor:
    """[steps, samples, units...]."""
    torch.manual_seed(5)
    return (torch.rand(STEPS, N_SAMPLES, *shape) < 0.15).float()


def leaky(*shape: int, beta: float = 0.5, **options: Any) -> nn.Module:
    import snntorch

    given = {"reset_mechanism": "zero", "init_hidden": True, **options}
    neurons: nn.Module = snntorch.Leaky(
        beta=torch.full(shape, beta), threshold=torch.ones(shape), **given
    )
    return neurons


def rleaky(bias: bool = False, **options: Any) -> nn.Module:
    import snntorch

    neurons = snntorch.RLeaky(
        beta=torch.full((40,), 0.5), threshold=torch.ones(40), linear_features=40,
        init_hidden=True, **{"reset_mechanism": "zero", "reset_delay": False, **options},
    )  # fmt: skip
    nn.init.constant_(neurons.recurrent.bias, 0.25 if bias else 0.0)
    made: nn.Module = neurons
    return made


def synaptic(n: int, **options: Any) -> nn.Module:
    import snntorch

    half = torch.full((n,), 0.5)
    neurons: nn.Module = snntorch.Synaptic(
        alpha=half, beta=half, threshold=torch.ones(n), init_hidden=True,
        **{"reset_mechanism": "zero", **options},
    )  # fmt: skip
    return neurons


def dense(first: Callable[[], nn.Module], **options: Any) -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Linear(N_IN, 40), first(), nn.Linear(40, N_OUT), leaky(N_OUT, **options)]


def conv(**options: Any) -> Callable[[], list[nn.Module]]:
    return lambda: [nn.Conv2d(2, 6, 3, padding=1, **options), leaky(6, 6, 6), nn.Flatten(),
                    nn.Linear(216, N_OUT), leaky(N_OUT)]  # fmt: skip


Case = tuple[Callable[[], list[nn.Module]], tuple[int, ...], str]
SNNTORCH: dict[str, Case] = {
    "to zero": (dense(lambda: leaky(40)), (N_IN,), ""),
    "beta is 1": (dense(lambda: leaky(40, beta=1.0)), (N_IN,), ""),
    "convolution": (conv(), (2, 6, 6), ""),
    "circular": (conv(padding_mode="circular"), (2, 6, 6), "padding 'circular'"),
    "graded": (dense(lambda: leaky(40, graded_spikes_factor=2.0)), (N_IN,), "gives up to 2"),
    "never reset": (dense(lambda: leaky(40, reset_mechanism="none")), (N_IN,), "never reset"),
    "its default": (dense(lambda: leaky(40, reset_mechanism="subtract")), (N_IN,), "a step late"),
    "subtracts at once": (
        dense(lambda: leaky(40, reset_mechanism="subtract", reset_delay=False)), (N_IN,),
        "once more",
    ),
    "Synaptic": (dense(lambda: synaptic(40, reset_delay=False)), (N_IN,), ""),
    "Synaptic, delayed": (dense(lambda: synaptic(40)), (N_IN,), "reset_delay=True"),
    "Synaptic subtracts": (
        dense(lambda: synaptic(40, reset_mechanism="subtract")), (N_IN,), "a step late"
    ),
    "recurrent": (dense(rleaky), (N_IN,), ""),
    "recurrent with a bias": (dense(lambda: rleaky(bias=True)), (N_IN,), "have a bias"),
    "recurrent, delayed": (dense(lambda: rleaky(reset_delay=True)), (N_IN,), "reset_delay=True"),
}  # fmt: skip


@pytest.mark.parametrize("name", SNNTORCH)
@torch.no_grad()
def test_snntorch(name: str) -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    from snntorch.export_nir import export_to_nir

    make, shape, cause = SNNTORCH[name]
    network = weighted(nn.Sequential(*make()))
    graph = export_to_nir(network, torch.zeros(1, *shape), ignore_dims=[0])
    given = Conventions(dt=DT, reset="zero", comparison="gt", current="same_step")
    check(spikejoule.verify(network, graph, spikes_of(shape), given, time_axis=0), cause)


def check(found: Verification, cause: str) -> None:
    assert all(one.spikes > 50 for one in found.layers), str(found)
    assert found.same == (not cause), str(found)
    assert cause in found.cause, str(found)


def jelly(neuron: str = "LIFNode", **options: Any) -> nn.Module:
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based import neuron as neurons

    known = {"LIFNode": {"tau": 2.0}, "ParametricLIFNode": {"init_tau": 2.0},
             "CUBALIFNode": {"c_decay": 0.5, "v_decay": 0.5}}  # fmt: skip
    given = {"v_reset": 0.0, **known.get(neuron, {}), **options}
    made: nn.Module = getattr(neurons, neuron)(**given)
    functional.set_step_mode(made, "m")
    return made


JELLY: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], str]] = {
    "LIF": (lambda: jelly(decay_input=False), {}, ""),
    "decays its input": (lambda: jelly(), {}, ""),
    "to -0.5": (lambda: jelly(v_reset=-0.5), {"initial": "reset"}, ""),
    "IF": (lambda: jelly("IFNode"), {}, ""),
    "parametric": (lambda: jelly("ParametricLIFNode"), {}, ""),
    "above": (lambda: jelly("IFNode"), {"comparison": "gt"}, "with ge the spikes"),
    "dt": (lambda: jelly("IFNode"), {"dt": DT / 2}, "counts 0.5 times in the graph"),
    "dt of LIF": (lambda: jelly(), {"dt": DT / 2}, "keep 0.5 of their potential"),
    "CUBALIF": (lambda: jelly("CUBALIFNode"), {"current": "same_step"}, ""),
    "CUBALIF later": (
        lambda: jelly("CUBALIFNode"), {"current": "next_step"}, "with same_step the spikes"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JELLY)
@torch.no_grad()
def test_spikingjelly(name: str) -> None:
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    from spikingjelly.activation_based import layer
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    make, said, cause = JELLY[name]
    layers = [layer.Linear(N_IN, 40, step_mode="m"), make(),
              layer.Linear(40, N_OUT, step_mode="m"), make()]  # fmt: skip
    network, spikes = weighted(nn.Sequential(*layers)), spikes_of((N_IN,))
    graph = export_to_nir(network, spikes[:, :1], dt=DT)
    given = Conventions(
        **{"dt": DT, "reset": "zero", "comparison": "ge", "initial": "zero", **said}
    )
    check(spikejoule.verify(network, graph, spikes, given, time_axis=0), cause)


@torch.no_grad()
def test_a_reset_by_subtraction_in_spikingjelly() -> None:
    """Its exporter refuses it, so it is exported as a reset to zero, and run by subtraction."""
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    from spikingjelly.activation_based import layer
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    layers = [layer.Linear(N_IN, 40, step_mode="m"), jelly(decay_input=False)]
    network, spikes = weighted(nn.Sequential(*layers)), spikes_of((N_IN,))
    graph = export_to_nir(network, spikes[:, :1], dt=DT)
    layers[1].v_reset = None  # type: ignore[assignment]
    for reset, cause in (("subtract", ""), ("zero", "with subtract the spikes")):
        given = Conventions(dt=DT, reset=reset, comparison="ge")
        check(spikejoule.verify(network, graph, spikes, given, time_axis=0), cause)


@pytest.mark.parametrize(("factor", "cause"), [(1.0, ""), (2.0, "of a time constant")])
@torch.no_grad()
def test_norse(factor: float, cause: str) -> None:
    """Its exporter writes a tau that is dt times too small; the recipe divides it out."""
    norse = pytest.importorskip("norse.torch", reason="needs the extra interop")
    from norse.torch.utils.export_nir import to_nir

    def cell(n: int) -> nn.Module:
        nothing = torch.zeros(n)
        made: nn.Module = norse.LIFBoxCell(
            norse.LIFBoxParameters(
                tau_mem_inv=torch.full((n,), 500.0), v_leak=nothing, v_th=torch.ones(n),
                v_reset=nothing,
            )
        )  # fmt: skip
        return made

    layers = [nn.Linear(N_IN, 40), cell(40), nn.Linear(40, N_OUT), cell(N_OUT)]
    network, spikes = weighted(norse.SequentialState(*layers)), spikes_of((N_IN,))
    graph = to_nir(network, spikes[0, :1], dt=1e-3)
    for node in graph.nodes.values():
        if hasattr(node, "tau"):
            node.tau = node.tau / 1e-3 * factor
    given = Conventions(dt=1e-3, reset="zero", comparison="gt")
    check(spikejoule.verify(network, graph, spikes, given, time_axis=0), cause)


SINABS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "IAF": ("IAF", {"spike_fn": "SingleSpike"}, "subtract", ""),
    "IAF with several spikes": ("IAF", {"spike_fn": "MultiSpike"}, "subtract", "in a step, where"),
    "LIF": ("LIF", {"tau_mem": 10.0, "spike_fn": "SingleSpike"}, "subtract", "keep 0.904"),
    "LIF without a norm": (
        "LIF", {"tau_mem": 10.0, "spike_fn": "SingleSpike", "norm_input": False}, "subtract",
        "norm_input=False",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SINABS)
@torch.no_grad()
def test_sinabs(name: str) -> None:
    layers = pytest.importorskip("sinabs.layers", reason="needs the extra interop")
    from sinabs import activation
    from sinabs.nir import to_nir

    kind, options, reset, cause = SINABS[name]
    given = {**options, "spike_fn": getattr(activation, options["spike_fn"])}

    def neurons(n: int) -> nn.Module:
        if "tau_mem" in given:
            given["tau_mem"] = torch.full((n,), 10.0)
            given["spike_threshold"] = torch.full((n,), 0.125)
        made: nn.Module = getattr(layers, kind)(**given)
        return made

    parts = [nn.Linear(N_IN, 40), neurons(40), nn.Linear(40, N_OUT), neurons(N_OUT)]
    network, spikes = weighted(nn.Sequential(*parts)), spikes_of((N_IN,))
    graph = to_nir(network, spikes[:1, :1].transpose(0, 1))
    said = Conventions(dt=1.0, reset=reset, comparison="ge")
    check(spikejoule.verify(network, graph, spikes, said, time_axis=0), cause)
