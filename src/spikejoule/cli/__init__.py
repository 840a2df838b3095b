"""The command `spikejoule`: what it prints, how it fails, how it starts quickly.

arguments   all commands with their arguments
inspecting  `inspect`
energy      `energy`
playing     `try`
inputs      samples, events, networks and conventions that these are called with
project     `publish`, `check`, `seeds` and `serve`
searching   `search`

Exit status: 0 for success, 1 for an error (one sentence on the standard error), 2 for a
wrong call.
"""

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

import shtab

from spikejoule import __version__
from spikejoule.cli.arguments import EXAMPLES, add_commands
from spikejoule.core.errors import SpikejouleError, printable
from spikejoule.core.extras import extra_of, install
from spikejoule.core.terminal import wrapped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    A wrong call exits with 2 through argparse.
    """
    if arguments is None:
        # This process runs nothing else. Objects made by imports live to its end:
        # Python would search them for garbage again and again, and once more at exit.
        gc.set_threshold(*gc.get_threshold()[:2], 1000)
        atexit.register(gc.freeze)
    options = build_parser().parse_args(arguments)
    status = 1
    try:
        command = resolve_name(options.function)
        sys.stdout.write(printable(_fitting(options, command(options))))
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        # The reader (`head`, say) has ended. Without this, Python would complain when
        # it flushes the standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell reports for a program ended by SIGPIPE
    except OSError as error:  # such as a full disk behind the standard output
        problems = f"{error.strerror or error}."
    except SpikejouleError as error:
        problems = str(error)
    except ModuleNotFoundError as error:
        module, extra = extra_of(error)
        # These need more of another extra than this one module.
        if options.function.startswith("spikejoule.cli.project:"):
            extra = "pipeline"
        elif extra == "nir" and options.file.suffix != ".nir":
            extra = "torch"
        problems = f"`spikejoule {options.command}` needs {module}: {install(extra)}."
    except KeyboardInterrupt:
        problems = "interrupted from the keyboard."
        status = 130
    for line in problems.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return status


def _fitting(options: argparse.Namespace, text: str) -> str:
    """Wrap long lines, but not those of JSON, nor commands to be pasted."""
    is_verbatim = getattr(options, "json", False) or options.command == "search"
    return text if is_verbatim else wrapped(text)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser, which the documentation lists too."""
    parser = argparse.ArgumentParser(
        prog="spikejoule",
        description="Checkpoints, NIR graphs and runs of spiking networks: contents, "
        "spikes, energy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"spikejoule {__version__}"
    )
    shtab.add_argument_to(
        parser, help="print a script that completes commands in that shell"
    )
    add_commands(
        parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    )
    return parser
