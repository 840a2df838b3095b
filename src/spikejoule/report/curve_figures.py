"""Accuracy against energy, the front of a sweep, break-even, and training."""

from collections.abc import Sequence

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.analysis import ProfileInference
from spikejoule.energy.break_even import BreakEven
from spikejoule.energy.comparison import Comparison
from spikejoule.energy.summary import joules
from spikejoule.energy.window import WindowCost, window_cost
from spikejoule.measure.front_rows import FrontRun
from spikejoule.report.content import EarlyAnswer, Outcome, ReportContent
from spikejoule.report.figure import Words, absent, figure
from spikejoule.report.markup import Markup
from spikejoule.report.plot import (
    Plot,
    accuracy_scale,
    energy_scale,
    error_percent,
    linear_scale,
    number_scale,
)
from spikejoule.report.wording import amount_words, middle_pj

_HEIGHT = 300
FRONT_COMMAND = "make sweep (or, for runs that are recorded already, make front), then dvc repro"


def cost_of_answers(analysis: EnergyAnalysis) -> WindowCost | None:
    """What an event and a step cost under the chosen profile."""
    return window_cost(analysis.chosen_inference, analysis.counts, analysis.inputs.time_window)


def by_step(content: ReportContent) -> Markup:
    """Accuracy against energy if every image is answered at the same step; answering early."""
    heading = "Accuracy against energy, step by step"
    cost = cost_of_answers(content.analysis)
    if not content.by_step or cost is None:
        return absent("by-step", heading, "Accuracy at every step was not measured.")
    steps = [item for item in content.by_step if item.synaptic_events > 0]
    energies = [_energy_pj(cost, item) for item in steps]
    outcomes = [*steps, *_outcomes(content.early)]
    plot = Plot(
        linear_scale(1.02 * max(energies, default=1.0), in_joules=True),
        accuracy_scale([item.accuracy_percent for item in outcomes] or [0.0]),
    )
    points = [
        (energy, error_percent(item.accuracy_percent))
        for energy, item in zip(energies, steps, strict=True)
    ]
    marks = [plot.axes(), plot.line(points, "s1")]
    for point, item in zip(points, steps, strict=True):
        marks.append(plot.dot(point, "f1", _told(cost, item), radius=2.5))
    legend = [("line s1", "every image answered at the same step, 1 to "
               f"{content.by_step[-1].steps:g}")]  # fmt: skip
    finding, early = heading, content.early
    if early is not None and early.early.synaptic_events > 0:
        at = (_energy_pj(cost, early.early), error_percent(early.early.accuracy_percent))
        marks.append(plot.dot(at, "f2", f"early exit: {_told(cost, early.early)}", radius=6))
        legend.append(("dot f2", f"early exit at a lead of {early.margin_spikes} spikes"))
        finding = (
            f"Answering early: {early.early.accuracy_percent:.2f} % for "
            f"{amount_words(cost.energy(early.early.synaptic_events, early.early.steps), 3)}"
        )
    words = Words(
        key="by-step",
        finding=finding,
        description="; ".join(_told(cost, item) for item in steps[:: max(len(steps) // 10, 1)]),
        y_title="Test accuracy (%), log scale of errors",
        x_title=f"Energy an inference under {content.analysis.chosen}, mean",
        caption="All points come from one pass over the test images. Energy is that of the events "
        "and the steps until the answer; with a profile that prices routed spikes or active "
        "updates, these are taken to be in proportion to the events.",
        legend=legend,
    )
    return figure(words, marks, _HEIGHT)


def front(runs: Sequence[FrontRun]) -> Markup:
    """The runs of a sweep: validation accuracy against synaptic events."""
    heading = "The front: the least energy for an accuracy"
    drawn = sorted((run for run in runs if run.synaptic_events > 0),
                   key=lambda run: run.synaptic_events)  # fmt: skip
    if not drawn:
        return absent("front", heading, f"No sweep is recorded. To make one: {FRONT_COMMAND}.")
    on_front = [run for run in drawn if run.on_front]
    plot = Plot(
        number_scale([run.synaptic_events for run in drawn]),
        accuracy_scale([value for run in drawn for value in
                        (run.validation_percent, run.test_percent)]),
    )  # fmt: skip
    marks = [plot.axes()]
    stairs = [(run.synaptic_events, error_percent(run.validation_percent)) for run in on_front]
    marks.append(plot.line(stairs, "s1", stairs=True))
    for run in drawn:
        at = (run.synaptic_events, error_percent(run.validation_percent))
        marks.append(plot.dot(at, "f1" if run.on_front else "f0", _run_words(run)))
    for run in on_front:
        at = (run.synaptic_events, error_percent(run.test_percent))
        marks.append(plot.dot(at, "hollow s2", f"{run.name}, test: {run.test_percent:.2f} %", 5))
    best = max(on_front or drawn, key=lambda run: run.validation_percent)
    words = Words(
        key="front",
        finding=f"The front: {best.validation_percent:.2f} % on validation for "
        f"{best.synaptic_events:,.0f} synaptic events",
        description="; ".join(_run_words(run) for run in on_front),
        y_title="Accuracy (%), log scale of errors",
        x_title="Synaptic events an inference, mean, log scale",
        caption=f"{len({run.run_id for run in drawn})} runs on {drawn[0].data_source}, recorded "
        "earlier by `make front` and not made by this run of the pipeline. Validation accuracy "
        "decides what is on the front; the test accuracy of the same runs is beside it. "
        "Runs differ in window and size, hence in leaks and biases too: the axis is events.",
        legend=[
            ("dot f1", "validation, on the front"),
            ("dot hollow s2", "test, of the same"),
            ("dot f0", "validation, all others"),
        ],
    )
    return figure(words, marks, _HEIGHT)


def break_even(analysis: EnergyAnalysis) -> Markup:
    """The spiking network's energy against the spikes of an input, and the baselines'."""
    heading = "Break-even"
    entry = _with_break_even(analysis)
    if entry is None:
        reason = "No profile prices both a multiply-accumulate and a synaptic event."
        if not analysis.inputs.baselines:
            reason = "No baseline was counted."
        return absent("break-even", heading, reason)
    solved = [(item, item.break_even) for item in entry.comparisons if item.break_even is not None]
    _, widest = max(solved, key=lambda pair: pair[1].curve_spikes_per_input[-1])
    curve = list(zip(widest.curve_spikes_per_input, widest.curve_snn_pj, strict=True))
    plot = Plot(
        number_scale([x for x, _ in curve]),
        energy_scale([*(y for _, y in curve), *(limit.ann_pj for _, limit in solved)]),
    )
    measured = widest.measured_spikes_per_input
    energy = next(item for item in (entry.total.value,) if item is not None).mean
    marks = [
        plot.axes(),
        *(plot.horizontal(limit.ann_pj, _line_style(place))
          for place, (_, limit) in enumerate(solved)),
        plot.line(curve, "s1"),
        *(plot.dot((limit.spikes_per_input, limit.ann_pj), f"f{3 + place // 2 % 2}",
                   _limit_words(item, limit.spikes_per_input), 5)
          for place, (item, limit) in enumerate(solved) if limit.spikes_per_input is not None),
        plot.dot((measured, energy), "f2", f"measured: {measured:.3g} spikes, {joules(energy)}", 6),
    ]  # fmt: skip
    words = Words(
        key="break-even",
        finding=_break_even_finding(entry, *solved[0]),
        description="; ".join(
            [f"measured {measured:.3g} spikes an input, {joules(energy)}"]
            + [_limit_words(item, limit.spikes_per_input) for item, limit in solved]
        ),
        y_title="Energy an inference, log scale",
        x_title="Spikes of an input unit over the window, mean, log scale",
        caption="The spiking network needs less to the left of where its line crosses a "
        "baseline's. All spikes are taken to grow in proportion to the input's, at the weights "
        "that were trained; leaks and biases stay.",
        legend=[
            ("line s1", "spiking network"),
            ("dot f2", "as measured"),
            *((f"line {_line_style(place)}", item.name)
              for place, (item, _) in enumerate(solved)),
        ],
    )  # fmt: skip
    return figure(words, marks, _HEIGHT)


def training(analysis: EnergyAnalysis) -> Markup:
    """Validation accuracy against the energy spent until then."""
    heading = "What training costs"
    priced = analysis.chosen_training
    if priced is None:
        return absent("training", heading, "The checkpoint does not record what training's energy "
                      "needs.")  # fmt: skip
    total = amount_words(priced.total)
    if not priced.epochs or priced.total.high_pj <= 0:
        return absent("training", heading, f"{total} in all; single epochs are not recorded.")
    spent = [middle_pj(epoch.cumulative) for epoch in priced.epochs]
    accuracies = [epoch.validation_accuracy_percent for epoch in priced.epochs]
    plot = Plot(linear_scale(1.02 * spent[-1], in_joules=True), accuracy_scale(accuracies))
    points = [(x, error_percent(y)) for x, y in zip(spent, accuracies, strict=True)]
    told = [
        f"epoch {epoch.epoch}: {epoch.validation_accuracy_percent:.2f} %, "
        f"{amount_words(epoch.cumulative)}"
        for epoch in priced.epochs
    ]
    best = None if analysis.training is None else analysis.training.best_epoch
    marks = [plot.axes(), plot.line(points, "s1")]
    for epoch, point, words_of_epoch in zip(priced.epochs, points, told, strict=True):
        kept = epoch.epoch == best
        marks.append(plot.dot(point, "f2" if kept else "f1", words_of_epoch, 6 if kept else 3))
    shares = ", ".join(f"{phase} {amount_words(amount)}" for phase, amount in
                       priced.by_phase.items())  # fmt: skip
    bracket = "" if priced.total.value_pj is not None else " Drawn at the prices' upper ends."
    words = Words(
        key="training",
        finding=f"Training costs {total}",
        description="; ".join(told[:: max(len(told) // 10, 1)]),
        y_title="Validation accuracy (%), log scale of errors",
        x_title=f"Energy of training until then, under {analysis.chosen}",
        caption=f"{shares}.{bracket}",
        legend=[("line s1", "epochs"), ("dot f2", "the epoch whose weights were kept")],
    )
    return figure(words, marks, _HEIGHT)


def _with_break_even(analysis: EnergyAnalysis) -> ProfileInference | None:
    """The chosen profile if it has a break-even, else the first that has."""
    for entry in (analysis.chosen_inference, *analysis.inference):
        if any(item.break_even is not None for item in entry.comparisons):
            return entry
    return None


def _line_style(place: int) -> str:
    """Dense and zero-skipping of a network look alike; those of the next lie in their gaps."""
    return "s4 dotted" if place // 2 % 2 else "s3 dashed"


def _break_even_finding(entry: ProfileInference, item: Comparison, limit: BreakEven) -> str:
    under = f"under {entry.profile.title}"
    if limit.spikes_per_input is None:
        return f"Break-even: {item.name} needs less at any rate, {under}"
    return (
        f"Break-even: less energy than {item.name} up to {limit.spikes_per_input:.3g} spikes an "
        f"input, {under}"
    )


def _limit_words(item: Comparison, spikes: float | None) -> str:
    limit = "never below it" if spikes is None else f"up to {spikes:.3g} spikes an input"
    return f"against {item.name} {limit}"


def _energy_pj(cost: WindowCost, outcome: Outcome) -> float:
    return middle_pj(cost.energy(outcome.synaptic_events, outcome.steps))


def _told(cost: WindowCost, item: Outcome) -> str:
    energy = amount_words(cost.energy(item.synaptic_events, item.steps))
    return f"step {item.steps:.3g}: {item.accuracy_percent:.2f} %, {energy}"


def _run_words(run: FrontRun) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in run.settings.items())
    early = ", early exit" if run.early_exit else ""
    return (
        f"{run.name}{early}: {run.validation_percent:.2f} % on validation, "
        f"{run.synaptic_events:,.0f} events{f' ({settings})' if settings else ''}"
    )


def _outcomes(early: EarlyAnswer | None) -> list[Outcome]:
    return [] if early is None else [early.early]
