"""Test images to choose from."""

from typing import Any, Final

import numpy as np

from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.packing import packed

IN_A_GROUP: Final = 16
"""Test images in a group of the gallery."""


def gallery(inputs: PlaygroundInputs) -> dict[str, Any]:
    """Test images to choose from, in groups."""
    measured = inputs.measured
    labels = inputs.images.labels
    is_right = measured.predictions == labels
    right = np.flatnonzero(is_right)
    _, first_of_class = np.unique(labels[right], return_index=True)
    by_events = np.argsort(measured.synaptic_events.sum(axis=1), kind="stable")
    groups = {
        "one of each class": right[first_of_class],
        "misclassified": np.flatnonzero(~is_right)[:IN_A_GROUP],
        "fewest synaptic events": by_events[:IN_A_GROUP],
        "most synaptic events": by_events[::-1][:IN_A_GROUP],
    }
    samples = [
        {
            "index": int(inputs.images.index[place]),
            "label": int(labels[place]),
            "group": group,
        }
        for group, places in groups.items()
        for place in places
    ]
    chosen = np.concatenate(list(groups.values()))
    return {"samples": samples, "samplePixels": packed(inputs.images.images[chosen])}
