"""All commands with their arguments; the modules that run them are imported when they
are called.

PyTorch alone takes seconds, and `spikejoule --help` needs none of it. A command is run
by the function of its name in a module of this package.
"""

import argparse
from pathlib import Path
from typing import Any, Final

from shtab import FILE

STORAGE_VARIABLE: Final = "SPIKEJOULE_SEARCH_STORAGE"
"""Variable of the environment: where studies are, if `--storage` does not say it."""

_CHOICES: Final = {
    "reset": (("zero", "subtract"), "to v_reset, or by v_threshold"),
    "threshold": (("ge", "gt"), "fire at v >= v_threshold, or at v > v_threshold"),
    "current": (
        ("same_step", "next_step"),
        "of CubaLIF, CubaLI: when what arrives moves the potential",
    ),
    "initial": (
        ("zero", "leak", "reset"),
        "where potentials begin, if v_leak or v_reset is not 0",
    ),
}
CONVENTION_OPTIONS: Final = ("dt", *_CHOICES, "pruned")
"""Options that say how a NIR graph is run."""

EXAMPLES: Final = """examples:
  spikejoule energy models/surrogate_snn_checkpoint.pth --profile lemaire-complete
  spikejoule energy models/surrogate_snn_checkpoint.pth --images mnist5k --samples 200
  spikejoule energy models/network.nir --events data/events_test.npz --html energy.html
  spikejoule publish models/network.nir
  spikejoule runs --limit 5
  spikejoule seeds --table seeds.csv
  spikejoule search --trials 100 --workers 4
"""

Parser = argparse.ArgumentParser


def add_commands(commands: Any) -> None:
    """Add every command, with its arguments, to the parser's."""
    _add_inspect(commands)
    _add_energy(commands)
    _add_publish(commands)
    _add_check(commands)
    _add_runs(commands)
    _add_seeds(commands)
    _add_search(commands)


def add_graph_options(parser: Parser) -> None:
    """The options that say what a NIR graph leaves open: how it is run."""
    parser.add_argument(
        "--dt",
        type=float,
        metavar="SECONDS",
        help="duration of one time step (NIR graphs only)",
    )
    for name, (choices, words) in _CHOICES.items():
        parser.add_argument(f"--{name}", choices=choices, help=f"of a graph: {words}")
    parser.add_argument(
        "--pruned",
        action="store_true",
        default=None,
        help="of a graph: a weight of zero is no synapse",
    )


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _slurm_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(
            f"{text} is no OPTION=VALUE, as partition=batch"
        )
    return name.lstrip("-").replace("-", "_"), value


def _command(commands: Any, name: str, module: str, does: str) -> Parser:
    """The parser of a command, which the function of its name in a module runs."""
    examples = [line for line in EXAMPLES.splitlines() if line.split()[1:2] == [name]]
    parser: Parser = commands.add_parser(
        name,
        help=does,
        description=f"{does[0].upper()}{does[1:]}.",
        epilog="\n".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(module=f"spikejoule.cli.{module}", command=name)
    return parser


def _add_path(
    parser: Parser, name: str, words: str, metavar: str = "FILE", **more: Any
) -> None:
    """An argument or option that is a path, which a shell completes."""
    action = parser.add_argument(name, type=Path, metavar=metavar, help=words, **more)
    action.complete = FILE  # type: ignore[attr-defined]


def _add_number(
    parser: Parser, name: str, words: str, default: int | None = None
) -> None:
    """An option that is a whole number of at least 1."""
    parser.add_argument(name, type=positive, metavar="N", default=default, help=words)


def _add_network(parser: Parser) -> None:
    _add_path(parser, "file", "a complete checkpoint, or a NIR graph (GRAPH.nir)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_project(parser: Parser) -> None:
    words = "of the project (default: the working directory)"
    _add_path(parser, "directory", words, "DIRECTORY", nargs="?", default=Path())


def _add_inspect(commands: Any) -> None:
    parser = _command(
        commands, "inspect", "inspecting", "what a checkpoint or graph holds"
    )
    _add_network(parser)


def _add_energy(commands: Any) -> None:
    parser = _command(
        commands,
        "energy",
        "energy",
        "price what the network of a checkpoint or a NIR graph does, in joules",
    )
    _add_network(parser)
    _add_path(parser, "--hardware", "a price file (default: the packaged list)")
    parser.add_argument(
        "--profile",
        metavar="ID",
        help="the price list of the headline (default: the first of scope system, "
        "which includes "
        "memory)",
    )
    parser.add_argument(
        "--images",
        metavar="DIRECTORY|SOURCE",
        help="run it on these test images for accuracy, intervals and classes: a "
        "directory of four "
        "IDX files, an event file, or a source, as mnist5k (default: the means "
        "that the file "
        "records)",
    )
    _add_number(parser, "--samples", "the first N images or events (default: all)")
    _add_path(parser, "--baselines", "compare with what the baseline stage has counted")
    _add_path(parser, "--html", "write the report as a page, too")
    _add_path(parser, "--events", "of a graph: spikes of the input, or an event file")
    _add_number(parser, "--step-us", "of a graph: microseconds of an event file's step")
    parser.add_argument(
        "--against",
        metavar="FILE.py:FUNCTION",
        help="of a graph: compare with this function's conventional network, a "
        "PyTorch module",
    )
    add_graph_options(parser)


def _add_publish(commands: Any) -> None:
    parser = _command(
        commands,
        "publish",
        "runs",
        "record a project's outputs as a run, or a graph as a model, in the MLflow "
        "store",
    )
    words = "of the project, or a graph (default: the working directory)"
    _add_path(parser, "file", words, "DIRECTORY|GRAPH.nir", nargs="?", default=Path())
    add_graph_options(parser)


def _add_check(commands: Any) -> None:
    parser = _command(
        commands, "check", "runs", "fail if the recorded run breaks its limits"
    )
    _add_project(parser)


def _add_runs(commands: Any) -> None:
    parser = _command(
        commands, "runs", "runs", "list a project's recorded runs, the latest first"
    )
    _add_project(parser)
    _add_number(parser, "--limit", "at most so many (default: 20)", 20)


def _add_seeds(commands: Any) -> None:
    parser = _command(
        commands,
        "seeds",
        "runs",
        "average a project's recorded runs over seeds: accuracy against synaptic "
        "events",
    )
    _add_project(parser)
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="of runs of this data, as mnist or mnist5k (default: of the most "
        "frequent)",
    )
    _add_path(parser, "--table", "write means and seeds (CSV)")


def _add_search(commands: Any) -> None:
    parser = _command(
        commands,
        "search",
        "searching",
        "search parameters for a front of validation accuracy and energy",
    )
    _add_project(parser)
    _add_path(parser, "--space", "what is searched (default: search.yaml there)")
    parser.add_argument(
        "--study", metavar="NAME", help="in place of the file's `study`"
    )
    _add_number(parser, "--trials", "in place of the file's `trials`")
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="the study's database, sqlite:///FILE or postgresql://USER@HOST/DATABASE "
        f"(default: ${STORAGE_VARIABLE}, or search.db in the project)",
    )
    _add_number(
        parser,
        "--workers",
        "trainings at once (default: as many as the process may use cores; in Slurm 2)",
    )
    _add_number(parser, "--threads", "cores of a worker (default: 1)", 1)
    _add_number(
        parser,
        "--minutes",
        "Slurm time limit per job; the job is requeued when it expires (default: 60)",
        60,
    )
    _add_number(
        parser,
        "--heartbeat",
        "seconds between a worker's signs of life; one that misses four is taken "
        "for dead "
        "(default: 10)",
        10,
    )
    _add_number(
        parser,
        "--retries",
        "how often a trial is run again whose worker was killed (default: 5)",
        5,
    )
    _add_path(parser, "--table", "write every trial (CSV)")
    parser.add_argument(
        "--cluster",
        choices=("local", "slurm"),
        default="local",
        help="where workers run (default: local)",
    )
    parser.add_argument(
        "--slurm",
        type=_slurm_option,
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        help="a further option of sbatch, as partition=batch (repeatable)",
    )
