"""What a search found: its runs, its table, and a command for each point.

Everything here was measured on validation images. The pipeline measures a point on test
images when its command is run.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from spikejoule.compare.front import pareto_front
from spikejoule.params import Params
from spikejoule.search.attributes import ENDED, number_of
from spikejoule.search.entries import FAMILY
from spikejoule.search.space import Search
from spikejoule.tracking.groups import Trial
from spikejoule.tracking.tables import Column, frame_text

ACCURACY: Final = "validation_accuracy_percent"
ENERGY: Final = "energy_nj_per_inference"


def recorded(trial: Any) -> Trial:
    """Arrange a trained trial as a run."""
    ended = trial.user_attrs[ENDED]
    return Trial(
        name=f"trial {number_of(trial)}",
        parameters=ended["parameters"],
        # MLflow's saved view shows `accuracy_val`.
        metrics={"accuracy_val": ended["metrics"][ACCURACY], **ended["metrics"]},
    )


def found_table(trials: Sequence[Any], search: Search, current: Params) -> pd.DataFrame:
    """Make a table of the trained trials, a row each, the cheapest first.

    Its columns, as in the file of --table: `trial`, its number in the study;
    `on_front`, whether no other trial is as accurate for as little energy; its metrics;
    `trained_sha256`, the digest of `models/trained.pth` after the command; `command`,
    the experiment that repeats it, starting from `current`, the params.yaml of now; and
    the searched parameters, as text.
    """
    current_text = {key: str(value) for key, value in current.flattened().items()}
    # A run's conventional networks belong to families with parameters of their own.
    family = FAMILY if search.space.side == "conventional" else ()
    # `dvc exp run` leaves its settings in params.yaml. Every command sets all of these,
    # so that commands can follow each other in any order.
    always = {*search.space.entries, *search.settings.fixed, *family}
    rows = []
    for trial in trials:
        ended = trial.user_attrs[ENDED]
        parameters = {key: str(value) for key, value in ended["parameters"].items()}
        rows.append(
            {
                "trial": number_of(trial),
                **ended["metrics"],
                "processor_seconds": round(ended["processor_seconds"], 1),
                "trained_sha256": ended["trained_sha256"],
                "command": experiment_command(parameters, current_text, always),
                **{key: parameters[key] for key in search.space.entries},
            }
        )
    table = pd.DataFrame(rows).sort_values([ENERGY, "trial"], ignore_index=True)
    front = pareto_front(table[ENERGY].tolist(), table[ACCURACY].tolist())
    table.insert(1, "on_front", [int(on_front) for on_front in front])
    return table


def experiment_command(
    parameters: Mapping[str, str],
    current: Mapping[str, object],
    always: Collection[str] = (),
) -> str:
    """Write the `dvc exp run` command that repeats a run.

    Args:
        parameters: all parameters by full name, as Python's text of each value.
        current: the parameters in params.yaml, by full name.
        always: names to set even where the value is the current one, which another
            experiment may change.
    """
    words = ["dvc exp run"]
    for name, value in sorted(parameters.items()):
        if name in always or str(current.get(name)) != value:
            # None is null in YAML, and a list must be one word.
            text = "null" if value == "None" else value.replace(", ", ",")
            words.append(f"-S {shlex.quote(f'{name}={text}')}")
    return " ".join(words)


def front_text(table: pd.DataFrame, energy: str) -> str:
    """Format the Pareto front, with a command for each point.

    Args:
        table: as by `found_table`.
        energy: id of the price list.
    """
    front = table[table["on_front"] == 1]
    columns: dict[str, Column] = {
        "trial": ("trial", "d"),
        ACCURACY: ("validation %", ".2f"),
        ENERGY: ("nJ", ",.4g"),
        "synaptic_events_per_inference": ("synaptic events", ",.0f"),
        "macs_per_inference": ("MACs", ",.0f"),
    }
    shown = {name: column for name, column in columns.items() if name in table}
    minutes = table["processor_seconds"].sum() / 60
    commands = [f"  {command}" for command in front["command"]]
    return "\n".join(
        [
            f"On the front of validation accuracy and energy under {energy}, both per "
            "inference on the validation set:",
            "",
            frame_text(front, shown),
            "",
            f"{len(table)} trials took {minutes:.1f} processor minutes.",
            "Commands that repeat them in the pipeline, with the same weights:",
            *commands,
            "",
        ]
    )
