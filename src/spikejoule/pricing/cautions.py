"""Warnings about how a model ran."""

from collections.abc import Iterator

from spikejoule.compare.notes import Note, warning
from spikejoule.pricing.modules.parts import INPUT
from spikejoule.pricing.running.run import Run


def cautions_of(run: Run) -> list[Note]:
    """Return warnings about input, neurons or modes that may be meant differently."""
    return [warning(words) for words in _warnings(run)]


def _warnings(run: Run) -> Iterator[str]:
    places = [*run.watch.places.values()]
    nearly_whole = [place.name for place in places if place.emits_nearly_whole]
    if nearly_whole:
        yield (
            f"{', '.join(nearly_whole)} gives numbers that are almost integers, "
            "which are counted as real values: round them if they are spikes."
        )
    in_training = [
        f"{name or run.called} ({type(module).__name__})"
        for name, module in run.model.named_modules()
        if module.training
    ]
    if in_training:
        # The model itself comes first.
        subject = in_training[0]
        yield (
            f"{subject[0].upper()}{subject[1:]} ran in training mode, and was "
            "counted like that: call eval() to count inference."
        )
    if not run.is_split_known:
        yield (
            "It is not clear which counts belong to which sample: totals and means "
            "are right, and there are no intervals."
        )
    if not any(place.fires for place in places):
        return
    # Warn of input or neurons that were probably meant differently.
    in_one = [place for place in places if place.population and place.took_one_step]
    if run.axes.time is None and in_one:
        yield (
            "Some neurons ran for a single step: if the samples have a time axis, "
            "set time_axis."
        )
    elif run.loop == "model" and run.watch.has_made_no_steps(run.steps):
        yield f"The samples have {run.steps} steps, but neurons ran for one."
    peaks = [
        place.peak
        for place in places
        if INPUT in place.sources and not place.receives_values
    ]
    peak = max(peaks, default=0.0)
    if peak > 1:
        yield (
            f"The input has integers up to {peak:g}; each counts as that many spikes."
        )
