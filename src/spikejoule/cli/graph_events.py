"""The events that a graph is run on: encoded ones, or an event file with stamps of time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.core.npz import schema_of
from spikejoule.data.sources.events import samples_of_file
from spikejoule.data.subject import Subject
from spikejoule.encoding.binning import bin_all
from spikejoule.encoding.events import EVENTS, EventList, load_events


@dataclass(frozen=True, eq=False)
class GivenEvents:
    """Events by step, and what their file says beside them.

    Attributes:
        events: of N samples.
        title: what they are.
        labels: class of each sample, [N]; None where the file has none.
        subject: what the samples show; None where the file does not say it.
        step_ms: what a step stands for; None where the file does not say it.
        facts: how stamps of time became steps, label and value.
    """

    events: EventList
    title: str
    labels: NDArray[np.integer] | None = None
    subject: Subject | None = None
    step_ms: float | None = None
    facts: tuple[tuple[str, str], ...] = ()


def read_given_events(path: Path, step_us: int | None, n_samples: int | None) -> GivenEvents:
    """The first samples of a file of `save_events`, or of an event file's test samples.

    Args:
        path: of the file.
        step_us: microseconds of one step, of an event file.
        n_samples: how many; None for all.

    Raises:
        ArtifactError: the file is missing or damaged.
        ParameterError: `step_us` is missing or makes too many steps, or the file has steps already.
        DataError: there are fewer samples.
    """
    if not path.exists():
        raise ArtifactError(
            f"--events: {path} does not exist; allowed: a file of spikes by step, or an event file."
        )
    if schema_of(path) in ("", EVENTS.schema):
        events, _ = load_events(path)
        if step_us is not None:
            raise ParameterError(f"--step-us is for event files; {path} has its events in steps.")
        return GivenEvents(events.select(_first(n_samples, events.n_samples, path)), path.name)
    title, samples = samples_of_file(path)
    if step_us is None:
        raise ParameterError(
            f"{path} has stamps of time in microseconds: --step-us says how many make a step."
        )
    samples = samples.select(_first(n_samples, len(samples), path))
    n_steps = -(-samples.setting.duration_us // step_us)
    binned = bin_all(samples.inputs, n_steps, n_steps * step_us)
    return GivenEvents(
        binned.events, title, samples.labels.astype(np.int64), samples.subject, step_us / 1000,
        (("a step of the events", f"{step_us:,} us"),
         ("events outside of the window", f"{binned.dropped.mean():,.1f} per sample"),
         ("events merged in a step", f"{binned.merged.mean():,.1f} per sample")),
    )  # fmt: skip


def _first(n_samples: int | None, available: int, path: Path) -> slice:
    if n_samples is not None and n_samples > available:
        raise DataError(f"--samples {n_samples} is more than the {available} samples of {path}.")
    return slice(0, available if n_samples is None else n_samples)
