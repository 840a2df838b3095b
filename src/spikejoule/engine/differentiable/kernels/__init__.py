"""Compiled kernels of the differentiable engine; they take tuples of arrays.

    structures  the named tuples, with shapes
    neurons     the inner loops of neurons, forward and backward through time
    synapses    the inner loops of synapses that those of the engine lack
    forward     the forward pass of a lane of samples
    backward    the backward pass of a lane of samples
    packing     weights into the flat array, and gradients out of it

Nothing here imports PyTorch or checks arguments.
"""
