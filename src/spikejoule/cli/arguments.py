"""All commands with their arguments; the modules that run them are imported when they are called.

PyTorch alone takes seconds, and `spikejoule --help` needs none of it. A command is run by the
function of its name in the module that the table `COMMANDS` names.
"""

import argparse
from pathlib import Path
from typing import Any

from shtab import FILE

DEFAULT_SEED = 42
STORAGE_VARIABLE = "SPIKEJOULE_SEARCH_STORAGE"
"""Variable of the environment: where studies are, if `--storage` does not say it."""

GRAPH_CHOICES = {
    "reset": ("zero subtract", "to v_reset, or by v_threshold"),
    "threshold": ("ge gt", "fire at v >= v_threshold, or at v > v_threshold"),
    "current": ("same_step next_step", "of CubaLIF, CubaLI: when what arrives moves the potential"),
    "initial": ("zero leak reset", "where potentials begin, if v_leak or v_reset is not 0"),
}
"""What a graph of NIR may not say: by option, the choices and their meaning."""


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _slurm_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is no OPTION=VALUE, as partition=batch")
    return name.lstrip("-").replace("-", "_"), value


Argument = tuple[str, dict[str, Any]]


def _takes(name: str, kind: Any, metavar: str | None, words: str, **further: Any) -> Argument:
    return name, {"type": kind, "metavar": metavar, "help": words, **further}


_NETWORK = _takes("file", Path, "FILE", "a complete checkpoint, or a graph of NIR (GRAPH.nir)")
_JSON: Argument = ("--json", {"action": "store_true", "help": "print JSON"})
_PROJECT = _takes(
    "directory", Path, "DIRECTORY", "of the project (default: the working directory)",
    nargs="?", default=Path(),
)  # fmt: skip
_DATA = _takes(
    "--data", str, "SOURCE", "of runs of this data, as mnist or mnist5k (default: of the most "
    "frequent)",
)  # fmt: skip


OF_A_GRAPH: tuple[Argument, ...] = (
    _takes("--dt", float, "SECONDS", "of a graph: of one step of the events"),
    *(
        (f"--{name}", {"choices": choices.split(), "help": f"of a graph: {words}"})
        for name, (choices, words) in GRAPH_CHOICES.items()
    ),
    ("--pruned", {"action": "store_true", "default": None,
                  "help": "of a graph: a weight of zero is no synapse"}),
)  # fmt: skip


def _table(rows: str) -> Argument:
    return _takes("--table", Path, "FILE", f"write {rows} (CSV)")


COMMANDS: dict[str, tuple[str, str, tuple[Argument, ...]]] = {
    "inspect": ("networks", "what a checkpoint or graph holds", (_NETWORK, _JSON)),
    "energy": (
        "networks",
        "price what the network of a checkpoint or a NIR graph does, in joules", (
            _NETWORK,
            _JSON,
            _takes("--hardware", Path, "FILE", "a price file (default: the packaged list)"),
            _takes("--profile", str, "ID", "the price list of the headline (default: the "
                   "first of scope system, which includes memory)"),
            _takes("--images", str, "DIRECTORY|SOURCE", "run it on these test images for accuracy, "
                   "intervals and classes: a directory of four IDX files, an event file, or a "
                   "source, as mnist5k (default: the means that the file records)"),
            _takes("--samples", positive, "N", "the first N images or events (default: all)"),
            _takes("--baselines", Path, "FILE", "compare with what the baseline stage has counted"),
            _takes("--html", Path, "FILE", "write the report as a page, too"),
            _takes("--events", Path, "FILE", "of a graph: spikes of the input, or an event file"),
            _takes("--step-us", positive, "N", "of a graph: microseconds of an event file's step"),
            _takes("--against", str, "FILE.py:FUNCTION", "of a graph: compare with this "
                   "function's conventional network, a module of torch"),
            *OF_A_GRAPH,
        ),
    ),
    "publish": (
        "runs", "record a project's outputs as a run, or a graph as a model, in the MLflow store", (
            _takes("file", Path, "DIRECTORY|GRAPH.nir", "of the project, or a graph (default: the "
                   "working directory)", nargs="?", default=Path()),
            *OF_A_GRAPH,
        ),
    ),
    "check": ("runs", "fail if the recorded run breaks its limits", (_PROJECT,)),
    "runs": (
        "runs", "list a project's recorded runs, the latest first", (
            _PROJECT,
            _takes("--limit", positive, "N", "at most so many (default: 20)", default=20),
        ),
    ),
    "seeds": (
        "runs", "average a project's recorded runs over seeds: accuracy against synaptic events",
        (_PROJECT, _DATA, _table("means and seeds")),
    ),
    "search": (
        "searching", "search parameters for a front of validation accuracy and energy", (
            _PROJECT,
            _takes("--space", Path, "FILE", "what is searched (default: search.yaml there)"),
            _takes("--study", str, "NAME", "in place of the file's `study`"),
            _takes("--trials", positive, "N", "in place of the file's `trials`"),
            _takes("--storage", str, "URL", "the study's database, sqlite:///FILE or "
                   f"postgresql://USER@HOST/DATABASE (default: ${STORAGE_VARIABLE}, or search.db "
                   "in the project)"),
            _takes("--workers", positive, "N", "trainings at once (default: as many as the process "
                   "may use cores; in Slurm 2)"),
            _takes("--threads", positive, "N", "cores of a worker (default: 1)", default=1),
            _takes("--minutes", positive, "N", "that a job of Slurm may take before it is queued "
                   "again (default: 60)", default=60),
            _takes("--heartbeat", positive, "SECONDS", "how often a worker reports that it lives; "
                   "after four times that it is taken for dead (default: 10)", default=10),
            _takes("--retries", positive, "N", "how often a trial is run again whose worker was "
                   "killed (default: 5)", default=5),
            _table("every trial"),
            ("--cluster", {"choices": ("local", "slurm"), "default": "local",
                           "help": "where workers run (default: local)"}),
            _takes("--slurm", _slurm_option, "OPTION=VALUE", "a further option of sbatch, as "
                   "partition=batch (repeatable)", action="append", default=[]),
        ),
    ),
}  # fmt: skip
"""By name, the module of this package that runs a command, what it does, and what it takes."""


EXAMPLES = """examples:
  spikejoule energy models/surrogate_snn_checkpoint.pth --profile lemaire-complete
  spikejoule energy models/surrogate_snn_checkpoint.pth --images mnist5k --samples 200
  spikejoule energy models/network.nir --events data/events_test.npz --html energy.html
  spikejoule publish models/network.nir
  spikejoule runs --limit 5
  spikejoule seeds --table seeds.csv
  spikejoule search --trials 100 --workers 4
"""


def add_commands(commands: Any) -> None:
    """Add every command, with its arguments, to the parser's."""
    for name, (module, does, arguments) in COMMANDS.items():
        examples = [line for line in EXAMPLES.splitlines() if line.split()[1:2] == [name]]
        parser = commands.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.",
            epilog="\n".join(examples), formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        for argument, settings in arguments:
            added = parser.add_argument(argument, **settings)
            if settings.get("type") is Path:
                added.complete = FILE
        parser.set_defaults(module=f"spikejoule.cli.{module}", command=name)
