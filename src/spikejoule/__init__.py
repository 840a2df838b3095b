"""Spike-driven digit recognition whose every spike is counted and priced in joules.

Images (`data`) become lists of spike events (`encoding`), a network of leaky integrate-and-fire
neurons (`model`, `engine`) learns from them (`training`), every spike is counted (`evaluation`),
and the counts become energy figures (`energy`).

Nothing heavy is imported here: take what you need from the packages.
"""

__version__ = "0.1.0"
