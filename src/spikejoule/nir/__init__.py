"""NIR graphs, the exchange format of spiking simulators (https://neuroir.org).

writing       write a trained network as a NIR graph, with metadata

For graphs of any writer, which no stage of the pipeline imports:

reading       read a graph as a `network.imported.ImportedGraph`, its nodes in the order
              of a step
nodes         check NIR nodes, and make nodes of a network of them
ordering      the order of a step, and the edges of cycles that wait for the next step
conventions   what a graph does not say about how it runs, asked for and checked;
              constants of a step
options       the conventions as command-line options
executor      run a graph on events, batch by batch
batch         the arrays of a batch, and its counts
steps         a node's part of a step, with the kernels of this package
graph_run     the result
running       a graph and events in, counts out; a plain chain runs in the event engine
verification  whether a graph does what its PyTorch model does, kept next to the file

Source of the format: Pedersen et al., Nature Communications 15, 2024,
doi:10.1038/s41467-024-52259-9.
"""
