"""Compiled event-driven kernels: named tuples of plain arrays in, plain arrays out.

    structures  the named tuples, with their shapes
    forward     spikes and constant currents through layers of LIF neurons
    integer     the same in integers
    deltas      both passes of a sample, up to the gradient of its membrane potentials
    backward    gradients of a batch: lanes of samples, weight gradients by source
    chain       both passes of chains with convolution, pooling and recurrence
    optimizer   gradient clipping, Adam, rounding to grids vector, through_time, patches
    inner loops in vector registers, and the surrogate derivatives

Nothing here imports torch or checks its arguments; :mod:`spikejoule.engine.event`
checks them once for every caller.
"""
