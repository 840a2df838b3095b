"""`count_as` counts what each tool counts in the same network, to the last digit.

Sums stay below 2**24, above which NeuroBench's, in float32, lose digits.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spikejoule import Population, count_as, price
from spikejoule.core.errors import ParameterError
from spikejoule.pricing.modules.neurons import Known
from tests.interop.networks import Case, made
from tests.interop.packaged_models import MODELS
from tests.interop.recorded_loop import N, T

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def prepared(module: nn.Module) -> Any:
    """The module with a fifth of its weights set to zero."""
    torch.manual_seed(3)
    for values in module.parameters():
        if values.dim() > 1:
            values.mul_(torch.rand_like(values) > 0.2)
    return module.eval()


def ours(tool: str, network: nn.Module, run: Callable[[], Any]) -> dict[str, int]:
    with count_as(tool, network) as counts:
        run()
    return counts


def running(case: Case, model: nn.Module, samples: Tensor) -> Tensor:
    """Reset the model, take all steps, and return the last output."""
    Known.of(model).reset(model)
    if not case.stepwise:
        return model(samples)  # type: ignore[no-any-return]
    outputs: list[Tensor] = [model(step) for step in samples]
    return outputs[-1]


@pytest.mark.parametrize(
    "name",
    ["Leaky graded 2", "RLeaky", "currents in time", "max pooling of currents"],
)
@torch.no_grad()
def test_neurobench(name: str) -> None:
    models = pytest.importorskip("neurobench.models", reason="needs the extra interop")
    from neurobench.metrics.workload import SynapticOperations

    case, model, samples = made(f"snntorch: {name}")
    network = prepared(model)

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return running(case, network, x)

    watched = models.TorchModel(Steps())
    watched.register_hooks()
    output = watched(samples)
    found = SynapticOperations()(watched, output, (samples[0], torch.zeros(N)))
    watched.cleanup_hooks()
    assert found["Dense"] > 500
    assert ours("neurobench", network, lambda: running(case, network, samples)) == {
        count: round(N * mean) for count, mean in found.items()
    }


def synaptic_operations(run: Callable[[], Any]) -> int:
    """What SpikingJelly itself counts."""
    from spikingjelly.activation_based.op_counter import (
        DispatchCounterMode,
        SynOpCounter,
    )

    counter = SynOpCounter()
    with torch.no_grad(), DispatchCounterMode([counter]):
        run()
    return counter.get_total()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["SEW ADD", "linear feedback m"])
@torch.no_grad()
def test_spikingjelly(name: str) -> None:
    case, model, samples = made(f"spikingjelly: {name}")
    network = prepared(model)
    expected = synaptic_operations(lambda: running(case, network, samples))
    assert expected > 1000
    found = ours("spikingjelly", network, lambda: running(case, network, samples))
    assert found == {"synaptic operations": expected}


@pytest.mark.parametrize("name", ["spiking_resnet18", "Spikformer"])
def test_a_report_shows_the_same_count_for_a_published_model(
    name: str, tmp_path: Path
) -> None:
    """Attention is counted, too."""
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    torch.manual_seed(3)
    case = MODELS[name]
    model = case.make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):  # so that attention multiplies spikes
            nn.init.constant_(module.bias, 1.5)
    samples = (torch.rand(2, 3, *case.shape) < 0.5).float()
    report = price(
        model, samples, time_axis=0, progress=False, count_as=["spikingjelly"]
    )
    Known.of(model).reset(model)
    expected = synaptic_operations(lambda: model(samples))
    (other,) = report.analysis.inputs.other_counts
    assert other.count * 3 == pytest.approx(expected)
    assert f"SpikingJelly counts   synaptic operations {other.count:,.1f}" in str(
        report
    )
    report.save(tmp_path / "page.html")
    assert "Counts of other tools" in (tmp_path / "page.html").read_text("utf-8")


def test_pytorch() -> None:
    network = nn.Sequential(
        nn.ConvTranspose2d(2, 4, 3, stride=2, groups=2),
        nn.Unflatten(1, (1, 4)),
        nn.Conv3d(1, 2, 3),
        nn.Linear(9, 5),
    )
    inputs = torch.randn(N, 2, 5, 5)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(inputs)
    with torch.no_grad():
        found = ours("torch", network, lambda: network(inputs))
    assert found == {"flops": counter.get_total_flops()}


def test_a_run_that_fails_before_price_makes_the_steps_is_not_counted() -> None:
    class Stepwise(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            assert x.ndim == 2, "one step at a time"
            return super().forward(x)

    class Neurons(nn.Identity):
        pass

    network = nn.Sequential(Stepwise(11, 13), Neurons())
    report = price(
        network,
        torch.rand(T, N, 11),
        time_axis=0,
        neurons={Neurons: Population()},
        count_as="torch",
        progress=False,
    )
    (other,) = report.analysis.inputs.other_counts
    assert other.count == 2 * T * 11 * 13


def test_another_name_is_refused() -> None:
    allowed = "allowed are neurobench, spikingjelly, torch"
    with (
        pytest.raises(ParameterError, match=allowed),
        count_as("keras", nn.Linear(1, 1)),
    ):
        pass
