"""The extras of `pip install 'spikejoule[NAME]'`, and the modules that each brings."""

from typing import Final

EXTRAS: Final = {
    "torch": "torch",
    **dict.fromkeys(("h5py", "llvmlite", "nir", "numba", "platformdirs"), "nir"),
    **dict.fromkeys(
        (
            "dvc",
            "mlflow",
            "mlxtend",
            "pooch",
            "sklearn",
            "starlette",
            "torchvision",
            "uvicorn",
        ),
        "pipeline",
    ),
    **dict.fromkeys(("optuna", "submitit"), "search"),
}
"""Modules that `pip install spikejoule` does not bring, and the extra that does."""


def install(extra: str) -> str:
    """Return the command that installs an extra, from an index or in a clone."""
    return f"pip install 'spikejoule[{extra}]', or '.[{extra}]' in a clone"


def extra_of(error: ModuleNotFoundError) -> tuple[str, str]:
    """Return the missing module, and the extra that brings it.

    Raises:
        ModuleNotFoundError: no extra does; the error itself.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        raise error
    return module, EXTRAS[module]
