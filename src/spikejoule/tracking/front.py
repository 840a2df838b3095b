"""Recorded runs compared: accuracy against synaptic events, and which of them nothing beats.

Validation accuracy decides; test accuracy is shown beside it and decides nothing. Only runs that
are measured alike are compared: validated on the same images, and their spikes counted on the same.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spikejoule.core.errors import StoreError
from spikejoule.evaluation.front_rows import EARLY_EXIT, WHOLE_WINDOW, pareto_front
from spikejoule.params import earlier_values
from spikejoule.tracking import RecordedRun

_DATA = "data.source"
# Parameters that tell where and how a result was computed or shown, and do not change it.
_WITHOUT_EFFECT = (
    "energy_report.",
    "evaluate.",
    "publish.",
    _DATA,
    "train.engine",
    "train.device",
    "train.threads",
    "train.resume",
)
# What trains the ReLU network: of effect where it was the teacher.
_OF_BASELINE = "baseline."
_DISTILLATION = "train.distillation"
# Keys that came after the first runs were recorded; as text, which is how MLflow keeps parameters.
_EARLIER = {name: str(value) for name, value in earlier_values().items()}

_NO_FIGURES = "without accuracy or synaptic events"
_ON_TEST = "validated on the test images"
_CURRENTS = "with products of constant currents beside their events"
_REPEATED = "the same result again"
_ELSE = "measured on other images"


@dataclass(frozen=True)
class Candidate:
    """One run as a point: what it costs and how well it reads digits.

    A run gives two of them if it was also measured with early answers.

    Attributes:
        name: the run's name.
        early_exit: whether it answers as soon as it is sure, and not after the whole window.
        run_id: MLflow's identifier.
        git_commit: of the code that made it, or "unknown".
        validation_accuracy_percent: best validation accuracy, in percent.
        test_accuracy_percent: test accuracy, in percent.
        synaptic_events_per_inference: a mean, over all test images.
        parameters: those that decide a result, by full name, as text; keys that came after the run
            was recorded have the value that stands for what there was before.
        data: the parameter that says where its images come from, likewise.
    """

    name: str
    early_exit: bool
    run_id: str
    git_commit: str
    validation_accuracy_percent: float
    test_accuracy_percent: float
    synaptic_events_per_inference: float
    parameters: Mapping[str, str]
    data: Mapping[str, str]


@dataclass(frozen=True)
class ComparedRuns:
    """Points of runs measured alike, in the order of their synaptic events.

    Attributes:
        data_source: the source of their images (`mnist`).
        data_title: the same in words.
        candidates: the points.
        on_front: for each of them, whether no other is at least as good in both respects and
            better in one.
        n_runs: number of the runs that they come from.
        repeated: MLflow's identifiers of the runs that gave the same result again, perhaps beside
            other conventional networks.
        left_out: number of runs that are not compared, by reason.
    """

    data_source: str
    data_title: str
    candidates: tuple[Candidate, ...]
    on_front: tuple[bool, ...]
    n_runs: int
    repeated: tuple[str, ...]
    left_out: Mapping[str, int]

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The points on the front, the cheapest first."""
        return tuple(
            candidate
            for candidate, on_front in zip(self.candidates, self.on_front, strict=True)
            if on_front
        )

    @property
    def varied(self) -> tuple[str, ...]:
        """The parameters in which the runs differ, sorted by name."""
        names = sorted({name for one in self.candidates for name in one.parameters})
        return tuple(
            name
            for name in names
            if len(
                {
                    one.parameters.get(name)
                    for one in self.candidates
                    # Those of the ReLU network are only there where it was the teacher.
                    if name in one.parameters or not name.startswith(_OF_BASELINE)
                }
            )
            > 1
        )

    def cheapest(self, at_least_percent: float) -> Candidate | None:
        """The point of fewest synaptic events among those of that validation accuracy or more."""
        return next(
            (one for one in self.front if one.validation_accuracy_percent >= at_least_percent), None
        )


def compare_runs(runs: Sequence[RecordedRun], data_source: str | None = None) -> ComparedRuns:
    """Compare the runs that are measured alike: those of `data_source`, or of the most frequent.

    Of runs with the same parameters and figures the first counts. Raises StoreError if no run
    remains, and if `data_source` is none of the sources that there are.
    """
    left_out: Counter[str] = Counter()
    groups: dict[tuple[object, ...], list[RecordedRun]] = {}
    for run in runs:
        reason = unfit_to_compare(run)
        if reason is not None:
            left_out[reason] += 1
            continue
        groups.setdefault(_measured_on(run), []).append(run)
    sources = sorted({_source(group[0]) for group in groups.values()})
    if data_source is not None and data_source not in sources:
        known = ", ".join(sources) or "no run at all"
        raise StoreError(f"no comparable run is of the data {data_source!r}; there is: {known}.")
    eligible = [group for group in groups.values() if data_source in (None, _source(group[0]))]
    if not eligible:
        told = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        raise StoreError(
            f"the store holds no finished run that could be compared ({told or 'it is empty'}): "
            "run the pipeline, or `make sweep`."
        )
    chosen = max(eligible, key=len)
    for group in groups.values():
        if group is not chosen:
            left_out[f"{_ELSE} ({_source(group[0])})"] += len(group)
    distinct = list(_distinct(chosen))
    counted = {id(run) for run in distinct}
    repeated = tuple(run.run_id for run in chosen if id(run) not in counted)
    if repeated:
        left_out[_REPEATED] = len(repeated)
    candidates = sorted(
        (candidate for run in distinct for candidate in _candidates(run)),
        key=lambda one: (
            one.synaptic_events_per_inference,
            -one.validation_accuracy_percent,
            one.name,
        ),
    )
    return ComparedRuns(
        data_source=_source(chosen[0]),
        data_title=chosen[0].tags.get("data.title", _source(chosen[0])),
        candidates=tuple(candidates),
        on_front=pareto_front(
            [one.synaptic_events_per_inference for one in candidates],
            [one.validation_accuracy_percent for one in candidates],
        ),
        n_runs=len(distinct),
        repeated=repeated,
        left_out=dict(left_out),
    )


def unfit_to_compare(run: RecordedRun) -> str | None:
    """Why a run cannot stand beside others; None if it can."""
    if not _has(run, WHOLE_WINDOW):
        return _NO_FIGURES
    if _number(run.parameters.get("data.validation_size")) == 0:
        return _ON_TEST
    if run.metrics.get("input_macs_per_inference") is not None:
        return _CURRENTS
    return None


def _has(run: RecordedRun, names: Sequence[str]) -> bool:
    return all(math.isfinite(run.metrics.get(name, math.nan)) for name in names)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _source(run: RecordedRun) -> str:
    return run.tags.get("data.source", "unknown")


def _measured_on(run: RecordedRun) -> tuple[object, ...]:
    """What must be equal for two runs to be compared: the images, and the split of them."""
    digests = sorted(item for item in run.tags.items() if item[0].startswith("data.sha256."))
    size = _number(run.parameters.get("data.validation_size"))
    return (_source(run), *digests, size, run.parameters.get("seed"))


def _distinct(runs: Sequence[RecordedRun]) -> Iterator[RecordedRun]:
    seen = set()
    for run in runs:
        identity = (
            frozenset(deciding_parameters(run).items()),
            *(run.metrics.get(name) for name in (*WHOLE_WINDOW, *EARLY_EXIT)),
        )
        if identity not in seen:
            seen.add(identity)
            yield run


def _candidates(run: RecordedRun) -> Iterator[Candidate]:
    for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
        if not _has(run, names):
            continue
        validation, test, events = (run.metrics[name] for name in names)
        yield Candidate(
            name=run.name,
            early_exit=early_exit,
            run_id=run.run_id,
            git_commit=run.tags.get("git.commit", "unknown"),
            validation_accuracy_percent=validation,
            test_accuracy_percent=test,
            synaptic_events_per_inference=events,
            parameters=deciding_parameters(run),
            data={name: run.parameters[name] for name in (_DATA,) if name in run.parameters},
        )


def deciding_parameters(run: RecordedRun) -> dict[str, str]:
    """The parameters that decide a run's result, by full name, as text."""
    parameters = {**_EARLIER, **run.parameters}
    of_baseline = () if _number(parameters[_DISTILLATION]) else (_OF_BASELINE,)
    return {
        name: value
        for name, value in parameters.items()
        if not name.startswith((*_WITHOUT_EFFECT, *of_baseline))
    }
