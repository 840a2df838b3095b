"""How many threads the engines use; no result depends on it."""

import logging

import numba

logger = logging.getLogger(__name__)


def use_threads(count: int) -> int:
    """Let the kernels and torch use `count` threads, or every core for 0.

    Returns:
        the number in force; more threads than cores are not given, and a warning says so.
    """
    import torch

    available = int(numba.config.NUMBA_NUM_THREADS)
    granted = min(count or available, available)
    if count > available:
        logger.warning("train.threads is %d, but there are %d cores: %d", count, available, granted)
    numba.set_num_threads(granted)
    torch.set_num_threads(granted)
    return granted
