"""Networks of others, counted and priced as the recorded ones are.

A NIR graph, or a PyTorch module in a Python file, reads the project's validation and
test images; a spiking one the spikes that the project's encoding makes of them. It is
counted by the executor or by hooks, with what encoding takes.
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
    """The validation or the test images of a project, and the spikes of its
    encoding.
    """

    samples: LabelledImages
    events: EventList

    @classmethod
    def load(cls, directory: Path, paths: ArtifactPaths, name: str) -> "Split":
        """Read the split `name`; DataError if the project has events in place of
        images.
        """
        samples = load_samples(directory / paths[name])
        if not isinstance(samples, LabelledImages):
            raise DataError("--add needs a project of images: what it has are events.")
        events, _ = load_events(directory / paths[f"events_{name}"])
        return cls(samples, events)

    def spikes(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Batches of spikes [steps, samples, units] and their labels."""
        for first in range(0, len(self.samples), BATCH_SIZE):
            chosen = slice(first, first + BATCH_SIZE)
            dense = self.events.select(chosen).to_dense().transpose(1, 0, 2)
            yield dense, self.samples.labels[chosen]

    def scaled_images(self) -> NDArray[np.float32]:
        """Images [N, 1, height, width] from 0 to 1, as torchvision has them."""
        images: NDArray[np.float32] = (self.samples.images[:, None] / 255).astype(
            np.float32
        )
        return images

    def accuracy_percent(self, scores: NDArray[Any] | None, file: str) -> float:
        """The share of correct answers.

        Ties are broken as for the project's own networks: the first of the best
        answers.

        Args:
            scores: of the classes, [N, classes]; None where the network of `file` gives
                none.
            file: for the message.
        """
        if scores is None:
            raise ArtifactError(
                f"{file} gives no scores of classes: its accuracy is not known."
            )
        return 100 * float((best_class(scores) == self.samples.labels).mean())


@dataclass(frozen=True, eq=False)
class OutsideNetwork:
    """A network of others.

    Attributes:
        digest: SHA-256 of its weights.
        variants: the ways of running it, counted on the test images.
    """

    digest: str
    variants: Sequence[Variant]


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a project, on which networks of others are counted.

    Attributes:
        validation, test: the splits.
        encoder: of the project.
        data_source: of the images.
        crop_pixels, average_pixels: how they were reduced.
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
                    "pipeline on those, "
                    "or choose other runs with --data."
                )

    def graph(self, file: str, conventions: Conventions) -> OutsideNetwork:
        """A NIR graph of a spiking network."""
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
        """A PyTorch module, or a `Baseline` of one, as FILE.py:NAME."""
        from torch import nn

        from spikejoule.pricing.conventional import Baseline

        found = named_object(file, "--add", "GRAPH.nir or FILE.py:NAME of a module")
        module = found.module if isinstance(found, Baseline) else found
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"--add: {file} is no PyTorch module, and no Baseline of one"
            )
        weights = {
            name: value.cpu().numpy() for name, value in module.state_dict().items()
        }
        count = self._spiking_module if side == "snn" else self._conventional_module
        return OutsideNetwork(weights_digest(weights), count(found, file))

    def _spiking_module(self, module: Any, file: str) -> Sequence[Variant]:
        from spikejoule.pricing.price_model import price

        validation, test = (
            price(module, split.spikes(), time_axis=0, progress=False)
            for split in (self.validation, self.test)
        )
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
        """A spiking network with 32-bit weights, which updates every neuron in every
        step.
        """
        encoding = self.encoder.operations(self.test.samples.images)
        operations = count_operations(activity, encoding)
        name = network_name(activity.network, self.encoder.name)
        return Variant(SPIKING, name, WHOLE_WINDOW, accuracies, FLOAT_BITS, operations)


def counted_baseline(module: Any, file: str, split: Split) -> BaselineCounts:
    """What a conventional module multiplies on the images of a split, and how well it
    answers.
    """
    from spikejoule.pricing.conventional import BaselineRun

    baseline = BaselineRun(module, split.scaled_images())
    counts = baseline.counts(split.samples.labels.astype(np.int64))
    check_counted(file, baseline.run.watch.not_counted)
    percent = split.accuracy_percent(baseline.run.all_scores, file)
    return replace(counts, accuracy_percent=percent)


def check_counted(file: str, not_counted: Sequence[str]) -> None:
    """Refuse a network that is not counted completely: it would look cheaper than it
    is.
    """
    if not_counted:
        raise ArtifactError(
            f"--add: {file} is not counted whole: {', '.join(not_counted)}. "
            "Weights have to be in "
            "PyTorch modules such as Linear and Conv2d, and integers in a Baseline "
            "that says so."
        )


def outside_networks(
    files: Sequence[str],
    side: str,
    conventions: Conventions,
    images: Images,
    profiles: Sequence[HardwareProfile],
) -> list[RecordedNetwork]:
    """Networks of others, as one configuration of as many seeds.

    Args:
        files: GRAPH.nir or FILE.py:NAME of each.
        side: ``snn`` or ``ann``.
        conventions: how graphs are run.
        images: of the project.
        profiles: the price lists.

    Raises:
        ArtifactError: a file is missing or damaged, gives no classes, or is not counted
            whole.
        ParameterError: a file is neither graph nor FILE.py:NAME, is not of the side, is
            given twice, or fails.
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
            raise ParameterError(f"--add: {file} has the weights of a file before it")
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
