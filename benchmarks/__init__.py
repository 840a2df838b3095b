"""Speed measurements of this project, the seed notebook's loop and other simulators.

Run them with `python -m benchmarks CASE`. Nothing in `src` or `stages` imports them.
"""
