"""Compiled event-driven kernels that run a network; they take tuples of arrays.

    structures    the named tuples, with shapes
    forward       spikes and constant inputs through layers of LIF neurons
    vector        the inner loop of `forward`, in vector registers
    chain         the forward pass of chains with convolution, pooling and recurrence
    patches       the inner loops of `chain`
    integer       the forward pass in integers

Nothing here imports PyTorch or checks arguments: the engine checks them once.
"""
