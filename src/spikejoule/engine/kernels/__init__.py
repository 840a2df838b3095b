"""Compiled event-driven kernels, which take tuples of arrays.

    structures    the named tuples, with shapes
    forward       spikes and constant inputs through layers of LIF neurons
    integer       the same in integers
    deltas        both passes of a sample, up to the gradients of membrane potentials
    backward      the gradient of a batch
    chain         both passes of chains with convolution, pooling and recurrence
    optimizer     gradient clipping, Adam, and rounding to grids
    vector        inner loops over spikes, in vector registers
    through_time  inner loops back through time, and the surrogate derivatives
    patches       inner loops of chains

Nothing here imports PyTorch or checks arguments. :mod:`spikejoule.engine.event` checks
them once for all kernels.
"""
