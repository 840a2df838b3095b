"""Fully connected ReLU networks, which run and learn in compiled kernels.

running  the activations of all layers
layout   parameters and values in the arrays of the kernels
kernels  the compiled forward pass, backward pass and optimizer
"""
