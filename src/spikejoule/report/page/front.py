"""The front of a sweep: its chart, and a table of the runs on it."""

from collections.abc import Sequence

from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.front import (
    EVENTS_TITLE,
    OTHERS_WORDS,
    TEST_WORDS,
    VALIDATION_WORDS,
    front_chart,
    run_settings,
    tested_point,
    validated_point,
)
from spikejoule.report.charts.scales import ACCURACY_TITLE
from spikejoule.report.page.figure import HEIGHT, Words, absent, figure
from spikejoule.report.page.markup import Markup, html_table
from spikejoule.report.page.plot import Plot

FRONT_COMMAND = "make sweep (or, for runs that are recorded already, make front), then dvc repro"


def front_figure(runs: Sequence[FrontRow]) -> Markup:
    """The runs of a sweep: accuracy against synaptic events."""
    chart = front_chart(runs)
    if chart is None:
        return absent(
            "front",
            "The front: the least energy for an accuracy",
            f"No sweep is recorded. To make one: {FRONT_COMMAND}.",
        )
    plot = Plot(chart.x, chart.y)
    marks = [plot.axes(), plot.line(chart.stairs(), "s1", stairs=True)]
    for run in chart.runs:
        marks.append(plot.dot(validated_point(run), "f1" if run.on_front else "f0", _words(run)))
    for run in chart.on_front:
        told = f"{run.name}, test: {run.test_accuracy_percent:.2f} %"
        marks.append(plot.dot(tested_point(run), "hollow s2", told, 5))
    best = chart.best
    words = Words(
        key="front",
        finding=f"The front: {best.validation_accuracy_percent:.2f} % on validation for "
        f"{best.synaptic_events_per_inference:,.0f} synaptic events",
        description="; ".join(_words(run) for run in chart.on_front),
        y_title=ACCURACY_TITLE,
        x_title=EVENTS_TITLE,
        caption=f"{len({run.run_id for run in chart.runs})} runs on {best.data_source}, recorded "
        "earlier by `make front` and not made by this run of the pipeline. Validation accuracy "
        "decides what is on the front; the test accuracy of the same runs is beside it. "
        "Runs differ in window and size, hence in leaks and biases too: the axis is events.",
        legend=[
            ("dot f1", VALIDATION_WORDS),
            ("dot hollow s2", TEST_WORDS),
            ("dot f0", OTHERS_WORDS),
        ],
    )
    return figure(words, marks, HEIGHT)


def _words(run: FrontRow) -> str:
    settings = run_settings(run)
    return (
        f"{run.name}: {run.validation_accuracy_percent:.2f} % on validation, "
        f"{run.synaptic_events_per_inference:,.0f} events{f' ({settings})' if settings else ''}"
    )


def front_table(runs: tuple[FrontRow, ...]) -> Markup | None:
    """The runs on the front, with what distinguishes them."""
    chosen = [run for run in runs if run.on_front]
    if not chosen:
        return None
    names = list(chosen[0].settings)
    rows = [
        (
            run.name,
            "early" if run.early_exit else "whole window",
            f"{run.synaptic_events_per_inference:,.0f}",
            f"{run.validation_accuracy_percent:.2f}",
            f"{run.test_accuracy_percent:.2f}",
            *(run.settings.get(name, "") for name in names),
            run.run_id[:8],
            run.git_commit[:8],
        )
        for run in chosen
    ]
    header = (
        "run",
        "answer",
        "synaptic events",
        "validation %",
        "test %",
        *names,
        "MLflow run",
        "commit",
    )
    return html_table("Runs on the front", header, rows, text_columns=2)
