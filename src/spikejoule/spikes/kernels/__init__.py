"""The compiled kernel of the encoder: pixels to spikes."""
