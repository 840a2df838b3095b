"""Hand-worked inputs of an energy analysis: a tiny network, and conventional ones."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.counts.measurement import (
    LayerCounts,
    Measurement,
    activity_of_layers,
    activity_of_products,
)
from spikejoule.counts.training import TrainingRecord
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.energy.count import count_operations
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import Variant
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.price_forms import AnyPrice
from spikejoule.energy.prices import HardwareProfile, load_profiles
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import Network
from tests.energy.tiny_network import HIDDEN, INPUT, NETWORK, OUTPUT, STATE


def training(
    spikes: Sequence[tuple[int, ...]] = ((5, 3, 2),) * 2,
    samples: int = 1,
    network: Network = NETWORK,
    time_window: int = 3,
    counted: dict[str, Any] | None = None,
    **changed: Any,
) -> TrainingRecord:
    """Return a training whose epochs have one batch and the given spikes by layer."""
    layers = LayerCounts(
        spikes=np.array(spikes),
        samples=np.full(len(spikes), samples),
        **(counted or {}),
    )
    activity = activity_of_layers(network, time_window, layers)
    values: dict[str, Any] = {
        "activity": activity,
        "touched": np.zeros((len(spikes), len(network.connections)), np.int64),
        "batch_size": samples,
        "surrogate": "arctangent",
        "n_epochs": len(spikes),
        "weight_decay": True,
        "clipping": True,
        "best_validation_accuracy_percent": 90.0,
    }
    return TrainingRecord(**(values | changed))


def conventional_training(
    network: ConventionalNetwork,
    products: Sequence[int],
    gradients_reached: Sequence[int],
    samples: int,
    **changed: Any,
) -> TrainingRecord:
    """Return the training of a conventional network, in one row.

    `products` and `gradients_reached` are those of each connection; `samples` are those
    of all epochs.
    """
    macs = np.array([products])
    values: dict[str, Any] = {
        "activity": activity_of_products(network, macs, samples=np.array([samples])),
        "touched": macs,
        "gradients_reached": np.array([gradients_reached]),
        "clipping": False,
    }
    return TrainingRecord(**(values | changed))


TRAINING = training()
SAMPLES = 4


def baseline(
    macs_dense: int, nonzero: list[int], name: str = "ReLU", **changed: Any
) -> CountedBaseline:
    """Return a ReLU network n-2-2: n is 3, or as many as its weights need."""
    of_first = np.minimum(nonzero, macs_dense - 4)
    macs = np.stack([of_first, nonzero - of_first], axis=1).astype(np.int64)
    n_input = max(3, (macs_dense - 4) // 2)
    # As many weights are left as the count of dense products says.
    first = np.zeros((2, n_input), np.float32)
    first.flat[: macs_dense - 4] = 1
    state = {
        "layer1.synapses.weight": first,
        "layer2.synapses.weight": np.ones((2, 2), np.float32),
    }
    widths = {
        field: changed.pop(field, 32)
        for field in ("weight_bits", "activation_bits", "state_bits")
    }
    network = ConventionalNetwork.of_layers(n_input, (2,), 2).with_weights(state)
    is_pruned = macs_dense - 4 < 2 * n_input
    values: dict[str, Any] = {
        "name": name,
        "activity": activity_of_products(
            dataclasses.replace(network, **widths), macs, is_pruned
        ),
        "equal_size": True,
        "validation_accuracy_percent": 95.0,
        "accuracy_percent": 94.0,
    }
    return CountedBaseline(**(values | changed))


def measured(images: int = 1, pruned: bool = False) -> Measurement:
    """Measure the tiny network on equal images."""
    layers = tuple(
        EventList.from_dense([spikes] * images) for spikes in (INPUT, HIDDEN, OUTPUT)
    )
    return Measurement(STATE, NETWORK, layers, pruned)


def variant(operations: OperationCounts, bits: int = 32) -> Variant:
    """Return the tiny network over its whole window, with these operations."""
    return Variant(
        side="spiking",
        method="whole window",
        weight_bits=bits,
        operations=operations,
        validation_percent=88.0,
        test_percent=90.0,
        test_low_percent=85.0,
        test_high_percent=94.0,
    )


def inputs(
    baselines: tuple[CountedBaseline, ...] = (),
    labels: list[int] | None = None,
    images: int = SAMPLES,
) -> AnalysisInputs:
    """Return the inputs of an analysis of the tiny network on equal images."""
    return AnalysisInputs(
        title="by hand",
        activity=measured(images).activity(),
        encoder=Poisson(time_window=3, max_rate=80.0),
        variants=(variant(count_operations(measured(images))),),
        n_images=images,
        labels=None if labels is None else np.array(labels),
        baselines=baselines,
        training=TRAINING,
    )


def analysis(
    given: AnalysisInputs,
    profile: str = "45nm-fp32",
    extra: HardwareProfile | None = None,
) -> EnergyAnalysis:
    """Analyse under one price list for everything, `extra` among the packaged ones."""
    profiles = load_profiles()
    if extra is not None:
        profiles[extra.id] = extra
    return analyse(
        given, profiles, profiles[profile], profiles[profile], BootstrapSettings(200)
    )


def profile(
    prices: dict[str, AnyPrice | float], scope: str = "arithmetic", **changed: Any
) -> HardwareProfile:
    """Return a price list with the id ``p``."""
    about = {
        "title": "p",
        "process": "p",
        "year": 2020,
        "source": "doi:10.1/1",
        "unit": "pJ",
    }
    given = {"id": "p", "scope": scope, "evidence": "estimate", "prices": prices}
    return HardwareProfile.model_validate({**about, **given, **changed})
