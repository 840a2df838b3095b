"""Spike-driven digit recognition whose every spike is counted and priced in joules.

Images (`data`) become lists of spike events (`encoding`), a network of leaky
integrate-and-fire neurons (`network`, `engine`) learns from them (`training`), every
spike is counted (`counts`), and the counts become energy figures (`energy`).

Nothing heavy is imported here: take what you need from the packages. `price`, which
counts a running model of torch, `verify` and `count_as` (`pricing`) are imported when
first named.
"""

TYPE_CHECKING = False  # as of typing, which takes time to import

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
    from importlib import import_module  # the packages below know nothing of `pricing`

    try:
        modules = import_module("spikejoule.pricing")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        words = f"spikejoule.{name} needs PyTorch: pip install 'spikejoule[torch]'."
        raise ModuleNotFoundError(words, name="torch") from None
    return getattr(modules, name)
