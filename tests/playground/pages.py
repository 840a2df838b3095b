"""Playgrounds of small trained networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import load_baseline, load_weights
from spikejoule.data.dataset import Dataset, load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.energy.ledger import baseline_variants
from spikejoule.energy.prices import load_profiles
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.opponent import Opponent
from spikejoule.playground.page import playground_page
from tests.tools.finished_project import finish_project
from tests.tools.pipeline_tools import artifact_paths

MANY_IMAGES = 200

DEFAULT = {
    "encode.time_window": 50,
    "model.hidden": 400,
    "measure_inference.n_samples": MANY_IMAGES,
}
"""The default network, in float32: Poisson spikes, a leak, a reset to zero."""

INTEGERS = {
    "encode.encoding": "latency",
    "encode.time_window": 20,
    "model.hidden": 200,
    "model.decay": 1.0,
    "model.reset": "subtract",
    "model.bias": False,
    "model.weight_bits": 4,
    "model.state_bits": 16,
    "train.pruned_fraction": 0.5,
    "measure_inference.n_samples": MANY_IMAGES,
}
"""As in contest-98: a spike a pixel, pruned, 4-bit weights; so is the opponent."""

DEEP = {**INTEGERS, "model.hidden": [24, 16], "measure_inference.n_samples": "null"}
"""Two hidden layers."""

REGULAR = {"encode.encoding": "regular", "evaluate.early_exit_rule": "first_spike"}
"""Regular spikes, an exit at the first output spike, an opponent run densely."""

POTENTIALS = {
    "model.readout": "max_potential",
    "evaluate.early_exit_tolerance_percent": 5,
}
"""Poisson spikes, and the largest potential of any step, in float32."""

INTEGER_POTENTIALS = {
    **INTEGERS,
    "encode.encoding": "binary",
    "encode.time_window": 5,
    "model.readout": "potential",
    "model.bias": "initial",
    "evaluate.early_exit_tolerance_percent": 5,
}
"""All pixels in the first step, and the last potentials."""

SMALL = {"encode.time_window": 20, "model.hidden": 30}
"""Poisson spikes, in float32; for tests of how people use a page."""


@dataclass(frozen=True, eq=False)
class Playground:
    """A page, and what it was made from.

    Attributes:
        path: of the page.
        inputs: of the page.
    """

    path: Path
    inputs: PlaygroundInputs

    @property
    def images(self) -> NDArray[np.uint8]:
        """Pixels of the test images in rows."""
        images = self.inputs.images.images
        return images.reshape(len(images), -1)


def build(
    repository: Path,
    mnist5k: Dataset,
    folder: Path,
    parameters: Mapping[str, Any],
) -> Playground:
    """Train the networks, and write their page."""
    everything = {"measure_inference.n_samples": "null", **parameters}
    project = folder / "project"
    finish_project(repository, mnist5k, project, everything, last="energy_report")
    method = "dense" if parameters == REGULAR else "zero-skipping"
    inputs = inputs_of(project, repository, method)
    path = folder / "try.html"
    path.write_text(playground_page(inputs), encoding="utf-8")
    return Playground(path, inputs)


def inputs_of(project: Path, repository: Path, method: str) -> PlaygroundInputs:
    """What a project knows; its opponent is pruned, and run by `method`."""
    paths = {name: project / path for name, path in artifact_paths(repository).items()}
    samples = load_samples(paths["test"])
    assert isinstance(samples, LabelledImages)
    counts = load_baseline(paths["baseline"])
    checkpoint = Checkpoint.read(paths["checkpoint"])
    measured = read_measurement(paths, checkpoint, samples)
    variants = baseline_variants(counts, measured.n_samples)
    is_integer = measured.network.weight_bits < 32
    variant = next(
        variant
        for variant in reversed(variants)
        if variant.method == method and (variant.weight_bits < 32) == is_integer
    )
    chosen = next(network for network in counts if network.name == variant.network)
    return PlaygroundInputs(
        checkpoint=checkpoint,
        measured=measured,
        images=samples,
        profiles=tuple(load_profiles().values()),
        early=EarlyExit.read(paths["early_exit"]),
        opponent=Opponent(
            variant, chosen, load_weights(paths["baseline"], chosen.name)
        ),
    )
