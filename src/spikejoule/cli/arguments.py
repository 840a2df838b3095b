"""All commands with their arguments.

Each command names the function of this package that runs it. Its module is imported
only when the command runs, because importing PyTorch alone takes seconds; so this
module imports nothing heavy.
"""

import argparse
from pathlib import Path
from typing import Any, Final

from shtab import FILE

from spikejoule.nir.options import add_convention_options

STORAGE_VARIABLE: Final = "SPIKEJOULE_SEARCH_STORAGE"
"""Environment variable that sets the default of `--storage`."""

EXAMPLES: Final = """examples:
  spikejoule energy models/surrogate_snn_checkpoint.pth --profile lemaire-complete
  spikejoule energy models/surrogate_snn_checkpoint.pth --images mnist5k --samples 200
  spikejoule energy models/network.nir --events data/events_test.npz --html energy.html
  spikejoule try models/surrogate_snn_checkpoint.pth --baselines results/baseline.npz
  spikejoule seeds --table seeds.csv
  spikejoule serve models:/surrogate-snn/1 --port 5001
  spikejoule search --trials 100 --workers 4
"""

Parser = argparse.ArgumentParser


def add_commands(commands: Any) -> None:
    """Add every command, with its arguments."""
    words = "show the contents of a checkpoint or graph"
    inspect = _command(commands, "inspect", "inspecting:inspect", words)
    _add_network(inspect)
    words = "show every entry, not an outline"
    inspect.add_argument("--all", action="store_true", help=words)
    _add_energy(commands)
    _add_try(commands)
    words = "record a project's outputs as an MLflow run"
    _add_project(_command(commands, "publish", "project:publish", words))
    words = "fail if the recorded run breaks a limit in params.yaml"
    _add_project(_command(commands, "check", "project:check", words))
    _add_seeds(commands)
    _add_serve(commands)
    _add_search(commands)


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _port(text: str) -> int:
    """Parse the number of a port."""
    if (number := positive(text)) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65535")
    return number


def _slurm_option(text: str) -> tuple[str, str]:
    """Parse OPTION=VALUE; the option as submitit names it, with underscores."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(
            f"{text} is not of the form OPTION=VALUE, such as partition=batch"
        )
    return name.lstrip("-").replace("-", "_"), value


def _command(commands: Any, name: str, function: str, does: str) -> Parser:
    """Add a command, which a function of this package runs: `module:function`.

    `does` is its help text. The lines of `EXAMPLES` that call it follow its options.
    """
    examples = [line for line in EXAMPLES.splitlines() if line.split()[1:2] == [name]]
    parser: Parser = commands.add_parser(
        name,
        help=does,
        description=f"{does[0].upper()}{does[1:]}.",
        epilog="\n".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=name, function=f"spikejoule.cli.{function}")
    return parser


def _add_path(
    parser: Parser, name: str, words: str, metavar: str = "FILE", **more: Any
) -> None:
    """Add an argument or option that is a path; shells complete it with file names."""
    action = parser.add_argument(name, type=Path, metavar=metavar, help=words, **more)
    action.complete = FILE  # type: ignore[attr-defined]


def _add_number(
    parser: Parser, name: str, words: str, default: int | None = None
) -> None:
    """Add an option that is a whole number of at least 1."""
    parser.add_argument(name, type=positive, metavar="N", default=default, help=words)


def _add_network(parser: Parser) -> None:
    """Add the file of the network, and `--json`."""
    _add_path(parser, "file", "a complete checkpoint, or a NIR graph (GRAPH.nir)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_project(parser: Parser) -> None:
    """Add the project's folder."""
    words = "project folder (default: the working directory)"
    _add_path(parser, "directory", words, "DIRECTORY", nargs="?", default=Path())


def _add_energy(commands: Any) -> None:
    parser = _command(
        commands,
        "energy",
        "energy:energy",
        "estimate the energy of a checkpoint or a NIR graph, in joules",
    )
    _add_network(parser)
    _add_path(parser, "--hardware", "a price file (default: the packaged list)")
    parser.add_argument(
        "--profile",
        metavar="ID",
        help="price list of the headline (default: the first with scope system, "
        "which includes memory)",
    )
    parser.add_argument(
        "--images",
        metavar="DIRECTORY|SOURCE",
        help="run the network on these test images for accuracy, intervals and "
        "classes: a folder with four IDX files, an event file, or a source such as "
        "mnist5k (default: use the counts stored in the file)",
    )
    _add_number(parser, "--samples", "use the first N samples only (default: all)")
    _add_path(
        parser,
        "--baselines",
        "compare with the networks in results/baseline.npz of a pipeline run",
    )
    _add_path(parser, "--html", "also write the report as an HTML page")
    _add_path(
        parser,
        "--events",
        "NIR graphs only: input spikes written by save_events, or an event file",
    )
    _add_number(
        parser, "--step-us", "NIR graphs only: microseconds per step of an event file"
    )
    parser.add_argument(
        "--against",
        metavar="FILE.py:FUNCTION",
        help="NIR graphs only: compare with the conventional network (a PyTorch "
        "module) that this function returns",
    )
    add_convention_options(parser)


def _add_try(commands: Any) -> None:
    words = "write a page for drawing digits that a checkpoint's network classifies"
    parser = _command(commands, "try", "playing:write_page", words)
    _add_path(parser, "file", "a complete checkpoint")
    parser.add_argument(
        "--images",
        metavar="DIRECTORY|SOURCE",
        help="test images to choose from, and to average over: a folder with four IDX "
        "files, or a source such as mnist5k (default: those of the network's data)",
    )
    _add_path(
        parser, "--baselines", "compare with the networks counted by the baseline stage"
    )
    _add_path(parser, "--hardware", "a price file (default: the packaged list)")
    parser.add_argument(
        "--profile", metavar="ID", help="price list that is shown first"
    )
    words = "where to write it (default: try.html)"
    _add_path(parser, "--html", words, default=Path("try.html"))


def _add_seeds(commands: Any) -> None:
    parser = _command(
        commands,
        "seeds",
        "project:seeds",
        "average a project's recorded runs over seeds: accuracy against synaptic "
        "events",
    )
    _add_project(parser)
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="only runs on this data, such as mnist5k (default: the most common)",
    )
    _add_path(parser, "--table", "also write the table, with a row for each seed (CSV)")


def _add_serve(commands: Any) -> None:
    parser = _command(
        commands,
        "serve",
        "project:serve",
        "answer HTTP requests with a version of a project's model",
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        default="models:/surrogate-snn@champion",
        help="MLflow's URI of the version (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=5001,
        help="port on this machine's loopback interface (default: %(default)s)",
    )


def _add_search(commands: Any) -> None:
    parser = _command(
        commands,
        "search",
        "searching:search",
        "search parameters for a Pareto front of validation accuracy and energy",
    )
    _add_project(parser)
    _add_path(
        parser,
        "--space",
        "file with the search space (default: search.yaml in the project)",
    )
    parser.add_argument(
        "--study", metavar="NAME", help="name of the study (overrides the file)"
    )
    _add_number(parser, "--trials", "number of trials (overrides the file)")
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="the study's database, sqlite:///FILE or postgresql://USER@HOST/DATABASE "
        f"(default: ${STORAGE_VARIABLE}, or search.db in the project)",
    )
    _add_number(
        parser,
        "--workers",
        "parallel workers (default: one per available core; 2 on Slurm)",
    )
    _add_number(parser, "--threads", "cores per worker (default: 1)", 1)
    _add_number(
        parser,
        "--minutes",
        "Slurm time limit per job; the job is requeued when it expires (default: 60)",
        60,
    )
    _add_path(parser, "--table", "also write a table of all trained trials (CSV)")
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
        help="a further sbatch option, such as partition=batch (repeatable)",
    )
