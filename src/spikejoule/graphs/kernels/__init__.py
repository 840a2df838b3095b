"""One step of each node of a foreign network, for blocks of samples (graphs/executor.py)."""
