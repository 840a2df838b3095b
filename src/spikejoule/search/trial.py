"""One trial: trained as the stage `train` or `baseline` trains, and measured on validation images
alone."""

import logging
import math
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import Trial

import spikejoule
from spikejoule.baselines.counts import measure_baseline
from spikejoule.baselines.settings import family
from spikejoule.baselines.training import train_baselines
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
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import SPIKING, Variant, averaged, baseline_variants, spiking_variants
from spikejoule.energy.prices import price
from spikejoule.engine import engine_to_train
from spikejoule.engine.choice import resolve_device
from spikejoule.evaluation.inference import measure_network
from spikejoule.model.network import Network
from spikejoule.model.trained import save_trained
from spikejoule.params import Params
from spikejoule.search.space import check_trial
from spikejoule.search.study import ENDED, IDENTITY, NUMBER, Search, number_of
from spikejoule.tracking.store import in_one_line
from spikejoule.training.outcome import trained_network
from spikejoule.training.training import TrainingData, train

ARTIFACTS: Final = ("train", "validation", "data_metrics")
"""What a search reads of a pipeline's artifacts: no test images are among them."""

_PJ_PER_NJ = 1000.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SearchData:
    """The samples of the stage `prepare`, and what it says of them."""

    train: Samples
    validation: Samples
    description: DataDescription


def digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each of `ARTIFACTS`."""
    return {name: file_digest(paths[name], "sha256") for name in ARTIFACTS}


def load_data(paths: Mapping[str, Path], expected: Mapping[str, str]) -> SearchData:
    """Read the samples; ArtifactError if they are not those of the digests that are expected."""
    samples, validation = load_samples(paths["train"]), load_samples(paths["validation"])
    description = DataDescription.read(paths["data_metrics"])
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
    search: Search,
    state_store: StateStore | None,
) -> tuple[dict[str, float], str]:
    """Train a network and measure it.

    Args:
        params: all parameters; but for `train.threads`, those that the pipeline would have.
        data: samples to train and to validate on.
        search: on which side, with what prices and threads.
        state_store: has the state of a trial that was killed; None where none is kept.

    Returns:
        `validation_accuracy_percent` of the weights that are kept, `best_epoch`, the epoch of them,
        and means over all validation images: `energy_nj_per_inference` under the prices (half-way
        between their ends where there are brackets alone), of the cheapest way of running the
        network to its end, and `synaptic_events_per_inference` or, of a conventional network,
        `macs_per_inference`, without those of a zero. Then the SHA-256 of the file that the stage
        `train` writes from the same parameters, or that of a conventional network's weights
        (`baselines.counts.weights_digest`).

    Raises:
        ParameterError: training diverged, or the engine cannot be had.
    """
    run = _spiking if search.settings.side == SPIKING else _conventional
    metrics, variants, digest = run(params, data, search.threads, state_store)
    energies = [Energy.of(price(one.operations, search.profile).mean(axis=1)) for one in variants]
    cheapest = min(energy.middle_pj for energy in energies)
    return metrics | {"energy_nj_per_inference": cheapest / _PJ_PER_NJ}, digest


Trained = tuple[dict[str, float], Sequence[Variant], str]
"""What a network gave, the ways of running it on validation images, and its checksum."""


def _spiking(
    params: Params, data: SearchData, threads: int, state_store: StateStore | None
) -> Trained:
    encoder, seed, validation = params.encode.encoder, params.seed, data.validation
    events = encode_samples(encoder, validation, seed, "validation").events
    settings = params.train.model_copy(update={"threads": threads})
    architecture = Network.of_chain(
        params.model.shape_of(data.train.shape),
        params.model.hidden_layers,
        data.train.subject.n_classes,
        params.model.chosen_neuron,
        params.model.quantisation,
    )
    engine, _ = engine_to_train(settings, architecture, params.train, seed)
    result = train(
        TrainingData(data.train, encoder, events, validation.labels),
        engine,
        params.train,
        seed,
        state_store=state_store,
    )
    description = data.description.model_dump(exclude_unset=True)
    network = trained_network(result, encoder, seed, params.train, description, engine.name)
    measured = measure_network(network.state, network.architecture, events, pruned=network.pruned)
    shown = validation.images if isinstance(validation, LabelledImages) else None
    metrics = {
        "validation_accuracy_percent": result.best_validation_accuracy_percent,
        "best_epoch": result.best_epoch,
        "synaptic_events_per_inference": measured.proxies.synaptic_events_per_inference,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trained.pth"
        save_trained(file, network)
        digest = file_digest(file, "sha256")
    variants = spiking_variants("", measured, encoder, shown, None)
    return metrics, _averaged(variants, data), digest


def _conventional(
    params: Params, data: SearchData, threads: int, state_store: StateStore | None
) -> Trained:
    """As the stage `baseline` trains the one member of a family."""
    train, validation = data.train, data.validation
    assert isinstance(train, LabelledImages)
    assert isinstance(validation, LabelledImages)
    epochs = params.train.prune_start, params.train.prune_end
    n_classes, settings = train.subject.n_classes, params.baseline.training(params.train)
    n_input, state_bits = math.prod(train.shape), params.model.state_bits
    variants = [*family(n_input, n_classes, params.baseline, epochs, state_bits)]
    trained = train_baselines(
        train, validation, variants, settings, params.seed, state_store=state_store
    ).baselines[0]
    pruned, splits = (
        params.train.pruned_fraction > 0,
        {"validation": validation, "test": validation},
    )
    measured = measure_baseline("", trained.network, False, pruned, splits)
    metrics = {
        "validation_accuracy_percent": measured.counts.validation_accuracy_percent,
        "best_epoch": trained.best_epoch,
        "macs_per_inference": float(measured.counts.macs_nonzero.sum(axis=1).mean()),
    }
    ways = baseline_variants([measured.counts], len(validation))
    return metrics, _averaged(ways, data), measured.counts.weights_sha256


def _averaged(variants: Sequence[Variant], data: SearchData) -> tuple[Variant, ...]:
    return averaged(variants, data.description.average_pixels or 1, math.prod(data.train.shape))


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
        # Optuna's thread does so later: a trial that is killed before has no heartbeat to miss.
        storage: Any = self._study._storage
        storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(NUMBER, number)
        # By the trial, so that one worker alone draws the same again. Parameters are independent of
        # each other: which there are depends on the kinds that are drawn.
        seed = zlib.crc32(f"{search.settings.study} {number}".encode())
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        drawn = search.space.draw(trial)
        try:
            params = search.space.params(drawn)
            check_trial(params, search.profile)
        except ParameterError as error:
            trial.set_constraint("allowed", 1.0)  # the sampler learns to avoid it
            raise optuna.TrialPruned(str(error)) from error
        logger.info("trial %d: %s", number, drawn)
        ended = self._ended(number, params)
        trial.set_user_attr(ENDED, {"parameters": params.flattened(), **ended})
        logger.info("trial %d: %s", number, ended)
        if "reason" in ended:
            raise optuna.TrialPruned(ended["reason"])
        metrics = ended["metrics"]
        return metrics["validation_accuracy_percent"], metrics["energy_nj_per_inference"]

    def _ended(self, number: int, params: Params) -> dict[str, Any]:
        """What a trial comes to, from where a killed worker has left off."""
        search, identity = self._search, self._study.user_attrs[IDENTITY]
        known_by = {"search": identity, "trial": number, "code": self._code}
        resume = ResumeFile(
            search.folder / "resume", content_digest(known_by), f"trial {number} of the search"
        )
        with resume:
            store, began = resume if params.train.resume else None, time.process_time()
            try:
                metrics, digest = run_trial(params, self._data, search, store)
                ended: dict[str, Any] = {"metrics": metrics, "trained_sha256": digest}
            except (MemoryError, ParameterError) as error:
                ended = {"reason": in_one_line(error)}
            ended["processor_seconds"] = time.process_time() - began
            # Of a trial that is to be run again alone a state is kept.
            resume.done()
        return ended
