"""Simulators of spiking networks, one file each.

A file is imported only for a model with modules of its simulator. It does not import
the simulator: it recognises classes by their names.
"""
