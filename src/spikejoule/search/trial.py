"""One trial: trained as the stage `train` trains, and measured on validation images alone.

It ends early where it is hopeless. Optuna's pruners know one objective alone; with two, a trial is
hopeless when another that was trained to its end was better in both respects at the same point of
its training: more accurate on validation images by a margin, for no more synaptic events per
training image, and with weights no wider. A trial that removes synapses is judged after the last is
gone: before, it has events that it will not have.
"""

import logging
import math
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import Trial, TrialState

import spikejoule
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.provenance import (
    computing_environment,
    content_digest,
    file_digest,
    tree_digests,
)
from spikejoule.core.resume import ResumeFile, StateStore
from spikejoule.data.images import DataDescription, LabelledImages, Samples, load_samples
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy import HardwareProfile, count_operations
from spikejoule.energy.prices import middle_pj
from spikejoule.engine import engine_to_train
from spikejoule.engine.choice import resolve_device
from spikejoule.engine.interface import BatchOutcome
from spikejoule.evaluation.inference import measure_network
from spikejoule.model.architecture import Architecture
from spikejoule.model.trained import save_trained
from spikejoule.params import Params
from spikejoule.search.space import StopSettings, check_trial
from spikejoule.search.study import ENDED, NUMBER, Search, number_of
from spikejoule.tracking.runs import RunEnd
from spikejoule.tracking.store import in_one_line
from spikejoule.training.outcome import trained_network
from spikejoule.training.state import EpochRecord
from spikejoule.training.training import DivergedError, TrainingData, TrainingObserver, train

ARTIFACTS: Final = ("train", "validation", "data_metrics")
"""What a search reads of a pipeline's artifacts: no test images are among them."""

CURVE: Final = "curve"
"""Attribute of a trial: the curve of its `StopRule`."""

_PJ_PER_NJ = 1000.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SearchData:
    """The samples of the stage `prepare`, and what it says of them."""

    train: Samples
    validation: Samples
    description: DataDescription


@dataclass(frozen=True)
class TrialResult:
    """What a trial gave.

    Attributes:
        validation_accuracy_percent: of the weights that are kept.
        synaptic_events_per_inference: a mean over all validation images.
        energy_nj_per_inference: likewise, under a profile's prices (half-way between their ends
            where it has brackets alone); None without a profile.
        best_epoch: the epoch of these weights.
        trained_sha256: of the file that the stage `train` writes from the same parameters.
    """

    validation_accuracy_percent: float
    synaptic_events_per_inference: float
    energy_nj_per_inference: float | None
    best_epoch: int
    trained_sha256: str

    @property
    def objectives(self) -> tuple[float, float]:
        """Accuracy, and energy in nJ or synaptic events."""
        events, energy = self.synaptic_events_per_inference, self.energy_nj_per_inference
        return self.validation_accuracy_percent, events if energy is None else energy


def digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each of `ARTIFACTS`."""
    return {name: file_digest(paths[name], "sha256") for name in ARTIFACTS}


def load_data(paths: Mapping[str, Path], expected: Mapping[str, str]) -> SearchData:
    """Read the samples; ArtifactError if they are not those of the digests that are expected."""
    samples, validation = load_samples(paths["train"]), load_samples(paths["validation"])
    description = DataDescription.read(paths["data_metrics"])
    description.check_counts(paths["data_metrics"], len(samples), len(validation))
    for name, digest in digests(paths).items():
        if digest != expected[name]:
            raise ArtifactError(
                f"{paths[name]} is not the file that the search was begun with: run `dvc repro "
                "prepare` with its parameters, or begin another search."
            )
    return SearchData(samples, validation, description)


def run_trial(
    params: Params,
    data: SearchData,
    profile: HardwareProfile | None,
    threads: int,
    observers: tuple[TrainingObserver, ...],
    state_store: StateStore | None,
) -> TrialResult:
    """Train a network and measure it.

    Args:
        params: all parameters; but for `train.threads`, those that the pipeline would have.
        data: samples to train and to validate on.
        profile: prices of energy; None where synaptic events are all that is asked for.
        threads: CPU threads, on which no result depends.
        observers: told of every batch and epoch.
        state_store: has the state of a trial that was killed; None where none is kept.

    Raises:
        ParameterError: training diverged, or the engine cannot be had.
    """
    encoder, seed = params.encode.encoder, params.seed
    architecture = architecture_of(params, data)
    samples, validation = data.train, data.validation
    events = encode_samples(encoder, validation, seed, "validation").events
    settings = params.train.model_copy(update={"threads": threads})
    engine, _ = engine_to_train(settings, architecture, params.train, seed)
    result = train(
        TrainingData(samples, encoder, events, validation.labels),
        engine,
        params.train,
        seed,
        observers,
        state_store=state_store,
    )
    network = trained_network(
        result,
        encoder,
        seed,
        params.train,
        data.description.model_dump(exclude_unset=True),
        engine.name,
    )
    measured = measure_network(network.state, network.architecture, events, pruned=network.pruned)
    energy = None
    if profile is not None:
        shown = validation.images if isinstance(validation, LabelledImages) else None
        code = None if shown is None else encoder.operations(shown)
        energy = middle_pj(count_operations(measured, code), profile) / _PJ_PER_NJ
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trained.pth"
        save_trained(file, network)
        digest = file_digest(file, "sha256")
    return TrialResult(
        result.best_validation_accuracy_percent,
        measured.proxies.synaptic_events_per_inference,
        energy,
        result.best_epoch,
        digest,
    )


def architecture_of(params: Params, data: SearchData) -> Architecture:
    """The network of a trial; ParameterError if there can be none."""
    return Architecture(
        math.prod(data.train.shape),
        params.model.hidden,
        data.train.subject.n_classes,
        params.model.chosen_neuron,
        params.model.quantisation,
    )


class HopelessError(Exception):
    """The trial need not go on; says why."""


class StopRule:
    """An observer that keeps the curve of a trial, and ends the trial where it is hopeless.

    Args:
        params: of the trial.
        stop: when a trial may be ended.
        others: gives the curves of the trials that were trained to the end.

    Attributes:
        curve: how the trial went: `accuracies` on validation images in percent and synaptic
            `events` per training image, both by epoch, and the `weight_bits`.
    """

    def __init__(
        self, params: Params, stop: StopSettings, others: Callable[[], Iterable[Mapping[str, Any]]]
    ) -> None:
        self._settings, self._stop, self._others = params.train, stop, others
        self.curve: dict[str, Any] = {
            "accuracies": [],
            "events": [],
            "weight_bits": params.model.weight_bits,
        }

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """After each step: nothing to do."""

    def on_resume(self, history: Sequence[EpochRecord], seconds: Sequence[float]) -> None:
        """Take over the epochs of a trial that resumes."""
        for record in history:
            self.curve["accuracies"].append(round(record.validation_accuracy_percent, 4))
            events = sum(record.synaptic_events) / record.samples
            self.curve["events"].append(round(events, 1))

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Keep the epoch; raises HopelessError where another trial beats this one."""
        self.on_resume([record], [seconds])
        epoch, last, after = record.epoch, self._settings.max_epochs, self._stop.after_fraction
        if after is None or epoch == last or epoch < after * last:
            return
        if not self._settings.is_pruned_by(epoch, last):
            return
        accuracy, events = self.curve["accuracies"][-1], self.curve["events"][-1]
        for other in self._others():
            # Another one may have another number of epochs.
            place = max(math.ceil(epoch / last * len(other["events"]) - 1e-9), 1) - 1
            its_accuracy, its_events = other["accuracies"][place], other["events"][place]
            if (
                its_accuracy - accuracy >= self._stop.margin_percent
                and its_events <= events
                and other["weight_bits"] <= self.curve["weight_bits"]
            ):
                raise HopelessError(
                    f"after epoch {epoch} of {last}: {accuracy:.2f} % for {events:,.0f} synaptic "
                    f"events, where another trial had {its_accuracy:.2f} % for {its_events:,.0f}"
                )


class Objective:
    """Runs one trial after the other.

    Args:
        search: what is searched.
        study: the trials.

    Raises:
        ParameterError, ArtifactError: the machine lacks what every trial needs.
    """

    def __init__(self, search: Search, study: optuna.Study) -> None:
        self._search, self._study = search, study
        resolve_device(search.space.base["train"]["device"])
        self._data = load_data(search.paths, search.data)
        # Code that computes otherwise must not resume from a state.
        self._code = {
            **(tree_digests([Path(spikejoule.__file__).parent]) or {}),
            **computing_environment(),
        }

    def __call__(self, trial: Trial) -> tuple[float, float]:
        """Accuracy and energy; raises TrialPruned for a trial that comes to neither."""
        search, number = self._search, number_of(trial)
        trial.set_user_attr(NUMBER, number)
        # By the trial, so that one worker alone draws the same again. Parameters are independent of
        # each other: which there are depends on the kinds that are drawn.
        seed = zlib.crc32(f"{search.settings.study} {number}".encode())
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        drawn = search.space.draw(trial)
        try:
            params = search.space.params(drawn)
            check_trial(params, search.profile)
            names = architecture_of(params, self._data).layer_names
        except ParameterError as error:
            trial.set_constraint("allowed", 1.0)  # the sampler learns to avoid it
            raise optuna.TrialPruned(str(error)) from error
        logger.info("trial %d: %s", number, drawn)
        run = search.run.trial(number, params.flattened(), names)
        rule = StopRule(params, search.settings.stop, self._curves)
        known_by = {"search": search.run.search_id, "trial": number, "code": self._code}
        resume = ResumeFile(
            search.folder / "resume", content_digest(known_by), f"trial {number} of the search"
        )
        with resume:
            try:
                store = resume if params.train.resume else None
                result = run_trial(
                    params, self._data, search.profile, search.threads, (run, rule), store
                )
                ended = RunEnd.trained(asdict(result), drawn)
            except (DivergedError, HopelessError) as reason:
                ended = RunEnd.stopped(str(reason))
            except (MemoryError, ParameterError) as error:
                ended = RunEnd.failed(in_one_line(error))
            # Of a trial that is to be run again alone a state is kept.
            resume.done()
        trial.set_user_attr(CURVE, rule.curve)
        trial.set_user_attr(ENDED, asdict(ended))
        run.end(ended)
        logger.info("trial %d: %s %s", number, ended.status, ended.metrics or ended.tags)
        if not ended.metrics:
            raise optuna.TrialPruned(str(ended.tags))
        return result.objectives

    def _curves(self) -> list[Mapping[str, Any]]:
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [trial.user_attrs[CURVE] for trial in complete]
