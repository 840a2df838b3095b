"""`price_graph`: count and price a NIR graph in one call."""

import warnings
from dataclasses import replace

from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.from_counts import SampleSet
from spikejoule.compare.from_graph import graph_inputs
from spikejoule.encoding.events import EventList
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import headline_profile, load_profiles
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import Graph, run_graph
from spikejoule.report.graph_notes import graph_notes
from spikejoule.report.notes import cautions, sentence


def price_graph(
    graph: Graph,
    events: EventList,
    conventions: Conventions | None = None,
    samples: SampleSet | None = None,
    profile: str | None = None,
) -> EnergyAnalysis:
    """Run a NIR graph on events, count, and price under the packaged price lists.

    Args:
        graph: a graph in memory, or from `spikejoule.nir.reading.read_nir`, which also
            reads files that the nir package refuses.
        events: input spikes, N samples of T steps.
        conventions: how to run the graph, where it does not say.
        samples: title and labels of the samples.
        profile: id of the headline's price list; None for the first that includes
            memory.

    Raises:
        ArtifactError, ParameterError, DataError: see `run_graph` and `graph_inputs`.
    """
    profiles = load_profiles(None)
    chosen = headline_profile(profiles, profile, "profile")
    run = run_graph(graph, events, conventions)
    inputs = graph_inputs(run, samples or SampleSet())
    inputs = replace(inputs, notes=tuple(graph_notes(run)))
    for note in cautions(inputs):
        warnings.warn(sentence(note, with_label=False), stacklevel=2)
    return analyse(inputs, profiles, chosen, None, BootstrapSettings())
