"""The complete checkpoint: one file with the weights and all that an energy analysis needs.

`complete` assembles its content and describes its schema; here it is written, and read with every
check. The train stage's own file (`trained`) can be had from here as well.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoded_files import encoder_of_entry
from spikejoule.encoding.encoder import Encoder
from spikejoule.model.architecture import Architecture
from spikejoule.model.complete import SCHEMA_VERSION, build_complete
from spikejoule.model.complete_file import CompleteFile
from spikejoule.model.pruning import is_pruned
from spikejoule.model.quantised_file import quantised_architecture
from spikejoule.model.trained import (
    TrainedNetwork,
    build_architecture,
    load_trained,
    save_trained,
    state_arrays,
)

__all__ = [
    "SCHEMA_VERSION",
    "CompleteCheckpoint",
    "TrainedNetwork",
    "build_complete",
    "load_trained",
    "read_complete",
    "save_trained",
    "write_complete",
]

_OPTIONAL_SECTIONS = (
    "training_config",
    "training_results",
    "training_history",
    "training_spikes",
    "inference_spikes",
    "connectivity",
    "energy_proxies",
    "optimizer_state_dict",
    "spikejoule",
)


@dataclass(frozen=True, eq=False)
class CompleteCheckpoint:
    """A complete checkpoint that has passed every check of `read_complete`.

    Attributes:
        content: the file's dictionary, sections that a writer left out absent.
        architecture: the network's shape and neuron constants.
        state: the weights, float32, by their names in the file.
        encoder: the code by which images became spikes.
    """

    content: dict[str, Any]
    architecture: Architecture
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder

    def section(self, name: str) -> dict[str, Any]:
        """A section of the file, empty if its writer left it out."""
        section: dict[str, Any] = self.content.get(name, {})
        return section

    @property
    def pruned(self) -> bool:
        """Whether synapses were removed in training."""
        return is_pruned(self.section("training_config"))

    def spikes_per_inference(self) -> dict[str, float] | None:
        """Mean spikes of each layer per inference, by the layer's name; None if not recorded."""
        names = self.architecture.layer_names
        recorded = self.section("inference_spikes")
        per_layer = recorded.get("per_inference_per_layer")
        if per_layer is None and len(self.architecture.hidden) == 1:
            per_layer = {name: recorded.get(f"{name}_per_inference") for name in names}
        if not isinstance(per_layer, Mapping):
            return None
        spikes = {}
        for name in names:
            count = per_layer.get(name)
            if not isinstance(count, int | float) or not 0 <= count < math.inf:
                return None
            spikes[name] = float(count)
        return spikes


def write_complete(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a complete checkpoint atomically; `torch.load(..., weights_only=True)` opens it."""
    torch_files.write(path, content)


def read_complete(path: str | os.PathLike[str]) -> CompleteCheckpoint:
    """Read a complete checkpoint, of this project or of the notebook that its schema is from.

    The weights, the architecture and the encoding must be there and fit each other; any other
    section may be missing. A missing, truncated or corrupt file, one that holds code, one of
    another schema, and one whose parts do not fit raise ArtifactError in one sentence.
    """
    return complete_checkpoint(path, torch_files.read(path))


def complete_checkpoint(
    path: str | os.PathLike[str], content: Mapping[str, Any]
) -> CompleteCheckpoint:
    """The checkpoint of a file's content, written already or not; errors as of `read_complete`."""
    if content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version") or content.get("schema") or "no schema"
        raise ArtifactError(
            f"{path} must be a complete checkpoint of the schema {SCHEMA_VERSION!r}, but is one of "
            f"{found!r}."
        )
    for name in ("model_state_dict", "architecture", "encoding"):
        if not isinstance(content.get(name), Mapping):
            raise ArtifactError(f"{path} lacks the section {name!r} of a complete checkpoint.")
    for name in _OPTIONAL_SECTIONS:
        if not isinstance(content.get(name, {}), Mapping):
            raise ArtifactError(
                f"{path} must hold a dictionary under {name!r}, not {content[name]!r:.80}."
            )
    CompleteFile.from_content(path, content)
    architecture = _read_architecture(path, content)
    state = state_arrays(path, content["model_state_dict"], architecture)
    return CompleteCheckpoint(
        content=dict(content),
        architecture=quantised_architecture(path, content, architecture, state),
        state=state,
        encoder=encoder_of_entry(path, content["encoding"]),
    )


def _read_architecture(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Architecture:
    """The architecture, after a check that the file does not state two different ones."""
    stated = content["architecture"]
    names = ("n_input", "n_hidden", "n_output")
    sizes = {name: stated.get(name, content.get(name)) for name in names}
    for name, size in sizes.items():
        if content.get(name, size) != size:
            raise ArtifactError(
                f"{path} states {name} twice and differently: {size} in its architecture, "
                f"{content[name]} beside it."
            )
    architecture = build_architecture(
        path,
        sizes["n_input"],
        sizes["n_hidden"],
        sizes["n_output"],
        stated,
    )
    total = sum(architecture.synapses)
    recorded = content.get("connectivity", {}).get("n_synapses_total", total)
    if recorded != total:
        raise ArtifactError(f"{path} states {recorded} synapses, but its architecture has {total}.")
    return architecture
