"""`python -m benchmarks CASE`: measure, print a table, write JSON to `--output`.

    speed    the speed tables: both engines, the seed's loop and other simulators
    growth   how the time of training grows with width, depth, steps, rate, images
    profile  where the training time of the event engine goes
    graphs   NIR graphs, compared with NIRTorch
    pricing  `spikejoule.price`, compared with a model's own forward pass
    accelerate  a training loop with `spikejoule.accelerate`, and without
    accuracy    what that loop learns, with and without
    track    a training loop inside `spikejoule.track`, and outside

`python -m benchmarks CASE --help` lists the options of a case; its module says what is
measured and how.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    accelerate,
    accuracy,
    graphs,
    growth,
    pricing,
    profile,
    speed,
    track,
)
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import write_json

# Each module offers `add_arguments(parser)` and `measure(arguments)`, which returns the
# content of the JSON file and the table.
CASES = {
    "speed": speed,
    "growth": growth,
    "profile": profile,
    "graphs": graphs,
    "pricing": pricing,
    "accelerate": accelerate,
    "accuracy": accuracy,
    "track": track,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one case; return 1, with one sentence on stderr, if that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split(":")[0]
    )
    commands = parser.add_subparsers(dest="case", required=True, metavar="CASE")
    for name, module in CASES.items():
        command = commands.add_parser(name, description=module.__doc__.splitlines()[0])
        command.add_argument("--output", type=Path, help="JSON file to write")
        command.add_argument(
            "--allow-load", action="store_true", help="measure beside other processes"
        )
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
