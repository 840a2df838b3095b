"""Networks as graphs of NIR, the exchange format of spiking simulators (https://neuroir.org).

nir_out      a trained network as a graph, its metadata, and its file

Other people's graphs, which no stage imports:

nir_in       a graph of any writer as a `network.network.Network`, nodes in the order of a step
conventions  what a graph does not say of how it is run, asked for and checked; constants of a step
executor     running it on events, batch by batch, with this package's kernels
running      all of it: a graph and events in, counts out; some are run by the event engine

Source of the format: Pedersen et al., Nature Communications 15, 2024,
doi:10.1038/s41467-024-52259-9.
"""
