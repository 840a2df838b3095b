"""Counts of a network that ran: one record per node.

records        NodeCounts, and Activity: a network with the counts of its nodes
measurement    the counts of a trained network, from the spikes of its layers
values         the counts of a conventional network, from its activations
proxies        synaptic events and dense operations per inference
kernels        the compiled count of lazy updates
"""
