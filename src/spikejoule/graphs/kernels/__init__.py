"""One step of each node of a foreign network, for a batch of samples (graphs/actions.py)."""
