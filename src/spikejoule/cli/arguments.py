"""All commands with their arguments; the modules that run them are imported when they are called.

PyTorch alone takes seconds, and `spikejoule --help` needs none of it. A command is run by the
function of its name.
"""

import argparse
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

DEFAULT_SEED = 42
STORAGE_VARIABLE = "SPIKEJOULE_SEARCH_STORAGE"
"""Variable of the environment: where studies are, if `--storage` does not say it."""

GRAPH_CHOICES = {
    "reset": ("zero subtract", "to v_reset, or by v_threshold"),
    "threshold": ("ge gt", "fire at v >= v_threshold, or at v > v_threshold"),
    "current": (
        "same_step next_step",
        "of CubaLIF and CubaLI: when what arrives moves the potential",
    ),
    "initial": ("zero leak reset", "where potentials begin, if v_leak or v_reset is not 0"),
    "integration": (
        "euler exponential",
        "a state keeps 1 - dt/tau of itself in a step (default), or exp(-dt/tau)",
    ),
}
"""What a graph of NIR may not say: by option, the choices and their meaning."""


def add_commands(commands: Any) -> None:
    """Add every command, with its arguments, to the parser's."""
    _add_checkpoint_commands(commands)
    _add_run_commands(commands)
    _add_search_command(commands)


def _add_checkpoint_commands(commands: Any) -> None:
    _of_checkpoint(commands, "inspect", "print everything that a complete checkpoint holds")
    measure = _of_checkpoint(
        commands, "measure", "run a complete checkpoint on test images and count its spikes"
    )
    given = (
        "a directory of the four IDX files, an event file, or the name of a source: mnist5k has "
    )
    given += "1,000 test digits and needs no network"
    _takes(measure, "--images", str, "DIRECTORY|SOURCE", given, required=True)
    _takes(measure, "--samples", positive, "N", "the first N test images (default: all of them)")
    drawn = "of what the encoding draws (default: the checkpoint's own, or "
    drawn += f"{DEFAULT_SEED} where it records none)"
    _takes(measure, "--seed", not_negative, None, drawn)
    _of_checkpoint(
        commands, "proxies", "print the energy proxies of a complete checkpoint", ["report"]
    )
    energy = _of_checkpoint(
        commands, "energy", "price what the network of a checkpoint or a NIR graph does, in joules"
    )
    _takes(energy, "--hardware", Path, "FILE", "a price file (default: the packaged list)")
    first = "the hardware profile of the headline (default: the first of the price file)"
    _takes(energy, "--profile", str, "ID", first)
    counted = "count the spikes of each of these test images, for intervals and classes (default: "
    counted += "the means that the file records)"
    _takes(energy, "--images", str, "DIRECTORY|SOURCE", counted)
    some = "with --images or --events: the first N of them (default: all of them)"
    _takes(energy, "--samples", positive, "N", some)
    system = "the hardware profile of the verdict (default: the first of scope system)"
    _takes(energy, "--verdict-profile", str, "ID", system)
    others = "compare with the conventional networks that the baseline stage has counted"
    energy.add_argument("--baselines", "--baseline", type=Path, metavar="FILE", help=others)
    _takes(energy, "--html", Path, "FILE", "write the report as a page, too")
    graphs = energy.add_argument_group(
        "graphs of NIR",
        "What a graph does not say of how it is run has to be given; one of this project says it.",
    )
    _takes(graphs, "--events", Path, "FILE", "spikes of the input, or an event file")
    step = "microseconds of an event file that make one step"
    _takes(graphs, "--step-us", positive, "N", step)
    _takes(graphs, "--dt", float, "SECONDS", "of one step of the events")
    for name, (choices, words) in GRAPH_CHOICES.items():
        graphs.add_argument(f"--{name}", choices=choices.split(), help=words)
    no_synapse = "a weight of zero is no synapse"
    graphs.add_argument("--pruned", action="store_true", default=None, help=no_synapse)
    _takes(graphs, "--neurobench", Path, "FILE", "write NeuroBench's metrics as JSON, too")


def _add_run_commands(commands: Any) -> None:
    _of_project(
        commands,
        "publish",
        "record the run that a project's outputs stand for in its MLflow store",
    )
    _of_project(
        commands, "check", "fail if the recorded run needs more energy, or is worse, than allowed"
    )
    front = _of_project(
        commands, "front", "compare a project's recorded runs: accuracy against synaptic events"
    )
    _compares(front, "every run")
    least = "validation accuracy whose least energy is asked for (default: 98)"
    _takes(front, "--at-least", float, "PERCENT", least, default=98.0)
    _takes(front, "--figure", Path, "FILE", "write the figure (PNG)")
    verdict = _of_project(
        commands,
        "verdict",
        "which side needs less energy at equal accuracy, over a project's recorded runs",
    )
    _compares(verdict, "every pair")
    _takes(verdict, "--fronts", Path, "FILE", "write both Pareto fronts (CSV)")
    seeds = _of_project(
        commands, "seeds", "average a project's recorded runs that differ in their seed alone"
    )
    _compares(seeds, "the means")
    version = _command(
        commands,
        "version",
        "runs",
        "show where a version of the model comes from, and how to restore it",
    )
    given = "models:/surrogate-snn/N, models:/surrogate-snn@champion, or a complete checkpoint"
    version.add_argument("reference", metavar="VERSION|FILE", help=given)
    _takes(version, "--directory", Path, "DIRECTORY", _PROJECT, default=Path())
    version.add_argument("--json", action="store_true", help=_JSON)


def _add_search_command(commands: Any) -> None:
    search = _of_project(
        commands,
        "search",
        "search parameters for a front of validation accuracy and energy",
        "searching",
    )
    given = "what is searched (default: search.yaml of the project)"
    _takes(search, "--space", Path, "FILE", given)
    _takes(search, "--study", str, "NAME", "in place of the file's `study`")
    _takes(search, "--trials", positive, "N", "in place of the file's `trials`")
    where = "the study's database, sqlite:///FILE or postgresql://USER@HOST/DATABASE (default: "
    where += f"${STORAGE_VARIABLE}, or search.db in the project)"
    _takes(search, "--storage", str, "URL", where)
    many = "trainings at once (default: as many as the process may use cores; in Slurm 2)"
    _takes(search, "--workers", positive, "N", many)
    _takes(search, "--threads", positive, "N", "cores of a worker (default: 1)", default=1)
    _takes(search, "--partition", str, "NAME", "of Slurm (default: its own default)")
    long = "that a job of Slurm may take before it is queued again (default: 60)"
    _takes(search, "--minutes", positive, "N", long, default=60)
    beat = "how often a worker reports that it lives; after four times that it is taken for dead "
    beat += "(default: 10)"
    _takes(search, "--heartbeat", positive, "SECONDS", beat, default=10)
    again = "how often a trial is run again whose worker was killed (default: 5)"
    _takes(search, "--retries", positive, "N", again, default=5)
    _takes(search, "--figure", Path, "FILE", "write the front (PNG)")
    _takes(search, "--table", Path, "FILE", "write every trial (CSV)")
    where = "where workers run (default: local)"
    search.add_argument("--cluster", choices=("local", "slurm"), default="local", help=where)
    further = "a further option of sbatch, as account=biology (repeatable)"
    _takes(search, "--slurm", _slurm_option, "OPTION=VALUE", further, action="append", default=[])


_PROJECT = "of the project (default: the working directory)"
_JSON = "print JSON"


def _command(
    commands: Any, name: str, module: str, description: str, earlier_names: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A command that a module of this package runs.

    It goes by `earlier_names`, too, which it had in another version.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        aliases=earlier_names,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
    )

    def run(options: argparse.Namespace) -> str:
        text: str = getattr(import_module(f"spikejoule.cli.{module}"), name)(options)
        return text

    parser.set_defaults(command=run)
    return parser


def _of_checkpoint(
    commands: Any, name: str, description: str, earlier_names: Sequence[str] = ()
) -> argparse.ArgumentParser:
    parser = _command(commands, name, "checkpoints", description, earlier_names)
    graph = ", or a graph of NIR (GRAPH.nir)" if name == "energy" else ""
    _takes(parser, "file", Path, "FILE", f"a complete checkpoint{graph}")
    parser.add_argument("--json", action="store_true", help=_JSON)
    return parser


def _of_project(
    commands: Any, name: str, description: str, module: str = "runs"
) -> argparse.ArgumentParser:
    parser = _command(commands, name, module, description)
    _takes(parser, "directory", Path, "DIRECTORY", _PROJECT, nargs="?", default=Path())
    return parser


def _compares(parser: argparse.ArgumentParser, rows: str) -> None:
    """Recorded runs of the same images are compared."""
    data = "of runs of this data, as mnist or mnist5k (default: of the most frequent)"
    _takes(parser, "--data", str, "SOURCE", data)
    _takes(parser, "--table", Path, "FILE", f"write {rows} (CSV)")


def _takes(
    parser: Any, name: str, kind: Any, metavar: str | None, words: str, **further: Any
) -> None:
    parser.add_argument(name, type=kind, metavar=metavar, help=words, **further)


def json_text(values: dict[str, Any]) -> str:
    """Sorted and indented JSON with a final newline."""
    text = json.dumps(values, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n"


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return not_negative(text, 1)


def not_negative(text: str, lowest: int = 0) -> int:
    """A whole number of at least 0, or another lowest one."""
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if value < lowest:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {lowest}")
    return value


def _slurm_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is no OPTION=VALUE, as account=biology")
    return name.lstrip("-").replace("-", "_"), value
