"""The compiled kernel of the deformations."""
