"""What is known of simulators of spiking networks: one file each.

A file is read only where a model has a module of its simulator, and imports nothing of
it: classes go by their names.
"""
