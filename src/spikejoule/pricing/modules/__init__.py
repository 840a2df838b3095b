"""Modules of a model: what each is, and how it is counted."""
