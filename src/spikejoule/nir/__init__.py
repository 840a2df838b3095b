"""NIR graphs, the exchange format of spiking simulators (https://neuroir.org).

writing       write a trained network as a NIR graph, with metadata

For graphs of any writer, which no stage of the pipeline imports:

reading       read a graph as a `network.imported.ImportedGraph`, its nodes in the order
              of a step
nodes         NIR nodes as nodes of a network, checked
ordering      the order of a step, and the edges of cycles that wait for the next one
conventions   what a graph does not say about how it runs, asked for and checked; step
              constants
options       these conventions as command-line options
executor      run a graph on events, batch by batch, with the kernels of this package
running       a graph and events in, counts out; the event engine runs the layers that
              it can
verification  whether a graph does what its PyTorch model does: the answer, kept next to
              the file

Source of the format: Pedersen et al., Nature Communications 15, 2024,
doi:10.1038/s41467-024-52259-9.
"""
