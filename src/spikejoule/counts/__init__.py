"""Counts of a network that ran: one record per node.

records        NodeCounts, and Activity: a network with the counts of its nodes
measurement    the counts of a network, from the spikes or values of its layers
training       the record of a training
proxies        synaptic events and dense operations per inference, for files
kernels        the compiled count of lazy updates
"""
