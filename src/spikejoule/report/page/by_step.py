"""Accuracy against energy, if every image is answered at the same step, or once it is sure."""

from typing import NamedTuple

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.window import WindowCost, window_cost
from spikejoule.report.charts.scales import accuracy_scale, error_percent
from spikejoule.report.content import PageContent
from spikejoule.report.page.figure import HEIGHT, Words, absent, figure
from spikejoule.report.page.markup import Markup
from spikejoule.report.page.plot import Plot, linear_energy_scale
from spikejoule.report.page.wording import amount_words, middle_pj


class _Answer(NamedTuple):
    """A point: answers after so many steps (a mean), and their energy."""

    steps: float
    accuracy_percent: float
    synaptic_events: float
    cost: WindowCost

    @property
    def place(self) -> tuple[float, float]:
        energy = self.cost.energy(self.synaptic_events, self.steps)
        return middle_pj(energy), error_percent(self.accuracy_percent)

    @property
    def words(self) -> str:
        energy = amount_words(self.cost.energy(self.synaptic_events, self.steps))
        return f"step {self.steps:.3g}: {self.accuracy_percent:.2f} %, {energy}"


def cost_of_answers(analysis: EnergyAnalysis) -> WindowCost | None:
    """What an event and a step cost under the chosen profile."""
    inputs = analysis.inputs
    return window_cost(
        analysis.chosen_inference,
        analysis.counts,
        inputs.time_window,
        inputs.encoder.input_products,
        inputs.encoder.rate_hz is not None,
    )


def by_step_figure(content: PageContent) -> Markup:
    """Accuracy against energy if every image is answered at the same step; answering early."""
    heading, subject = "Accuracy against energy, step by step", content.analysis.inputs.subject
    cost = cost_of_answers(content.analysis)
    if not content.by_step or cost is None:
        return absent("by-step", heading, "Accuracy at every step was not measured.")
    steps = [
        _Answer(row.step, row.accuracy_percent, row.synaptic_events_per_inference, cost)
        for row in content.by_step
        if row.synaptic_events_per_inference > 0
    ]
    early = None
    if content.early is not None:
        entry = content.early.test
        early = _Answer(
            entry.mean_exit_step, entry.accuracy_percent, entry.synaptic_events_per_inference, cost
        )
    points = [item.place for item in steps]
    drawn = steps if early is None else [*steps, early]
    plot = Plot(
        linear_energy_scale(1.02 * max((x for x, _ in points), default=1.0)),
        accuracy_scale([item.accuracy_percent for item in drawn] or [0.0]),
    )
    marks = [plot.axes(), plot.line(points, "s1")]
    for item in steps:
        marks.append(plot.dot(item.place, "f1", item.words, radius=2.5))
    legend = [("line s1", f"every {subject.sample} answered at the same step, 1 to "
               f"{content.by_step[-1].step:g}")]  # fmt: skip
    finding = heading
    if content.early is not None and early is not None and early.synaptic_events > 0:
        marks.append(plot.dot(early.place, "f2", f"early exit: {early.words}", radius=6))
        legend.append(("dot f2", f"early exit {content.early.rule_in_words}"))
        finding = (
            f"Answering early: {early.accuracy_percent:.2f} % for "
            f"{amount_words(cost.energy(early.synaptic_events, early.steps), 3)}"
        )
    words = Words(
        key="by-step",
        finding=finding,
        description="; ".join(item.words for item in steps[:: max(len(steps) // 10, 1)]),
        y_title="Test accuracy (%), log scale of errors",
        x_title=f"Energy per inference under {content.analysis.chosen}, mean",
        caption=f"All points come from one pass over the test {subject.samples}. Energy is that of "
        "the events and the steps until the answer; with a profile that prices routed spikes or "
        "active updates, these are taken to be in proportion to the events.",
        legend=legend,
    )
    return figure(words, marks, HEIGHT)
