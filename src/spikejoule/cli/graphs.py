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
_CHOICES = {
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
_OF_GRAPHS = ("events", "step_us", "dt", *_CHOICES, "pruned", "neurobench")


def add_graph_options(parser: argparse.ArgumentParser) -> None:
    """Add what the graph of another writer does not say, and the events to run it on."""
    add = parser.add_argument_group(
        "graphs of NIR",
        "What a graph does not say of how it is run has to be given; one of this project says it.",
    ).add_argument
    add("--events", type=Path, metavar="FILE", help="spikes of the input, or an event file")
    step = "microseconds of an event file that make one step"
    add("--step-us", type=positive, metavar="N", help=step)
    add("--dt", type=float, metavar="SECONDS", help="of one step of the events")
    for name, (choices, words) in _CHOICES.items():
        add(f"--{name}", choices=tuple(choices.split()), help=words)
    no_synapse = "a weight of zero is no synapse"
    add("--pruned", action="store_true", default=None, help=no_synapse)
    add("--neurobench", type=Path, metavar="FILE", help="write NeuroBench's metrics as JSON, too")


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
    from spikejoule.core.provenance import file_digest
    from spikejoule.energy import BootstrapSettings, analyse, load_profiles, select_profile
    from spikejoule.energy.from_graph import graph_inputs
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
    if options.neurobench is not None:
        from spikejoule.core.store import write_text
        from spikejoule.energy.from_graph import neurobench_results

        write_text(options.neurobench, json_text(neurobench_results(run, inputs)))
    files = {"graph": options.file, "events": options.events}
    provenance = {
        f"{label} {path.name}, SHA-256": file_digest(path, "sha256")
        for label, path in files.items()
    }
    return energy_result(options, "graph", analysis, provenance)


def energy_result(
    options: argparse.Namespace, kind: str, analysis: "EnergyAnalysis", provenance: dict[str, str]
) -> str:
    """What `spikejoule energy` prints of a file of a kind; the page, if one is to be written."""
    from spikejoule.energy.words import analysis_values, energy_text

    if options.html is not None:
        from spikejoule.core.store import write_text
        from spikejoule.report import PageContent, energy_page

        content = PageContent(analysis, provenance=tuple(provenance.items()))
        write_text(options.html, energy_page(content))
    if options.json:
        return json_text({kind: options.file.name, **analysis_values(analysis)})
    return energy_text(f"Energy of {options.file.name}", analysis)
