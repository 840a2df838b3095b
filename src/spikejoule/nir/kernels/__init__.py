"""One step of each node of a graph, for blocks of samples (nir/executor.py)."""
