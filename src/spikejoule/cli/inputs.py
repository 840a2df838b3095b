"""What commands are called with: samples, events, and a user's conventional network."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikejoule.compare.from_counts import SampleSet
from spikejoule.compare.notes import Note, fact
from spikejoule.core.errors import DataError, ParameterError, in_one_sentence
from spikejoule.core.npz import schema_of
from spikejoule.core.user_files import named_object
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Samples
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset
from spikejoule.data.sources.events import samples_of_file
from spikejoule.encoding.binning import bin_all
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.encoding.events import EVENTS, EventList, load_events
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.nir.options import CONVENTION_OPTIONS

_FOR_CHECKPOINTS = ("images", "baselines")
_FOR_GRAPHS = ("events", "step_us", "against", *CONVENTION_OPTIONS)

# Seed of the encoding, for checkpoints that record none.
_DEFAULT_SEED = 42


def is_nir(options: argparse.Namespace) -> bool:
    """Whether the file is a NIR graph; ParameterError for an option of other files."""
    is_graph: bool = options.file.suffix == ".nir"
    other = "checkpoint" if is_graph else "NIR graph"
    for name in _FOR_CHECKPOINTS if is_graph else _FOR_GRAPHS:
        if getattr(options, name) is not None:
            raise ParameterError(
                f"--{name.replace('_', '-')} is for a {other}, which "
                f"{options.file.resolve().name} is not: a graph's name ends in .nir."
            )
    return is_graph


def conventional_network(text: str) -> Any:
    """Call a function of a user's file, FILE.py:FUNCTION, for a `Baseline`.

    Raises:
        ParameterError: there is no such file or function, or the function fails.
    """
    from spikejoule.pricing.conventional import Baseline

    function = named_object(text, "--against", "FILE.py:FUNCTION")
    with in_one_sentence(f"--against {text}"):
        network = function()
    return network if isinstance(network, Baseline) else Baseline(network)


@dataclass(frozen=True, eq=False)
class InputEvents:
    """Events of a file by step, and what the file says about them.

    Attributes:
        events: N samples.
        samples: what is known of them.
        notes: how time stamps became steps.
    """

    events: EventList
    samples: SampleSet
    notes: tuple[Note, ...] = ()


def read_events(path: Path, step_us: int | None, n_samples: int | None) -> InputEvents:
    """Read events by `save_events`, or the test samples of an event file.

    Args:
        path: the file.
        step_us: microseconds per step, for an event file.
        n_samples: read only the first samples; None for all.

    Raises:
        ArtifactError: the file is missing or damaged.
        ParameterError: `step_us` is missing or makes too many steps, or the file has
            steps already.
        DataError: there are fewer samples.
    """
    what = f"samples of {path}"
    if schema_of(path) in ("", EVENTS.schema):
        events, _ = load_events(path)
        if step_us is not None:
            raise ParameterError(
                f"--step-us is for event files; the events in {path} are already in "
                "steps."
            )
        chosen = first_samples(n_samples, events.n_samples, what)
        return InputEvents(events.select(chosen), SampleSet(path.name))
    title, samples = samples_of_file(path)
    if step_us is None:
        raise ParameterError(
            f"{path} has time stamps in microseconds: --step-us says how many make a "
            "step."
        )
    samples = samples.select(first_samples(n_samples, len(samples), what))
    n_steps = -(-samples.setting.duration_us // step_us)  # rounded up
    binned = bin_all(samples.inputs, n_steps, n_steps * step_us)
    dropped = f"{binned.dropped.mean():,.1f} per sample"
    merged = f"{binned.merged.mean():,.1f} per sample"
    return InputEvents(
        binned.events,
        SampleSet(
            title, samples.labels.astype(np.int64), samples.subject, step_us / 1000
        ),
        notes=(
            fact("a step of the events", f"{step_us:,} us"),
            fact("events outside the window", dropped),
            fact("events merged in a step", merged),
        ),
    )


def first_samples(n_samples: int | None, available: int, what: str) -> slice:
    """Slice the first samples; all for None. DataError if there are fewer."""
    if n_samples is not None and n_samples > available:
        raise DataError(f"--samples {n_samples} is more than the {available} {what}.")
    return slice(n_samples)


def test_samples(source: str, n_samples: int | None) -> tuple[str, Samples]:
    """Load the title and the first test samples of a data set or an event file."""
    here = Path.cwd()
    places = Places(here, here / ".cache" / "mnist", os.environ.get("MNIST_DIR"))
    file = places.resolved(source)
    test: Samples
    if file.is_file():
        title, test = samples_of_file(file)
    else:
        dataset = load_dataset(source, places, asked_by="--images")
        title = dataset.title
        test = dataset.test
    what = f"test {test.subject.samples} of {source}"
    return title, test.select(first_samples(n_samples, len(test), what))


def run_checkpoint(checkpoint: Checkpoint, samples: Samples) -> Measurement:
    """Run the network on samples, encoded with the seed of its training."""
    seed = checkpoint.file.spikejoule.seed
    if seed is None:
        seed = _DEFAULT_SEED
    events = encode_samples(checkpoint.encoder, samples, seed, "test").events
    return measure_network(
        checkpoint.state, checkpoint.network, events, pruned=checkpoint.pruned
    )
