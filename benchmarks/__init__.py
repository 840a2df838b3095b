"""Measurements of this project beside the seed notebook's loop and other simulators.

`python -m benchmarks CASE`; nothing in `src` or `stages` imports this package.
"""
