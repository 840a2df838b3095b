"""Compiled event-driven kernels: plain arrays in, plain arrays out.

    jit        how functions are compiled and where the machine code is kept
    vector     inner loops held in vector registers
    encode     pixels to spikes
    forward    spikes through layers of LIF neurons
    backward   gradients through time
    augment    random affine deformations of images
    optimizer  gradient clipping and Adam
    layout     where weights and biases lie in a flat array
    arrays     aligned memory, even parts
    through_time, exponential, emit   further loops in vector registers, and how they are emitted

Nothing here imports torch or checks its arguments; :mod:`spikejoule.encoding` and
:mod:`spikejoule.engine` do that once for every caller.
"""
