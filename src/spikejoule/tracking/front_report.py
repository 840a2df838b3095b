"""A comparison of runs as a CSV table, as a figure, and in words."""

import shlex
from collections.abc import Mapping, Sequence

from spikejoule.foundation.text import table
from spikejoule.measure.front_rows import FrontRow, FrontTable
from spikejoule.report import figures
from spikejoule.tracking.front import Candidate, Comparison


def front_table(comparison: Comparison) -> FrontTable:
    """The CSV file: a row a point, which carries the parameters that vary."""
    return FrontTable(
        rows=tuple(
            FrontRow(
                name=one.name,
                early_exit=one.early_exit,
                on_front=on_front,
                validation_accuracy_percent=one.validation_percent,
                test_accuracy_percent=one.test_percent,
                synaptic_events_per_inference=one.synaptic_events,
                data_source=comparison.data_source,
                git_commit=one.git_commit,
                run_id=one.run_id,
                **{name: one.parameters.get(name, "") for name in comparison.varied},
            )
            for one, on_front in zip(comparison.candidates, comparison.on_front, strict=True)
        )
    )


def front_text(
    comparison: Comparison, at_least_percent: float, current: Mapping[str, object]
) -> str:
    """The front in words, and the command that repeats its cheapest sufficient run.

    `current` holds the parameters that the command starts from, by full name.
    """
    varied = comparison.varied
    lines = [
        f"{comparison.n_runs} runs on {comparison.data_title}",
        "On the front of validation accuracy and synaptic events an inference:",
        "",
        table(
            ("run", "events", "validation %", "test %", "answer", *varied),
            [
                (
                    one.name,
                    f"{one.synaptic_events:,.0f}",
                    f"{one.validation_percent:.2f}",
                    f"{one.test_percent:.2f}",
                    "early" if one.early_exit else "at the end",
                    *(_value(one, name) for name in varied),
                )
                for one in comparison.front
            ],
        ),
        "",
    ]
    best = comparison.cheapest(at_least_percent)
    if best is None:
        lines.append(f"No run reaches {at_least_percent:g} % on validation.")
    else:
        lines.append(
            f"Least energy at {at_least_percent:g} % on validation: {best.name}, "
            f"{best.synaptic_events:,.0f} synaptic events an inference"
            f"{', answering early' if best.early_exit else ''}. Again:"
        )
        lines.append(f"  {experiment_command(best, current)}")
    lines += [f"Not compared: {number} {reason}" for reason, number in comparison.left_out.items()]
    return "\n".join(lines) + "\n"


def experiment_command(candidate: Candidate, current: Mapping[str, object]) -> str:
    """The experiment that repeats a run, starting from the parameters `current`."""
    settings = [
        # MLflow keeps Python's text of a value: YAML has another word for none.
        f"{name}={'null' if value == 'None' else value.replace(', ', ',')}"
        for name, value in sorted({**candidate.parameters, **candidate.data}.items())
        if str(current.get(name)) != value
    ]
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings)])


def front_figure(comparison: Comparison, at_least_percent: float) -> bytes:
    """The comparison as a figure: PNG bytes."""
    varied = comparison.varied
    points = [
        figures.FrontPoint(
            synaptic_events=one.synaptic_events,
            validation_percent=one.validation_percent,
            test_percent=one.test_percent,
            on_front=on_front,
            early_exit=one.early_exit,
            label=_differences(one, varied),
        )
        for one, on_front in zip(comparison.candidates, comparison.on_front, strict=True)
    ]
    source = f"{comparison.data_title}; {comparison.n_runs} runs"
    return figures.accuracy_front(points, at_least_percent, source)


def _differences(candidate: Candidate, varied: Sequence[str]) -> str:
    """What distinguishes a point, shortly: `early exit, hidden 100, time_window 25`."""
    values = [f"{name.rpartition('.')[2]} {_value(candidate, name)}" for name in varied]
    return ", ".join(["early exit", *values] if candidate.early_exit else values)


def _value(candidate: Candidate, name: str) -> str:
    """A parameter as text; a list of one, such as one hidden layer, as its only item."""
    text = candidate.parameters.get(name, "-")
    return text[1:-1] if text.startswith("[") and "," not in text else text
