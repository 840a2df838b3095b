"""Spiking networks whose every spike is counted and priced in joules.

Samples (`data`) become lists of spikes (`encoding`), a network of leaky
integrate-and-fire neurons (`network`, `engine`) learns from them (`training`), its
spikes are counted (`counts`), the counts become energies (`energy`), and these are
compared with those of conventional networks (`compare`) and explained (`report`).

This module imports nothing heavy: `price`, which counts a running PyTorch model,
`accelerate`, which runs and trains one by events, `encode`, `verify`, `count_as` and
their classes (`pricing`, `accelerating`), `track`, which counts a training (`tracker`),
and `SpikingClassifier`, training as a scikit-learn estimator (`classifier`), are
imported at first use.
"""

TYPE_CHECKING = False  # as in typing, which takes time to import

if TYPE_CHECKING:
    from spikejoule.accelerating.accelerate_model import accelerate
    from spikejoule.accelerating.accelerated import Accelerated
    from spikejoule.classifier.estimator import SpikingClassifier
    from spikejoule.encoding.encode_images import EncodedImages, encode
    from spikejoule.engine.differentiable.dynamics import Dynamics, SurrogateShape
    from spikejoule.nir.verification import Verification
    from spikejoule.pricing.conventional import Baseline
    from spikejoule.pricing.modules.cells import Cell
    from spikejoule.pricing.modules.neurons import Population
    from spikejoule.pricing.price_model import price
    from spikejoule.pricing.report import Report
    from spikejoule.pricing.running.other_counters import count_as
    from spikejoule.pricing.verify_graph import verify
    from spikejoule.tracker.track import track
    from spikejoule.tracker.tracker import Tracker

__version__ = "0.1.0"
__all__ = [
    "Accelerated",
    "Baseline",
    "Cell",
    "Dynamics",
    "EncodedImages",
    "Population",
    "Report",
    "SpikingClassifier",
    "SurrogateShape",
    "Tracker",
    "Verification",
    "accelerate",
    "count_as",
    "encode",
    "price",
    "track",
    "verify",
]

_MODULE_OF = {
    "Accelerated": "accelerating.accelerated",
    "Baseline": "pricing.conventional",
    "Cell": "pricing.modules.cells",
    "Dynamics": "engine.differentiable.dynamics",
    "EncodedImages": "encoding.encode_images",
    "Population": "pricing.modules.neurons",
    "Report": "pricing.report",
    "SpikingClassifier": "classifier.estimator",
    "SurrogateShape": "engine.differentiable.dynamics",
    "Tracker": "tracker.tracker",
    "Verification": "nir.verification",
    "accelerate": "accelerating.accelerate_model",
    "count_as": "pricing.running.other_counters",
    "encode": "encoding.encode_images",
    "price": "pricing.price_model",
    "track": "tracker.track",
    "verify": "pricing.verify_graph",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported here, so that these are no static imports of higher packages.
    from importlib import import_module

    from spikejoule.core.extras import extra_of, install

    try:
        module = import_module(f"spikejoule.{_MODULE_OF[name]}")
    except ModuleNotFoundError as error:
        missing, extra = extra_of(error)
        advice = f"spikejoule.{name} needs {missing}: {install(extra)}."
        raise ModuleNotFoundError(advice, name=missing) from None
    return getattr(module, name)
