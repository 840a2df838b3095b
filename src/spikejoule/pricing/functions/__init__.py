"""PyTorch functions that run outside counted modules."""
