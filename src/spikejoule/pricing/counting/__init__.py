"""Counts: what enters layers, what products compute, what units emit."""
