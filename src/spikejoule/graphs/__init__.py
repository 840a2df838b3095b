"""Networks as graphs of NIR, the exchange format of spiking simulators (https://neuroir.org).

nir_layout       what the metadata of a graph of ours says, for writer and reader
nir_out          a trained network as a graph, and its file

Other people's graphs, which no stage imports:

nir_in           a graph of any writer as a checked `network`; nir_nodes has each of its nodes
conventions      what a graph does not say of how it is run, asked for and checked
order, plan      what is done in a step, in which order, and which edges wait for the next one
dynamics         the constants of a step of neurons
executor         running a plan on events, batch by batch
batch, actions   what nodes give each other in a step; what each does, with this room's kernels
fully_connected  graphs that the event engine runs
windows, counts  fan-outs that are exact to the border; what is counted
running          all of it: a graph and events in, counts out

Source of the format: Pedersen et al., Nature Communications 15, 2024,
doi:10.1038/s41467-024-52259-9.
"""

from spikejoule.graphs.nir_layout import NirMetadata, integers_of, metadata_of
from spikejoule.graphs.nir_out import graph_without_nodes, nir_graph, write_nir

__all__ = [
    "NirMetadata",
    "graph_without_nodes",
    "integers_of",
    "metadata_of",
    "nir_graph",
    "write_nir",
]
