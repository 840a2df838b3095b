"""The compiled kernels of the encoders: pixels to spikes."""
