"""Whether a graph does what the module does that it was exported from: found once, and
kept.

`spikejoule.pricing.verify_graph` compares them. Its answer is kept beside the graph's
file, in ``mine.nir.verified.json``, and holds for that file's very bytes, run as they
were compared; pricing the graph repeats it.
"""

import os
from dataclasses import asdict
from pathlib import Path

from spikejoule.core.provenance import file_digest
from spikejoule.core.schema import Count, PlainValue, Record, Text
from spikejoule.core.store import open_regular, text_table
from spikejoule.nir.conventions import Conventions

SUFFIX = ".verified.json"
NOT_VERIFIED = "no: the graph was not compared with the module that it came from"


class LayerComparison(Record):
    """A population of the module beside the graph's.

    Attributes:
        name, node: of it in the module and in the graph.
        spikes: that the module's emits.
        differing: units and steps in which one gives something else than the other.
        step: the first of these steps, from 0; None without.
    """

    name: Text
    node: Text
    spikes: Count
    differing: Count
    step: Count | None


class Verification(Record):
    """A module and a graph, compared.

    Attributes:
        layers: in the order in which they ran.
        module: the simulators of the module, with their versions.
        conventions: how the graph was run.
        n_samples, n_steps: of the input.
        cause: the likely one of the first difference; empty without.
        absent: layers with weights after the last population that the graph has not;
            empty without.
        sha256: of the graph's file; empty of one in memory.
    """

    layers: list[LayerComparison]
    module: Text
    conventions: dict[str, PlainValue]
    n_samples: Count
    n_steps: Count
    cause: str = ""
    absent: str = ""
    sha256: str = ""

    @property
    def same(self) -> bool:
        """Whether every population fires, all spikes are the same, and no layer is
        absent.
        """
        return self.first is None and not self.not_compared

    @property
    def not_compared(self) -> list[str]:
        """Populations that never fire, and layers that the graph has not."""
        silent = [
            layer.name for layer in self.layers if not layer.spikes + layer.differing
        ]
        return [*silent, self.absent] if self.absent else silent

    @property
    def first(self) -> LayerComparison | None:
        """The population that differs first; None if all are alike."""
        differing = [layer for layer in self.layers if layer.step is not None]
        return min(differing, key=lambda layer: layer.step or 0, default=None)

    @property
    def in_words(self) -> str:
        """Whether the graph is the module, ``yes`` or ``no``, and why."""
        ran = f"of {self.module}, {self.n_samples:,} samples of {self.n_steps:,} steps"
        spikes = sum(layer.spikes for layer in self.layers)
        if self.same:
            return f"yes: {spikes:,} spikes {ran}, are the same, one by one"
        if self.first is None:
            fired = ", ".join(layer.name for layer in self.layers if layer.spikes)
            if not fired:
                return f"no: no neuron fires {ran}, so that nothing was compared"
            rest = ", ".join(self.not_compared)
            return (
                f"in part: {spikes:,} spikes {ran}, are the same in {fired}; not "
                "compared, since "
                f"they never fire or are not in the graph: {rest}"
            )
        differing = sum(layer.differing for layer in self.layers)
        return (
            f"no: {differing:,} spikes differ, beside {spikes:,} {ran} ({self.cause})"
        )

    def save(self, graph: str | os.PathLike[str]) -> None:
        """Keep the answer beside the graph's file, where `spikejoule energy` finds
        it.
        """
        open_regular(graph).close()
        digest = file_digest(Path(graph), "sha256")
        self.model_copy(update={"sha256": digest}).write(_beside(Path(graph)))

    def __str__(self) -> str:
        """A few lines: the answer, the first difference with its cause, every
        population.
        """
        lines = [f"Is the graph the module? {self.in_words.partition(' (')[0]}."]
        first = self.first
        if first is not None:
            lines += [
                f"The first to differ is {first.name} ({first.node} in the graph), "
                "in step "
                f"{first.step} of 0 to {self.n_steps - 1}.",
                f"Likely cause: {self.cause}.",
            ]
        rows = [
            [layer.name, layer.node, f"{layer.spikes:,}", f"{layer.differing:,}"]
            for layer in self.layers
        ]
        return "\n".join(
            [*lines, text_table(["module", "graph", "spikes", "differ"], rows)]
        )


def _beside(graph: Path) -> Path:
    return graph.with_name(graph.name + SUFFIX)


def verified_words(graph: Path, conventions: Conventions) -> str | None:
    """Whether the graph of a file was verified as it is run: ``yes`` or ``no``, and
    why; None where nothing is kept beside it.

    Raises:
        ArtifactError: what is kept beside it is damaged.
    """
    if not _beside(graph).exists():
        return None
    found = Verification.read(_beside(graph))
    if found.sha256 != file_digest(graph, "sha256"):
        return f"no: {_beside(graph).name} is of another graph"
    if found.conventions != asdict(conventions):
        return f"no: {_beside(graph).name} is of the graph run in another way"
    return found.in_words
