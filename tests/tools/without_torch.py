"""Skips tests that need PyTorch where it is not installed."""

from importlib.util import find_spec

import pytest

WITH_TORCH = find_spec("torch") is not None

needs_torch = pytest.mark.skipif(not WITH_TORCH, reason="needs PyTorch")
