"""The answer of `spikejoule.verify`, kept next to the graph.

It is written to ``mine.nir.verified.json``, and holds for this very file, run with the
same conventions. Pricing the graph repeats it.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pydantic import Field

from spikejoule.core.provenance import file_digest
from spikejoule.core.schema import Count, PlainValue, Record, Text
from spikejoule.core.store import open_regular
from spikejoule.core.terminal import text_table
from spikejoule.nir.conventions import Conventions

SUFFIX: Final = ".verified.json"
NOT_VERIFIED: Final = "no: the graph was not compared with the module that it came from"


class LayerComparison(Record):
    """A population of the model next to the graph's.

    Attributes:
        name, node: its name in the model and in the graph.
        spikes: emitted in the model.
        differing: (sample, step, unit) places where the two emit different numbers.
        step: the first of these steps, from 0; None without.
    """

    name: Text
    node: Text
    spikes: Count
    differing: Count
    step: Count | None


class Verification(Record):
    """A model and a graph, compared.

    Attributes:
        layers: in the order in which they ran.
        module: the simulators of the model, with their versions.
        conventions: how the graph was run.
        n_samples, n_steps: of the input.
        parameters: those that both have and that differ, in words.
        absent: layers with weights after the last population that the graph does not
            have; empty without.
        sha256: of the graph's file; empty for a graph in memory.
    """

    layers: list[LayerComparison]
    module: Text
    conventions: dict[str, PlainValue]
    n_samples: Count
    n_steps: Count
    absent: str = ""
    parameters: list[str] = Field(default_factory=list)
    sha256: str = ""

    @property
    def same(self) -> bool:
        """Whether all populations fire, all spikes and parameters agree, and no layer
        is absent.
        """
        differs = self.first is not None or bool(self.parameters)
        return not (differs or self.not_compared)

    @property
    def not_compared(self) -> list[str]:
        """Populations that never fire, and layers that the graph does not have."""
        silent = [
            layer.name for layer in self.layers if not layer.spikes + layer.differing
        ]
        return [*silent, self.absent] if self.absent else silent

    @property
    def first(self) -> LayerComparison | None:
        """The population that differs first; None if all agree."""
        differing = [layer for layer in self.layers if layer.step is not None]
        return min(differing, key=lambda layer: layer.step or 0, default=None)

    @property
    def in_words(self) -> str:
        """Whether the graph does what the model does: yes, no or in part, and why."""
        run = f"{self.module}, {self.n_samples:,} samples of {self.n_steps:,} steps"
        spikes = sum(layer.spikes for layer in self.layers)
        if self.same:
            return f"yes: all {spikes:,} spikes agree ({run})"
        fired = ", ".join(layer.name for layer in self.layers if layer.spikes)
        if self.first is not None:
            differing = sum(layer.differing for layer in self.layers)
            words = (
                f"no: {differing:,} spikes differ; the model emits {spikes:,} ({run})"
            )
        elif not fired:
            words = f"no: nothing was compared, because no neuron fires ({run})"
        else:
            words = f"in part: {spikes:,} spikes agree in {fired} ({run})"
        if fired and self.first is None and self.not_compared:
            words += (
                "; not compared, because they never fire or are not in the graph: "
                f"{', '.join(self.not_compared)}"
            )
        if self.parameters:
            words += f"; parameters that differ: {', '.join(self.parameters)}"
        return words

    def save(self, graph: str | os.PathLike[str]) -> None:
        """Write the answer next to a graph, where `spikejoule energy` finds it."""
        open_regular(graph).close()
        digest = file_digest(Path(graph), "sha256")
        self.model_copy(update={"sha256": digest}).write(_answer_path(Path(graph)))

    def __str__(self) -> str:
        """The answer, the first difference, and a table of all populations."""
        lines = [f"Does the graph do what the model does? {self.in_words}."]
        first = self.first
        if first is not None:
            lines.append(
                f"The first to differ is {first.name} ({first.node} in the graph), in "
                f"step {first.step} of 0 to {self.n_steps - 1}."
            )
        rows = [
            [layer.name, layer.node, f"{layer.spikes:,}", f"{layer.differing:,}"]
            for layer in self.layers
        ]
        table = text_table(["model", "graph", "spikes", "differ"], rows)
        return "\n".join([*lines, table])


def _answer_path(graph: Path) -> Path:
    return graph.with_name(graph.name + SUFFIX)


def verified_words(graph: Path, conventions: Conventions) -> str | None:
    """Return the answer kept next to a graph, in words; None without one.

    An answer on another file, or on the graph run in another way, is no.

    Raises:
        ArtifactError: the file of the answer is damaged.
    """
    path = _answer_path(graph)
    if not path.exists():
        return None
    verification = Verification.read(path)
    if verification.sha256 != file_digest(graph, "sha256"):
        return f"no: {path.name} is of another graph"
    if verification.conventions != asdict(conventions):
        return f"no: {path.name} is of the graph run in another way"
    return verification.in_words
