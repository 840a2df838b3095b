"""Tests where PyTorch is not installed: those that need it are skipped, the others
run.
"""

from importlib.util import find_spec

import pytest

# False where PyTorch has no wheel for this Python or no room on this machine.
WITH_TORCH = find_spec("torch") is not None

needs_torch = pytest.mark.skipif(not WITH_TORCH, reason="needs PyTorch")
