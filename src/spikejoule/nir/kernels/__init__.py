"""One step of each node of a foreign network, for blocks of samples
(nir/executor.py).
"""
