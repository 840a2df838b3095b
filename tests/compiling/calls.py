"""Calls of intrinsics from Python."""

from typing import Any

import numba


def compiled_call(intrinsic: Any) -> Any:
    """Compile a call of an intrinsic, as the kernels make it."""

    @numba.njit
    def call(*arguments: Any) -> Any:
        return intrinsic(*arguments)

    return call
