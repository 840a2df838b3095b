"""Compared runs as a CSV table, as a figure, and in words."""

import shlex
from collections.abc import Mapping

from spikejoule.core.text import text_table
from spikejoule.evaluation.front_rows import FrontRow, FrontTable
from spikejoule.report import figures
from spikejoule.report.charts.front import setting_text
from spikejoule.tracking.front import ComparedRuns


def front_file(compared: ComparedRuns) -> FrontTable:
    """The CSV file: a row a point, which carries the parameters that vary."""
    return FrontTable(
        rows=tuple(
            FrontRow(
                name=one.name,
                early_exit=one.early_exit,
                on_front=on_front,
                validation_accuracy_percent=one.validation_accuracy_percent,
                test_accuracy_percent=one.test_accuracy_percent,
                synaptic_events_per_inference=one.synaptic_events_per_inference,
                data_source=compared.data_source,
                git_commit=one.git_commit,
                run_id=one.run_id,
                **{name: one.parameters.get(name, "") for name in compared.varied},
            )
            for one, on_front in zip(compared.candidates, compared.on_front, strict=True)
        )
    )


def front_text(
    compared: ComparedRuns, at_least_percent: float, current: Mapping[str, object]
) -> str:
    """The front in words, and the command that repeats its cheapest sufficient run.

    `current` holds the parameters that the command starts from, by full name.
    """
    varied = compared.varied
    lines = [
        f"{compared.n_runs} runs on {compared.data_title}",
        "On the front of validation accuracy and synaptic events per inference:",
        "",
        text_table(
            ("run", "events", "validation %", "test %", "answer", *varied),
            [
                (
                    one.name,
                    f"{one.synaptic_events_per_inference:,.0f}",
                    f"{one.validation_accuracy_percent:.2f}",
                    f"{one.test_accuracy_percent:.2f}",
                    "early" if one.early_exit else "at the end",
                    *(setting_text(one.parameters.get(name, "")) for name in varied),
                )
                for one in compared.front
            ],
        ),
        "",
    ]
    best = compared.cheapest(at_least_percent)
    if best is None:
        lines.append(f"No run reaches {at_least_percent:g} % on validation.")
    else:
        lines.append(
            f"Least energy at {at_least_percent:g} % on validation: {best.name}, "
            f"{best.synaptic_events_per_inference:,.0f} synaptic events per inference"
            f"{', answering early' if best.early_exit else ''}. Again:"
        )
        lines.append(f"  {experiment_command({**best.parameters, **best.data}, current)}")
    lines += [f"Not compared: {number} {reason}" for reason, number in compared.left_out.items()]
    return "\n".join(lines) + "\n"


def experiment_command(parameters: Mapping[str, str], current: Mapping[str, object]) -> str:
    """The experiment that repeats a run of some parameters, starting from those of `current`.

    Both by full name; `parameters` as MLflow keeps them, in Python's text of each value.
    """
    settings = [
        # YAML has another word for none.
        f"{name}={'null' if value == 'None' else value.replace(', ', ',')}"
        for name, value in sorted(parameters.items())
        if str(current.get(name)) != value
    ]
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings)])


def front_png(compared: ComparedRuns, at_least_percent: float) -> bytes:
    """The compared runs as a figure: PNG bytes."""
    source = f"{compared.data_title}; {compared.n_runs} runs"
    return figures.accuracy_front(front_file(compared).rows, at_least_percent, source)
