"""Spiking networks whose every spike is counted and priced in joules.

Samples (`data`) become lists of spikes (`encoding`), a network of leaky
integrate-and-fire neurons (`network`, `engine`) learns from them (`training`), its
spikes are counted (`counts`), and the counts become energies (`energy`).

This module imports nothing heavy: `price`, which counts a running PyTorch model,
`verify`, `count_as` and their classes (`pricing`) are imported at first use.
"""

TYPE_CHECKING = False  # as in typing, which takes time to import

if TYPE_CHECKING:
    from spikejoule.nir.verification import Verification
    from spikejoule.pricing import Baseline, Population, Report, count_as, price, verify

__version__ = "0.1.0"
__all__ = [
    "Baseline",
    "Population",
    "Report",
    "Verification",
    "count_as",
    "price",
    "verify",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # not a static import of a higher package

    try:
        pricing = import_module("spikejoule.pricing")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        advice = f"spikejoule.{name} needs PyTorch: pip install 'spikejoule[torch]'."
        raise ModuleNotFoundError(advice, name="torch") from None
    return getattr(pricing, name)
