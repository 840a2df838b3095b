"""`spikejoule energy GRAPH.nir`: any network given as a graph of NIR."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spikejoule.cli.arguments import json_text, positive
from spikejoule.core.errors import DataError, ParameterError

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis

_OF_CHECKPOINTS = ("images", "baselines", "verdict_profile")
_OF_GRAPHS = (
    "events",
    "step_us",
    "dt",
    "reset",
    "threshold",
    "current",
    "initial",
    "integration",
    "pruned",
    "neurobench",
)


def add_graph_options(parser: argparse.ArgumentParser) -> None:
    """Add what the graph of another writer does not say, and the events to run it on."""
    group = parser.add_argument_group(
        "graphs of NIR",
        "What a graph does not say of how it is run has to be given; one of this project says it.",
    )
    group.add_argument(
        "--events", type=Path, metavar="FILE", help="spikes of the input, or an event file"
    )
    group.add_argument(
        "--step-us",
        type=positive,
        metavar="N",
        help="microseconds of an event file that make one step",
    )
    group.add_argument("--dt", type=float, metavar="SECONDS", help="of one step of the events")
    group.add_argument(
        "--reset", choices=("zero", "subtract"), help="to v_reset, or by v_threshold"
    )
    group.add_argument(
        "--threshold", choices=("ge", "gt"), help="fire at v >= v_threshold, or at v > v_threshold"
    )
    group.add_argument(
        "--current",
        choices=("same_step", "next_step"),
        help="of CubaLIF and CubaLI: when what arrives moves the potential",
    )
    group.add_argument(
        "--initial",
        choices=("zero", "leak", "reset"),
        help="where potentials begin, if v_leak or v_reset is not 0",
    )
    group.add_argument(
        "--integration",
        choices=("euler", "exponential"),
        help="a state keeps 1 - dt/tau of itself in a step (default), or exp(-dt/tau)",
    )
    group.add_argument(
        "--pruned", action="store_true", default=None, help="a weight of zero is no synapse"
    )
    group.add_argument(
        "--neurobench", type=Path, metavar="FILE", help="write NeuroBench's metrics as JSON, too"
    )


def is_graph(options: argparse.Namespace) -> bool:
    """Whether the file is a graph; ParameterError if the other options are of the other kind."""
    graph: bool = options.file.suffix == ".nir"
    names, kind = (_OF_CHECKPOINTS, "checkpoint") if graph else (_OF_GRAPHS, "graph of NIR")
    for name in names:
        if getattr(options, name) is not None:
            raise ParameterError(
                f"--{name.replace('_', '-')} is for a {kind}, which {options.file.name} is not: a "
                "graph's name ends in .nir."
            )
    return graph


def graph_energy(options: argparse.Namespace) -> str:
    """Run the graph on the events, count, price; the text of the command."""
    from spikejoule.cli.graph_events import read_given_events
    from spikejoule.energy import BootstrapSettings, analyse, load_profiles, select_profile
    from spikejoule.energy.from_graph import graph_inputs
    from spikejoule.energy.words import analysis_values, energy_text
    from spikejoule.graphs.conventions import Conventions
    from spikejoule.graphs.nir_in import read_nir
    from spikejoule.graphs.running import run_graph

    if options.events is None:
        raise DataError("--events is needed: a graph is run on the spikes of its input.")
    profiles = load_profiles(options.hardware)
    chosen = select_profile(profiles, options.profile or next(iter(profiles)), "--profile")
    network = read_nir(options.file)
    found = read_given_events(options.events, options.step_us, options.samples)
    given = Conventions(
        dt=options.dt,
        reset=options.reset,
        comparison=options.threshold,
        current=options.current,
        initial=options.initial,
        integration=options.integration or "euler",
        pruned=options.pruned,
    )
    run = run_graph(network, found.events, given)
    inputs = graph_inputs(run, found.title, found.labels, found.subject, found.step_ms)
    inputs = replace(inputs, facts=(*inputs.facts, *found.facts))
    analysis = analyse(inputs, profiles, chosen, chosen, BootstrapSettings())
    if options.html is not None:
        _write_page(options, analysis)
    if options.neurobench is not None:
        from spikejoule.core.store import write_text
        from spikejoule.energy.from_graph import neurobench_results

        write_text(options.neurobench, json_text(neurobench_results(run, inputs)))
    if options.json:
        return json_text({"graph": options.file.name, **analysis_values(analysis)})
    return energy_text(f"Energy of {options.file.name}", analysis)


def _write_page(options: argparse.Namespace, analysis: "EnergyAnalysis") -> None:
    from spikejoule.core.provenance import file_digest
    from spikejoule.core.store import write_text
    from spikejoule.report import PageContent, energy_page

    provenance = tuple(
        (f"{label} {path.name}, SHA-256", file_digest(path, "sha256"))
        for label, path in (("graph", options.file), ("events", options.events))
    )
    write_text(options.html, energy_page(PageContent(analysis, provenance=provenance)))
