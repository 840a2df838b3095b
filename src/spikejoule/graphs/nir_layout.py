"""What the metadata of a NIR graph says beyond NIR's own fields, for who writes and who reads it.

NIR states continuous dynamics, `tau dv/dt = v_leak - v + r I` with a spike at `v > v_threshold` and
a reset to `v_reset`. How a simulator turns them into steps, whether it compares with `>` or `>=`,
and whether a reset subtracts, stands nowhere in NIR; integers have no place in it either. The
metadata of the graph says it.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import nir
import numpy as np
from pydantic import Field

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Record
from spikejoule.model.trained import QuantisationEntry

FORMAT: Final = "spikejoule_nir_v1"

DT: Final = 1e-4
"""Seconds of one step in the graph, which stands for 1 ms of the network.

Only dt / tau enters a step, so any dt would do; snnTorch takes 1e-4 without asking, and it is
SpikingJelly's default.
"""

FLOAT_LEAK: Final = "decay * u"
INTEGER_LEAK: Final = "floor(m u / 256)"


class NirMetadata(Record):
    """The metadata of a graph.

    Attributes:
        format: names this schema.
        version: spikejoule's that wrote it.
        dt: seconds of one step by which tau and r are to be read.
        step_ms: what one step stands for in the network.
        comparison: a neuron fires where the potential is >= its threshold.
        reset: to ``zero``, or ``subtract``: by the threshold, for which NIR has no field.
        leak: of the potential u after the step before.
        input: ``spikes``, or ``currents``: intensities that stay the same in every step.
        encoding: the code by which images become the input; without parameters that are None.
        pruned: whether a weight of 0 is no synapse.
        quantisation: of a network of integers, as in its checkpoint: an integer q of a layer with
            the exponent k stands for q 2^-k.
    """

    format: Literal["spikejoule_nir_v1"]
    version: str
    dt: float = Field(gt=0)
    step_ms: float = Field(gt=0)
    comparison: Literal[">="]
    reset: Literal["zero", "subtract"]
    leak: Literal["decay * u", "floor(m u / 256)"]
    input: Literal["spikes", "currents"]
    encoding: dict[str, Any]
    pruned: bool
    quantisation: QuantisationEntry | None = None


def metadata_of(graph: nir.NIRGraph) -> NirMetadata:
    """What a graph of `nir_out.nir_graph` says beyond NIR, in memory or read from a file.

    Raises ArtifactError if the graph is of another writer, or its metadata damaged.
    """
    return metadata_from(graph.metadata)


def metadata_from(metadata: Mapping[str, Any]) -> NirMetadata:
    """The same of the metadata themselves."""
    content = _plain(metadata)
    if content.get("format") != FORMAT:
        raise ArtifactError(
            f"the NIR graph must have metadata of the format {FORMAT!r}, but has "
            f"{content.get('format', 'no format')!r:.80}."
        )
    return NirMetadata.from_content("the NIR graph's metadata", content)


def integers_of(graph: nir.NIRGraph) -> QuantisationEntry:
    """Widths, grids and integers of a graph, bit for bit those of the checkpoint.

    Raises ArtifactError as :func:`metadata_of`, and for a network of floating point.
    """
    entry = metadata_of(graph).quantisation
    if entry is None:
        raise ArtifactError("the NIR graph is a network of floating point, and has no integers.")
    return entry


def _plain(value: Any, key: str = "") -> Any:
    """Python's values for HDF5's scalars and lists; arrays stay where they are integers by name."""
    if isinstance(value, Mapping):
        return {
            name: entry if key == "integers" else _plain(entry, name)
            for name, entry in value.items()
        }
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
