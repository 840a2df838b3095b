"""`python -m benchmarks CASE ...`: measure, print a table, and write JSON where
`--output` says.

    speed    the speed tables: this project's engines, the seed's loop and other
             simulators
    profile  where the event engine's time of training goes
    graphs   foreign graphs, beside NIRTorch
    busy     an epoch with all threads, alone and beside busy processes

`python -m benchmarks CASE --help` lists a case's options, its module says what is
measured and how.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import busy, graphs, profile, speed
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import write_json

# Each is a module with `add_arguments(parser)` and `measure(arguments)`: content and
# table.
CASES = {"speed": speed, "profile": profile, "graphs": graphs, "busy": busy}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the case that the arguments name; 1 with one sentence where that cannot
    be.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split(":")[0]
    )
    commands = parser.add_subparsers(dest="case", required=True, metavar="CASE")
    for name, module in CASES.items():
        command = commands.add_parser(name, description=module.__doc__.splitlines()[0])
        command.add_argument("--output", type=Path, help="a JSON file to write")
        module.add_arguments(command)
        command.set_defaults(measure=module.measure)
    arguments = parser.parse_args(argv)
    try:
        content, table = arguments.measure(arguments)
        print(table)
        if arguments.output is not None:
            write_json(arguments.output, content)
    except SpikejouleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())
