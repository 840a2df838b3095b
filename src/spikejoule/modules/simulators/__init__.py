"""What is known of simulators of spiking networks: one file each.

A file is read only where a model has a module of its simulator, and imports nothing of it: classes
go by their names.
"""

import importlib
import pkgutil

from torch import nn

from spikejoule.modules.populations import Simulator

PACKAGES = sorted(one.name for one in pkgutil.iter_modules(__path__))
"""By which simulators are imported."""


def simulators_of(model: nn.Module) -> tuple[Simulator, ...]:
    """The simulators of whose modules a model consists."""
    roots = {
        kind.__module__.partition(".")[0]
        for module in model.modules()
        for kind in type(module).__mro__
    }
    found = (importlib.import_module(f"{__name__}.{name}") for name in PACKAGES if name in roots)
    return tuple(one.SIMULATOR for one in found)
