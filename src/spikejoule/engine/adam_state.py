"""Adam's state in the format that PyTorch gives it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.model.learning import ADAM_BETAS, ADAM_EPSILON


def adam_state(
    names: Sequence[str],
    moments: Sequence[Mapping[str, NDArray[Any]]],
    steps_taken: int,
    learning_rate: float,
    weight_decay: float,
) -> dict[str, Any]:
    """The format of ``torch.optim.Adam.state_dict``, with arrays for tensors.

    Args:
        names: of the parameters, in the order of their indices.
        moments: the first and the second moment of each parameter, by name; nothing before the
            first step.
        steps_taken: steps of the optimizer so far.
        learning_rate: of the last step.
        weight_decay: L2 penalty.
    """
    group = {
        "lr": learning_rate,
        "betas": ADAM_BETAS,
        "eps": ADAM_EPSILON,
        "weight_decay": weight_decay,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
        "params": list(range(len(names))),
    }
    state: dict[int, dict[str, Any]] = {}
    if moments:
        first, second = moments
        for index, name in enumerate(names):
            state[index] = {
                "step": np.float32(steps_taken),
                "exp_avg": first[name],
                "exp_avg_sq": second[name],
            }
    return {"state": state, "param_groups": [group]}
