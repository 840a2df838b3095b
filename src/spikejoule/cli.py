"""The command `spikejoule`: look at complete checkpoints, measure them, report on them.

Exit status: 0 for success, 1 for an error (one sentence on the standard error), 2 for a wrong call.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikejoule import __version__
from spikejoule.errors import DataError, SpikejouleError

if TYPE_CHECKING:
    from spikejoule.data import LabelledImages

# Modules of the library are imported inside the commands: PyTorch alone takes seconds, and
# `spikejoule --help` needs none of it.

DEFAULT_SEED = 42
_BROKEN_PIPE_STATUS = 141  # what a shell reports for a program that SIGPIPE ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (a wrong call exits with 2 through argparse)."""
    options = _parser().parse_args(arguments)
    try:
        text = options.command(options)
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; without this, Python complains while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE_STATUS
    except SpikejouleError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted from the keyboard.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spikejoule",
        description="Complete checkpoints of spiking networks: content, measurement, energy.",
    )
    parser.add_argument("--version", action="version", version=f"spikejoule {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    inspect = _command(commands, "inspect", "print everything that a complete checkpoint holds")
    inspect.set_defaults(command=_inspect)
    measure = _command(
        commands, "measure", "run a complete checkpoint on test images and count its spikes"
    )
    measure.add_argument(
        "--images",
        required=True,
        metavar="DIRECTORY|mnist5k",
        help="a directory of the four IDX files, or the 1,000 test digits of mnist5k",
    )
    measure.add_argument(
        "--samples",
        type=_positive,
        metavar="N",
        help="the first N test images (default: all of them)",
    )
    measure.add_argument(
        "--seed",
        type=_not_negative,
        help="of the Poisson encoding (default: the checkpoint's own, "
        f"or {DEFAULT_SEED} where it records none)",
    )
    measure.set_defaults(command=_measure)
    report = _command(commands, "report", "print the energy proxies of a complete checkpoint")
    report.set_defaults(command=_report)
    return parser


def _command(commands: Any, name: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=description, description=f"{description[0].upper()}{description[1:]}."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a complete checkpoint")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _inspect(options: argparse.Namespace) -> str:
    from spikejoule.checkpoint import read_complete
    from spikejoule.inspect import checkpoint_text, checkpoint_values

    checkpoint = read_complete(options.file)
    if options.json:
        return _json(checkpoint_values(checkpoint))
    return checkpoint_text(options.file.name, checkpoint)


def _report(options: argparse.Namespace) -> str:
    from spikejoule.checkpoint import read_complete
    from spikejoule.errors import ArtifactError
    from spikejoule.inspect import proxies_of, proxies_text

    proxies = proxies_of(read_complete(options.file))
    if proxies is None:
        raise ArtifactError(
            f"{options.file} records no inference spikes of each layer, and the energy proxies "
            "need them: count them with `spikejoule measure`."
        )
    if options.json:
        return _json({"checkpoint": options.file.name, **proxies.as_metrics()})
    return proxies_text(f"Energy proxies of {options.file.name}", proxies)


def _measure(options: argparse.Namespace) -> str:
    from spikejoule.checkpoint import read_complete
    from spikejoule.encoding import draw_key, encode
    from spikejoule.evaluation import evaluate_predictions
    from spikejoule.inspect import proxies_text
    from spikejoule.measurement import measure_network
    from spikejoule.text import number, render, table

    checkpoint = read_complete(options.file)
    title, images = _test_images(options.images, options.samples)
    seed = options.seed
    if seed is None:
        seed = checkpoint.section("spikejoule").get("seed")
    if seed is None:
        seed = DEFAULT_SEED
    events = encode(
        images.images,
        checkpoint.time_window,
        checkpoint.max_rate_hz,
        draw_key(seed, "test", 0),
        images.index,
    )
    measured = measure_network(checkpoint.state, checkpoint.architecture, events)
    accuracy = evaluate_predictions(
        images.labels, measured.predictions, checkpoint.architecture.n_output
    ).overall
    counts, names = measured.counts, checkpoint.architecture.layer_names
    if options.json:
        return _json(
            {
                "checkpoint": options.file.name,
                "data": title,
                "n_samples": len(images),
                "seed": seed,
                "accuracy_percent": accuracy.percent,
                "accuracy_low_percent": accuracy.low_percent,
                "accuracy_high_percent": accuracy.high_percent,
                "spikes_total": counts.totals,
                "spikes_per_inference": counts.means,
                **measured.proxies.as_metrics(),
            }
        )
    rows = [(name, f"{counts.totals[name]:,}", f"{counts.means[name]:,.2f}") for name in names]
    facts = [
        ("images", f"{len(images):,} test images of {title}"),
        ("seed of the encoding", str(seed)),
        (
            "accuracy",
            f"{number(accuracy.percent, 2, ' %')} (95 % interval "
            f"{number(accuracy.low_percent, 2)} to {number(accuracy.high_percent, 2, ' %')})",
        ),
        ("accuracy recorded in the file", number(checkpoint.content.get("test_accuracy"), 2, " %")),
    ]
    return "\n".join(
        [
            render(f"Measured: {options.file.name}", [("Result", facts)]),
            table(("spikes", "total", "per inference"), rows),
            "",
            proxies_text("Energy proxies", measured.proxies),
        ]
    )


def _test_images(source: str, n_samples: int | None) -> "tuple[str, LabelledImages]":
    """The data set's title and its first `n_samples` test images."""
    from spikejoule.sources import load_directory, load_mnist5k

    dataset = load_mnist5k() if source == "mnist5k" else load_directory(Path(source))
    available = len(dataset.test)
    if n_samples is not None and n_samples > available:
        raise DataError(
            f"--samples {n_samples} is more than the {available} test images of {source}."
        )
    return dataset.title, dataset.test.select(slice(n_samples))


def _json(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n"


def _positive(text: str) -> int:
    return _whole_number(text, 1)


def _not_negative(text: str) -> int:
    return _whole_number(text, 0)


def _whole_number(text: str, lowest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if value < lowest:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {lowest}")
    return value


if __name__ == "__main__":
    sys.exit(main())
