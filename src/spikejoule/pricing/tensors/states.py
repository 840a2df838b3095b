"""The state of a model: its buffers, and what its modules keep in attributes.

Every batch starts from the state in which the model was given, and leaves it in this
state. So counts do not depend on the batch size, an attempt that fails leaves nothing
behind, and running statistics stay as they were.
"""

from typing import Any

import torch
from torch import Tensor, nn

from spikejoule.pricing.torch_private import buffers_of

_OF_PYTORCH = frozenset(vars(nn.Module()))


class ModelState:
    """The state of a model, copied when this is made."""

    def __init__(self, model: nn.Module) -> None:
        self._attributes: list[tuple[nn.Module, dict[str, Any]]] = []
        # By identity: modules may share a tensor or a list.
        self._tensors: dict[int, tuple[Tensor, Tensor]] = {}
        self._containers: dict[int, tuple[Any, Any]] = {}
        for module in model.modules():
            attributes = attributes_of(module)
            self._attributes.append((module, attributes))
            for value in (buffers_of(module), *attributes.values()):
                self._save(value)

    def restore(self) -> None:
        """Give the model this state again."""
        for module, attributes in self._attributes:
            for key in attributes_of(module).keys() - attributes.keys():
                del module.__dict__[key]
            module.__dict__.update(attributes)
        for container, items in self._containers.values():
            container.clear()
            extend = container.update if isinstance(items, dict) else container.extend
            extend(items)
        for tensor, values in self._tensors.values():
            if not torch.equal(tensor, values):
                # Tensors made in inference mode change only there.
                with torch.inference_mode(tensor.is_inference()):
                    tensor.detach().copy_(values)

    def _save(self, value: Any) -> None:
        """Copy a tensor, and those in lists and dictionaries."""
        if isinstance(value, Tensor):
            is_dense = value.layout == torch.strided
            if is_dense and not isinstance(value, nn.Parameter):
                self._tensors[id(value)] = (value, value.detach().clone())
        elif type(value) is tuple:
            for item in value:
                self._save(item)
        elif type(value) in (list, dict) and id(value) not in self._containers:
            self._containers[id(value)] = (value, value.copy())
            for item in value.values() if isinstance(value, dict) else value:
                self._save(item)


def attributes_of(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that are not PyTorch's own."""
    return {key: item for key, item in vars(module).items() if key not in _OF_PYTORCH}
