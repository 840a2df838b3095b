"""Compiled event-driven kernels: plain arrays in, plain arrays out.

    forward    spikes through layers of LIF neurons
    deltas     both passes of a sample, up to the gradient of its membrane potentials
    backward   gradients of a batch: lanes of samples, weight gradients by source
    optimizer  gradient clipping and Adam
    layout     where weights and biases lie in a flat array
    through_time, derivatives   further loops in vector registers

Nothing here imports torch or checks its arguments; :mod:`spikejoule.engine.event` does that once
for every caller.
"""
