"""Spike-driven digit recognition whose every spike is counted and priced in joules.

MNIST images become lists of spike events (`encoding`), a network of leaky integrate-and-fire
neurons learns from them (`training`), every spike is counted (`counting`), and the counts become
energy figures (`energy`).

Nothing heavy is imported here: take what you need from the submodules.
"""

from spikejoule.foundation.version import __version__

__all__ = ["__version__"]
