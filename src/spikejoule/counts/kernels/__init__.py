"""What is counted after inference, compiled: neuron updates of event-driven
hardware.
"""
