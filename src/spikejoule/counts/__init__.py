"""What was counted: one record for each node of a network, whoever ran it.

records        NodeCounts, and Activity: a network with the records of its nodes
measurement    the records of a trained network, from the spikes of its layers
proxies        synaptic events and dense operations per inference
"""
