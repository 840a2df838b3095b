"""Compiled event-driven kernels that train a network; they take tuples of arrays.

    structures    the named tuples that only training needs
    deltas        both passes of a sample, up to the gradients of membrane potentials
    backward      the gradient of a batch
    chain         the same for chains with convolution, pooling and recurrence
    sampling      which deltas travel back
    optimizer     gradient clipping, Adam, and rounding to grids
    vector        inner loops of weight gradients, in vector registers
    through_time  inner loops back through time, and the surrogate derivatives
    patches       inner loops of chains

Nothing here imports PyTorch or checks arguments: the trainer checks them once.
"""
