"""measure_inference: run the network on the test samples and keep all spikes."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from spikejoule.core.parameters import ParameterFile
from spikejoule.evaluation.inference import (
    InferenceMetrics,
    InferenceTimings,
    load_events_for,
    measure_network,
    save_inference_events,
)
from spikejoule.evaluation.params import MeasureInferenceParams
from spikejoule.network.checkpoint import Checkpoint

logger = logging.getLogger(__name__)


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml."""

    measure_inference: MeasureInferenceParams


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the spikes of all test samples, the time they took, and headline counts.

    The headline covers the first `measure_inference.n_samples`; `evaluate` classifies
    all samples.
    """
    trained = Checkpoint.read_trained(paths["trained"])
    events = load_events_for(trained, paths["events_test"])
    # The first call compiles or loads the kernels, which is not to be timed.
    measure_network(trained.state, trained.network, events.select(slice(1)))
    began = time.perf_counter()
    measured = measure_network(
        trained.state, trained.network, events, pruned=trained.pruned
    )
    _ = measured.counts  # counting is part of measuring
    seconds = time.perf_counter() - began
    save_inference_events(paths["inference_events"], measured)
    InferenceTimings(measurement_time_seconds=seconds).write(paths["inference_timings"])
    n_samples = params.measure_inference.n_samples
    if n_samples is not None and n_samples > events.n_samples:
        logger.warning(
            "measure_inference.n_samples is %s, but there are %s test samples; all are "
            "counted.",
            f"{n_samples:,}",
            f"{events.n_samples:,}",
        )
    counted = measured.first(n_samples)
    names = counted.counts.layer_names
    means = counted.counts.means
    InferenceMetrics(
        # One column for all hidden layers, so that networks can be compared.
        input_spikes_per_inference=means[names[0]],
        hidden_spikes_per_inference=sum(means[name] for name in names[1:-1]),
        output_spikes_per_inference=means[names[-1]],
    ).write(paths["inference_metrics"])
    logger.info(
        "%s test samples: %s spikes per inference, %s synaptic events",
        f"{counted.counts.n_samples:,}",
        ", ".join(f"{name} {means[name]:.1f}" for name in names),
        f"{counted.synaptic_events.sum(axis=1).mean():,.0f}",
    )
