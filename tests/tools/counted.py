"""Counts of an activity by kind: field of `NodeCounts` -> node -> counts [N]."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity, NodeCounts


def by_kind(activity: Activity) -> dict[str, dict[str, NDArray[Any]]]:
    """Collect all counts of an activity."""
    found: dict[str, dict[str, NDArray[Any]]] = {
        field.name: {} for field in fields(NodeCounts)
    }
    for name, node in activity.counts.items():
        for kind, of_nodes in found.items():
            if (counts := getattr(node, kind)) is not None:
                of_nodes[name] = counts
    return found


def count_of(activity: Activity, kind: str, name: str) -> NDArray[Any]:
    """Counts of a kind at a node, [N]; zeros if it has none."""
    found = by_kind(activity)[kind].get(name)
    return np.zeros(activity.n_rows, np.int64) if found is None else found
