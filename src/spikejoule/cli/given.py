"""What users name on the command line: graphs and how they are run, events, networks of
a file.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.cli.arguments import CONVENTION_OPTIONS
from spikejoule.core.errors import DataError, ParameterError, in_one_sentence
from spikejoule.core.npz import schema_of
from spikejoule.data.sources.events import samples_of_file
from spikejoule.data.subject import Subject
from spikejoule.encoding.binning import bin_all
from spikejoule.encoding.events import EVENTS, EventList, load_events
from spikejoule.energy.notes import Note, fact
from spikejoule.nir.conventions import Conventions

_OF_CHECKPOINTS = ("images", "baselines")
_OF_GRAPHS = ("events", "step_us", "against", *CONVENTION_OPTIONS)


def is_nir(options: argparse.Namespace) -> bool:
    """Whether the file is a graph; ParameterError for an option of the other kind."""
    is_graph: bool = options.file.suffix == ".nir"
    kind = "checkpoint" if is_graph else "graph of NIR"
    for name in _OF_CHECKPOINTS if is_graph else _OF_GRAPHS:
        if getattr(options, name, None) is not None:
            raise ParameterError(
                f"--{name.replace('_', '-')} is for a {kind}, which "
                f"{options.file.resolve().name} "
                "is not: a graph's name ends in .nir."
            )
    return is_graph


def given_network(text: str) -> Any:
    """The network that a function of a user's file returns, of ``FILE.py:FUNCTION``, as
    a Baseline.

    Raises:
        ParameterError: there is no such file or function, or the function fails.
    """
    from spikejoule.pricing import Baseline

    function = of_file(text, "--against", "FILE.py:FUNCTION")
    with in_one_sentence(f"--against {text}"):
        network = function()
    return network if isinstance(network, Baseline) else Baseline(network)


def of_file(text: str, option: str, allowed: str) -> Any:
    """What ``FILE.py:NAME`` names in a user's file.

    Raises:
        ParameterError: there is no such file or name, or the file fails.
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise ParameterError(
            f"{option} is {text!r}; allowed is {allowed}, of a file here"
        )
    sys.path.insert(
        0, str(Path(file).resolve().parent)
    )  # for what it imports from beside it
    with in_one_sentence(f"{option} {text}"):
        defined = run_path(file)
        if name not in defined:
            raise NameError(f"{file} has no {name}")
        return defined[name]


def given_conventions(options: argparse.Namespace) -> Conventions:
    """What the options say of how a graph is run."""
    chosen = {
        name: getattr(options, name) for name in ("dt", "reset", "current", "initial")
    }
    return Conventions(comparison=options.threshold, pruned=options.pruned, **chosen)


@dataclass(frozen=True, eq=False)
class GivenEvents:
    """Events of a file, by step, and what the file says of them.

    Attributes:
        events: N samples.
        title: of the data.
        labels: class of each sample, int64 [N]; None where not known.
        subject: what they show; None where not known.
        step_ms: what a step stands for; None for what the graph is run with.
        notes: how stamps of time became steps.
    """

    events: EventList
    title: str
    labels: NDArray[np.int64] | None = None
    subject: Subject | None = None
    step_ms: float | None = None
    notes: tuple[Note, ...] = ()


def given_events(path: Path, step_us: int | None, n_samples: int | None) -> GivenEvents:
    """The first samples of a file of `save_events`, or of an event file's test samples.

    Args:
        path: of the file.
        step_us: microseconds of one step, of an event file.
        n_samples: how many; None for all.

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
                f"--step-us is for event files; {path} has its events in steps."
            )
        chosen = first_samples(n_samples, events.n_samples, what)
        return GivenEvents(events.select(chosen), title=path.name)
    title, samples = samples_of_file(path)
    if step_us is None:
        raise ParameterError(
            f"{path} has stamps of time in microseconds: --step-us says how many "
            "make a step."
        )
    samples = samples.select(first_samples(n_samples, len(samples), what))
    n_steps = -(-samples.setting.duration_us // step_us)
    binned = bin_all(samples.inputs, n_steps, n_steps * step_us)
    return GivenEvents(
        binned.events,
        title,
        labels=samples.labels.astype(np.int64),
        subject=samples.subject,
        step_ms=step_us / 1000,
        notes=(
            fact("a step of the events", f"{step_us:,} us"),
            fact(
                "events outside of the window",
                f"{binned.dropped.mean():,.1f} per sample",
            ),
            fact("events merged in a step", f"{binned.merged.mean():,.1f} per sample"),
        ),
    )


def first_samples(n_samples: int | None, available: int, what: str) -> slice:
    """The first samples of so many, all if it is None; DataError, which says what they
    are.
    """
    if n_samples is not None and n_samples > available:
        raise DataError(f"--samples {n_samples} is more than the {available} {what}.")
    return slice(n_samples)
