"""Compiled counts of a finished run: neuron updates of event-driven hardware."""
