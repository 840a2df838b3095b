"""Measurements of this project beside the seed notebook's loop and other simulators.

Nothing in `src` or `stages` imports this package. `python -m benchmarks.speed` compares whole
training and inference jobs, `python -m benchmarks.growth` follows the two engines over network
size, window, rate and batch size.
"""
