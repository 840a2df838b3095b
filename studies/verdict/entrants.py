"""Networks of either side, counted on the same images, in every way of running them.

A spiking network runs its whole window or stops early, and updates its neurons in every
step or only when needed; a conventional one computes every product or skips those with
a zero. The first of equal scores answers. The limit of an early exit is chosen on
validation images.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.baselines.measuring import measure_baseline, scores_of
from spikejoule.baselines.quantised import QuantisedNetwork
from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.counts.measurement import Measurement
from spikejoule.counts.records import Activity
from spikejoule.data.dataset import load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList, load_events
from spikejoule.energy.count import count_operations
from spikejoule.energy.ledger import (
    SPIKING,
    Variant,
    baseline_variants,
    spiking_variant,
)
from spikejoule.evaluation import ExitRule
from spikejoule.evaluation.early_exit import (
    StepOutcomes,
    choose_early_exit,
    exit_steps,
    step_outcomes,
    stopped_after,
)
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.runs import (
    EARLY_EXIT,
    WHOLE_WINDOW,
    counted_runs,
    method_of,
)
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import State
from spikejoule.network.quantisation import FLOAT_BITS, Quantisation
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import engine_chain, run_graph
from spikejoule.report.names import network_name
from studies.verdict.cascades import Answers, Entrant

BATCH_SIZE: Final = 256


@dataclass(frozen=True, eq=False)
class Split:
    """The validation or test images of a project, and their spikes.

    Attributes:
        samples: the images.
        events: their spikes in the project's encoding; None if not encoded.
    """

    samples: LabelledImages
    events: EventList | None = None

    @classmethod
    def load(cls, directory: Path, paths: ArtifactPaths, name: str) -> "Split":
        """Read the split `name`; DataError if the project has no images but events."""
        samples = load_samples(directory / paths[name])
        if not isinstance(samples, LabelledImages):
            raise DataError("--add needs a project of images, but this one has events.")
        events, _ = load_events(directory / paths[f"events_{name}"])
        return cls(samples, events)

    @property
    def encoded(self) -> EventList:
        """The spikes of the images."""
        assert self.events is not None
        return self.events

    def spikes(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield batches of spikes [steps, samples, units] and their labels."""
        for first in range(0, len(self.samples), BATCH_SIZE):
            chosen = slice(first, first + BATCH_SIZE)
            dense = self.encoded.select(chosen).to_dense().transpose(1, 0, 2)
            yield dense, self.samples.labels[chosen]

    def scaled_images(self) -> NDArray[np.float32]:
        """Images [N, 1, height, width] from 0 to 1, as in torchvision."""
        images: NDArray[np.float32] = (self.samples.images[:, None] / 255).astype(
            np.float32
        )
        return images

    def answers(self, scores: NDArray[Any] | None, file: str) -> Answers:
        """The answers of class scores [N, classes].

        ArtifactError if there are none, or one class, or one is not a finite number.
        """
        if scores is None:
            raise ArtifactError(
                f"{file} gives no class scores: its accuracy is not known."
            )
        if scores.shape[1] < 2 or not np.isfinite(scores).all():
            raise ArtifactError(
                f"{file} needs finite scores of two or more classes on every image."
            )
        return Answers.of(scores, self.samples.labels)


@dataclass(frozen=True)
class DeclaredBits:
    """Widths in which a network from elsewhere says that it computes.

    Attributes:
        weight: of the weights; 32 for floating point.
        state: of the potentials and biases.
    """

    weight: int = FLOAT_BITS
    state: int = FLOAT_BITS


FLOATS: Final = DeclaredBits()


@dataclass(frozen=True, eq=False)
class Splits:
    """The images on which networks are counted and compared.

    Attributes:
        validation, test: the images.
        encoder: the encoding of networks that bring none.
        exit_tolerance_percent: percentage points of validation accuracy that an early
            exit may cost, and a cascade.
        bits: widths of spiking networks from elsewhere.
        exit_rule: when a spiking network stops early.
    """

    validation: Split
    test: Split
    encoder: Encoder
    exit_tolerance_percent: float
    bits: DeclaredBits = FLOATS
    exit_rule: ExitRule = "lead"

    # Spiking networks

    def of_graph(
        self, file: str, network: ImportedGraph, conventions: Conventions
    ) -> list[Entrant]:
        """Count a NIR graph.

        Only a plain chain of layers, which runs in the event engine, can stop early and
        update neurons when needed.
        """
        chain = engine_chain(network, conventions)
        if chain is not None:
            pruned = bool(conventions.pruned)
            measured = {
                split: self._declared(
                    measure_network(
                        chain.state, chain.network, images.encoded, pruned=pruned
                    )
                )
                for split, images in self.by_name.items()
            }
            name = network_name(measured["test"].network, self.encoder.name)
            return self._measured(name, measured, self.encoder)
        network = replace(
            network, weight_bits=self.bits.weight, state_bits=self.bits.state
        )
        runs = {
            split: run_graph(network, images.encoded, conventions)
            for split, images in self.by_name.items()
        }
        has_answer = runs["test"].network.answer is not None
        scores = {
            split: run.output if has_answer else None for split, run in runs.items()
        }
        return [self.of_activity(file, runs["test"], scores)]

    def of_activity(
        self,
        file: str,
        activity: Activity,
        scores: Mapping[str, NDArray[Any] | None],
    ) -> Entrant:
        """Describe a spiking network that updated all of its neurons in every step.

        Args:
            file: the network's file, for messages.
            activity: its counts on the test images.
            scores: class scores [N, classes] on `validation` and `test` images.
        """
        validation = self.validation.answers(scores["validation"], file)
        test = self.test.answers(scores["test"], file)
        encoding = self.encoder.operations(self.test.samples.images)
        variant = Variant(
            side=SPIKING,
            network=network_name(activity.spiking, self.encoder.name),
            method=WHOLE_WINDOW,
            validation_percent=validation.accuracy_percent,
            test_percent=test.accuracy_percent,
            weight_bits=activity.network.weight_bits,
            operations=count_operations(replace(activity, encoding=encoding)),
        )
        return Entrant(variant, activity.network.n_output, validation, test)

    def of_checkpoint(self, trained: Checkpoint) -> list[Entrant]:
        """Count a network trained by this project, on images in its own encoding."""
        measured = {}
        for split, images in self.by_name.items():
            encoded = encode_samples(
                trained.encoder, images.samples, trained.seed, split
            )
            measured[split] = measure_network(
                trained.state, trained.network, encoded.events, pruned=trained.pruned
            )
        network = trained.network.with_weights(trained.state)
        name = network_name(network, trained.encoder.name, trained.pruned)
        return self._measured(name, measured, trained.encoder)

    def _declared(self, measured: Measurement) -> Measurement:
        """Count in the declared widths what ran in floating point."""
        if self.bits == FLOATS:
            return measured
        widths = Quantisation(self.bits.weight, self.bits.state)
        return replace(measured, network=replace(measured.network, quantisation=widths))

    def _measured(
        self, name: str, measured: Mapping[str, Measurement], encoder: Encoder
    ) -> list[Entrant]:
        """Describe a network by its spikes on both splits."""
        outcomes = {
            split: step_outcomes(measured[split], images.samples.labels)
            for split, images in self.by_name.items()
        }
        tolerance = self.exit_tolerance_percent if self.exit_rule == "lead" else None
        early = choose_early_exit(outcomes["validation"], outcomes["test"], tolerance)
        ways = {
            WHOLE_WINDOW: _stopped(outcomes, math.inf),
            EARLY_EXIT: _stopped(outcomes, early.margin),
        }
        runs = counted_runs(
            measured["test"],
            encoder,
            self.test.samples.images,
            ways[EARLY_EXIT].steps,
        )
        n_classes = measured["test"].network.n_output
        entrants = []
        for run in runs:
            way = ways[method_of(run)]
            variant = replace(
                spiking_variant(run),
                network=name,
                validation_percent=way.validation.accuracy_percent,
                test_percent=way.test.accuracy_percent,
            )
            entrant = Entrant(
                variant,
                n_classes,
                way.validation,
                way.test,
                sent_once=sent_once(stopped_after(measured["test"], way.steps)),
            )
            entrants.append(entrant)
        return entrants

    # Conventional networks

    def of_baseline(
        self, name: str, network: State | QuantisedNetwork, pruned: bool
    ) -> list[Entrant]:
        """Count a conventional network of this project."""
        samples = {split: images.samples for split, images in self.by_name.items()}
        counts = measure_baseline(name, network, False, pruned, samples).counts
        scores = {
            split: scores_of(network, images.images)
            for split, images in samples.items()
        }
        return self.of_counts(name, counts, scores)

    def of_counts(
        self,
        file: str,
        counts: CountedBaseline,
        scores: Mapping[str, NDArray[Any] | None],
    ) -> list[Entrant]:
        """Describe a counted conventional network; `scores` as in `of_activity`."""
        validation = self.validation.answers(scores["validation"], file)
        test = self.test.answers(scores["test"], file)
        compared = replace(
            counts,
            validation_accuracy_percent=validation.accuracy_percent,
            accuracy_percent=test.accuracy_percent,
        )
        return [
            Entrant(variant, counts.network.layer_sizes[-1], validation, test)
            for variant in baseline_variants((compared,), len(self.test.samples))
        ]

    @property
    def by_name(self) -> dict[str, Split]:
        """The splits by name."""
        return {"validation": self.validation, "test": self.test}


def sent_once(measured: Measurement) -> NDArray[np.int64]:
    """Count synaptic events as if each neuron sent its number of spikes at once, [N].

    These are the products of the same weights in a conventional network.
    """
    total = np.zeros(measured.n_samples, np.int64)
    for events, fan_out in measured.sending:
        per_sample = events.counts_per_sample()
        samples = np.repeat(np.arange(len(per_sample)), per_sample)
        sent = np.unique(samples * len(fan_out) + events.sources)
        samples, units = np.divmod(sent, len(fan_out))
        np.add.at(total, samples, fan_out[units])
    return total


@dataclass(frozen=True, eq=False)
class _Way:
    """A way of stopping: answers, and the steps of the test images, [N]."""

    validation: Answers
    test: Answers
    steps: NDArray[np.int64]


def _stopped(outcomes: Mapping[str, StepOutcomes], margin: float | None) -> _Way:
    """Stop at a lead of `margin`; None for the first output spike."""
    answers = {}
    steps = {}
    for split, outcome in outcomes.items():
        steps[split] = exit_steps(outcome, margin)
        last = np.arange(len(steps[split])), steps[split] - 1
        answers[split] = Answers(outcome.correct[last], outcome.margins[last])
    return _Way(answers["validation"], answers["test"], steps["test"])
