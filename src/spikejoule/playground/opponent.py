"""The conventional network next to the spiking one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline, load_baseline, load_weights
from spikejoule.core.store import FilePath
from spikejoule.data.images import LabelledImages
from spikejoule.energy.ledger import Variant, baseline_variants
from spikejoule.energy.prices import HardwareProfile, factors_of, prices_pj
from spikejoule.network.checkpoint import Checkpoint

CHOSEN_AS: Final = (
    "the run's cheapest one of at least the same accuracy, or its most accurate one if "
    "none is as accurate"
)
"""Why `choose_opponent` chooses a network."""


@dataclass(frozen=True, eq=False)
class Opponent:
    """The conventional network that a spiking one is compared with.

    Attributes:
        variant: the network and how it is run: with all products, or skipping zeros.
        counts: its multiply-accumulates on the test images.
        weights: its arrays (`spikejoule.baselines.counts.load_weights`).
    """

    variant: Variant
    counts: CountedBaseline
    weights: Mapping[str, NDArray[Any]]

    @property
    def products(self) -> NDArray[np.int64]:
        """Multiply-accumulates of each image in each matrix, int64 [N, L - 1].

        N is the number of images that the variant was counted on.
        """
        nonzero = self.counts.macs_nonzero[: len(self.variant.operations.counts)]
        if self.variant.dataflow.skips_zeros:
            return nonzero
        return np.broadcast_to(np.array(self.counts.synapses, np.int64), nonzero.shape)


def choose_opponent(
    path: FilePath,
    images: LabelledImages,
    profile: HardwareProfile,
    checkpoint: Checkpoint,
) -> Opponent:
    """Choose among the networks in a file of the stage `baseline`.

    It is the one that needs the least energy among those at least as accurate on
    validation images. If none is, it is the most accurate one; of several, the one that
    needs the least energy.

    Args:
        path: the file.
        images: test images, the first of those in the file.
        profile: the price list of the headline.
        checkpoint: the spiking network, whose validation accuracy is to be reached.

    Raises:
        ArtifactError: the file is missing or damaged, or has other images.
    """
    n_pixels = images.images[0].size
    counts = load_baseline(path, images.labels, n_pixels)
    variants = baseline_variants(counts, len(images))
    accuracy_percent = checkpoint.file.training_results.best_val_accuracy or 0.0
    # A list of integer prices does not apply to networks in floating point. If it
    # applies to none of the networks, all take part.
    priced = [
        variant
        for variant in variants
        if profile.compares(variant.weight_bits, variant.operations)
    ] or variants
    accurate = [
        variant
        for variant in priced
        if (variant.validation_percent or 0.0) >= accuracy_percent
    ]

    def energy_pj(variant: Variant) -> float:
        # The high end: a price list may have no values, only ranges.
        _, _, high = factors_of(prices_pj(variant.operations.columns, profile))
        return float(variant.operations.means @ high)

    if accurate:
        chosen = min(accurate, key=energy_pj)
    else:
        most = max(variant.validation_percent or 0.0 for variant in priced)
        best = [variant for variant in priced if variant.validation_percent == most]
        chosen = min(best, key=energy_pj)
    (network,) = (one for one in counts if one.name == chosen.network)
    return Opponent(chosen, network, load_weights(path, network.name))
