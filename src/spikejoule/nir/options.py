"""Command-line options for the conventions of a NIR graph.

Only argparse is imported here: `spikejoule --help` must not wait for NumPy.
"""

import argparse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spikejoule.nir.conventions import Conventions

_CHOICES: Final = {
    "reset": (("zero", "subtract"), "reset to v_reset, or by subtracting v_threshold"),
    "threshold": (("ge", "gt"), "fire at v >= v_threshold, or at v > v_threshold"),
    "current": (
        ("same_step", "next_step"),
        "CubaLIF, CubaLI: when input reaches the potential",
    ),
    "initial": (
        ("zero", "leak", "reset"),
        "initial potential, if v_leak or v_reset is not 0",
    ),
    "readout": (
        ("potential", "max_potential"),
        "answer by the output's largest potential, of the last step or of any",
    ),
}
CONVENTION_OPTIONS: Final = ("dt", *_CHOICES, "pruned")
"""Names of the options."""


def add_convention_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a NIR graph runs."""
    parser.add_argument(
        "--dt",
        type=float,
        metavar="SECONDS",
        help="duration of one time step (NIR graphs only)",
    )
    for name, (choices, words) in _CHOICES.items():
        parser.add_argument(
            f"--{name}", choices=choices, help=f"NIR graphs only: {words}"
        )
    parser.add_argument(
        "--pruned",
        action="store_true",
        default=None,
        help="NIR graphs only: zero weights do not count as synapses",
    )


def chosen_conventions(options: argparse.Namespace) -> "Conventions":
    """Return the conventions that the options state; the rest is None."""
    from spikejoule.nir.conventions import Conventions

    return Conventions(
        dt=options.dt,
        reset=options.reset,
        comparison=options.threshold,
        current=options.current,
        initial=options.initial,
        readout=options.readout,
        pruned=options.pruned,
    )
