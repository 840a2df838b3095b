"""Compiled event-driven kernels: plain arrays in, plain arrays out.

    jit        how functions are compiled and where the machine code is kept
    vector     inner loops held in vector registers
    encode     pixels to spikes
    forward    spikes through layers of LIF neurons
    deltas     both passes of a sample, up to the gradient of its membrane potentials
    backward   gradients of a batch: lanes of samples, weight gradients by source
    augment    random affine deformations of images
    optimizer  gradient clipping and Adam
    layout     where weights and biases lie in a flat array
    arrays     aligned memory, even parts
    through_time, derivatives, exponential, emit   further loops in vector registers, and how they
                                                   are emitted

Nothing here imports torch or checks its arguments; :mod:`spikejoule.encoding` and
:mod:`spikejoule.engine` do that once for every caller.
"""
