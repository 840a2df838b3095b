"""Networks from outside the project, counted and priced like the recorded ones.

A NIR graph, or a PyTorch module in a Python file, runs on the project's validation and
test images; a spiking network on their spikes in the project's encoding. The executor
or hooks count it, and the cost of encoding is added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts, weights_digest
from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.store import read_json
from spikejoule.core.user_files import named_object
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.counts.records import Activity
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.encoding.counting import best_class
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList, load_events
from spikejoule.energy.analysis import network_name
from spikejoule.energy.ledger import (
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Variant,
    averaged,
    baseline_variants,
)
from spikejoule.energy.operations import count_operations
from spikejoule.energy.prices import HardwareProfile
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from studies.verdict.networks import RecordedNetwork

BATCH_SIZE: Final = 256


@dataclass(frozen=True, eq=False)
class Split:
    """The validation or test images of a project, and their spikes."""

    samples: LabelledImages
    events: EventList

    @classmethod
    def load(cls, directory: Path, paths: ArtifactPaths, name: str) -> "Split":
        """Read the split `name`; DataError if the project has no images but events."""
        samples = load_samples(directory / paths[name])
        if not isinstance(samples, LabelledImages):
            raise DataError("--add needs a project of images, but this one has events.")
        events, _ = load_events(directory / paths[f"events_{name}"])
        return cls(samples, events)

    def spikes(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield batches of spikes [steps, samples, units] and their labels."""
        for first in range(0, len(self.samples), BATCH_SIZE):
            chosen = slice(first, first + BATCH_SIZE)
            dense = self.events.select(chosen).to_dense().transpose(1, 0, 2)
            yield dense, self.samples.labels[chosen]

    def scaled_images(self) -> NDArray[np.float32]:
        """Images [N, 1, height, width] from 0 to 1, as in torchvision."""
        images: NDArray[np.float32] = (self.samples.images[:, None] / 255).astype(
            np.float32
        )
        return images

    def accuracy_percent(self, scores: NDArray[Any] | None, file: str) -> float:
        """The percentage of correct answers.

        As for the project's own networks, the first of equal best answers counts.

        Args:
            scores: class scores, [N, classes]; None if the network has none.
            file: the network's file, for the message.
        """
        if scores is None:
            raise ArtifactError(
                f"{file} gives no class scores: its accuracy is not known."
            )
        return 100 * float((best_class(scores) == self.samples.labels).mean())


@dataclass(frozen=True, eq=False)
class OutsideNetwork:
    """A network from outside the project.

    Attributes:
        digest: SHA-256 of its weights.
        variants: the ways of running it, counted on the test images.
    """

    digest: str
    variants: Sequence[Variant]


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a project, on which outside networks are counted.

    Attributes:
        validation, test: the splits.
        encoder: the project's encoding.
        data_source: source of the images.
        crop_pixels, average_pixels: how the images were reduced.
    """

    validation: Split
    test: Split
    encoder: Encoder
    data_source: str
    crop_pixels: int
    average_pixels: int

    @classmethod
    def load(cls, directory: Path, paths: ArtifactPaths, encoder: Encoder) -> "Images":
        """Read the images of a project.

        Raises:
            ArtifactError: a file is missing or damaged.
            DataError: the project has events in place of images.
        """
        data = read_json(directory / paths["data_metrics"])
        return cls(
            Split.load(directory, paths, "validation"),
            Split.load(directory, paths, "test"),
            encoder,
            data["source"],
            data.get("crop_pixels") or 0,
            data.get("average_pixels") or 1,
        )

    def check_same(self, recorded: Sequence[RecordedNetwork]) -> None:
        """DataError if recorded networks were counted on other images."""
        n_images = len(self.test.samples)
        for network in recorded:
            if (network.data_source, network.n_images) != (self.data_source, n_images):
                raise DataError(
                    f"--add reads the project's {n_images:,} test images of "
                    f"{self.data_source}, but the recorded networks were counted on "
                    f"{network.n_images:,} of {network.data_source}: run the "
                    "pipeline on those, or choose other runs with --data."
                )

    def graph(self, file: str, conventions: Conventions) -> OutsideNetwork:
        """Run and count the NIR graph of a spiking network."""
        network = read_nir(Path(file))
        validation = run_graph(network, self.validation.events, conventions)
        test = run_graph(network, self.test.events, conventions)
        has_answer = network.answer is not None
        accuracies = Accuracies(
            self.validation.accuracy_percent(
                validation.output if has_answer else None, file
            ),
            self.test.accuracy_percent(test.output if has_answer else None, file),
        )
        return OutsideNetwork(
            file_digest(file, "sha256"), [self._spiking(test, accuracies)]
        )

    def module(self, file: str, side: str) -> OutsideNetwork:
        """Run and count a PyTorch module or a `Baseline`, given as FILE.py:NAME."""
        from torch import nn

        from spikejoule.pricing.conventional import Baseline

        named = named_object(file, "--add", "GRAPH.nir or FILE.py:NAME of a module")
        module = named.module if isinstance(named, Baseline) else named
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"--add: {file} is no PyTorch module and no Baseline of one"
            )
        weights = {
            name: value.cpu().numpy() for name, value in module.state_dict().items()
        }
        count = self._spiking_module if side == "snn" else self._conventional_module
        return OutsideNetwork(weights_digest(weights), count(named, file))

    def _spiking_module(self, module: Any, file: str) -> Sequence[Variant]:
        from spikejoule.pricing.price_model import price

        validation = price(
            module, self.validation.spikes(), time_axis=0, progress=False
        )
        test = price(module, self.test.spikes(), time_axis=0, progress=False)
        accuracies = Accuracies(
            self.validation.accuracy_percent(validation.scores, file),
            self.test.accuracy_percent(test.scores, file),
        )
        check_counted(file, test.not_counted)
        return [self._spiking(test.activity, accuracies)]

    def _conventional_module(self, module: Any, file: str) -> Sequence[Variant]:
        validation = counted_baseline(module, file, self.validation)
        test = counted_baseline(module, file, self.test)
        counts = replace(test, validation_accuracy_percent=validation.accuracy_percent)
        return baseline_variants((counts,), len(self.test.samples))

    def _spiking(self, activity: Activity, accuracies: Accuracies) -> Variant:
        """A spiking network with 32-bit weights that updates all neurons every step."""
        encoding = self.encoder.operations(self.test.samples.images)
        operations = count_operations(activity, encoding)
        name = network_name(activity.network, self.encoder.name)
        return Variant(SPIKING, name, WHOLE_WINDOW, accuracies, FLOAT_BITS, operations)


def counted_baseline(module: Any, file: str, split: Split) -> BaselineCounts:
    """Count multiplications and accuracy of a conventional module on a split."""
    from spikejoule.pricing.conventional import BaselineRun

    baseline = BaselineRun(module, split.scaled_images())
    counts = baseline.counts(split.samples.labels.astype(np.int64))
    check_counted(file, baseline.run.watch.not_counted)
    percent = split.accuracy_percent(baseline.run.all_scores, file)
    return replace(counts, accuracy_percent=percent)


def check_counted(file: str, not_counted: Sequence[str]) -> None:
    """Refuse a network that is not counted completely: it would look too cheap."""
    if not_counted:
        raise ArtifactError(
            f"--add: {file} is not counted whole: {', '.join(not_counted)}. Layers "
            "such as Linear and functions such as matmul are counted; integer networks "
            "must be given as a Baseline that says so."
        )


def outside_networks(
    files: Sequence[str],
    side: str,
    conventions: Conventions,
    images: Images,
    profiles: Sequence[HardwareProfile],
) -> list[RecordedNetwork]:
    """Count and price outside networks as the seeds of one configuration.

    Args:
        files: GRAPH.nir or FILE.py:NAME of each.
        side: ``snn`` or ``ann``.
        conventions: how to run graphs.
        images: the project's images.
        profiles: the price lists.

    Raises:
        ArtifactError: a file is missing or damaged, gives no class scores, or is not
            counted whole.
        ParameterError: a file is neither a graph nor FILE.py:NAME, is of the other
            side, is given twice, or fails.
    """
    configuration = content_digest({"side": side, "added": list(files)})[:12]
    n_pixels = images.test.samples.images[0].size
    rows: list[RecordedNetwork] = []
    for seed, file in enumerate(files):
        if not file.endswith(".nir"):
            network = images.module(file, side)
        elif side == "snn":
            network = images.graph(file, conventions)
        else:
            raise ParameterError(f"--side ann: {file} is a graph of spiking neurons.")
        if any(row.weights_sha256 == network.digest for row in rows):
            raise ParameterError(f"--add: {file} has the weights of an earlier file")
        for variant in averaged(network.variants, images.average_pixels, n_pixels):
            row = RecordedNetwork.counted(
                variant,
                profiles,
                run=Path(file).name,
                run_id=network.digest[:32],
                git_commit="of another project",
                data_source=images.data_source,
                configuration=configuration,
                seed=seed,
                weights_sha256=network.digest,
                crop_pixels=images.crop_pixels,
                average_pixels=images.average_pixels,
            )
            rows.append(row)
    return rows
