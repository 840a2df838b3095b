"""The compiled kernel of the neuron updates."""
