"""Speed of this project, the original notebook's loop and other simulators.

Run them with `python -m benchmarks CASE`. Nothing in `src` or `stages` imports them.
"""
