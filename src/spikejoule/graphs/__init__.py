"""Networks as graphs of NIR, the exchange format of spiking simulators (https://neuroir.org).

nir_layout   what the metadata of a graph of ours says, for writer and reader
nir_out      a trained network as a graph, and its file

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
