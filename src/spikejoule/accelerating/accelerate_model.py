"""Run and train a model of snnTorch, SpikingJelly, Norse, Sinabs or PyTorch by events.

fast = spikejoule.accelerate(model)
out = fast(spikes)                    # [T, B, ...], or from `spikejoule.encode`
loss_fn(out, labels).backward()       # gradients in model.parameters()
optimizer.step()
"""

from torch import Tensor, nn

from spikejoule.accelerating.accelerated import Accelerated
from spikejoule.accelerating.known_cells import Own
from spikejoule.encoding.encode_images import EncodedImages


def accelerate(
    model: nn.Module,
    example: Tensor | EncodedImages | None = None,
    *,
    neurons: Own | None = None,
) -> Accelerated:
    """Return a module that computes what a model computes, on the event engine.

    The model is a chain of Linear, Conv2d, average pooling and Flatten, with neurons:
    snnTorch's Leaky, RLeaky and Lapicque; SpikingJelly's IFNode, LIFNode,
    ParametricLIFNode and CUBALIFNode; Norse's LIF, LIFBox, IAF, LI and LIBox; Sinabs's
    LIF, IAF and ExpLeak; or your own. The neurons' settings are read from the model in
    every pass: equations, constants, surrogate, what passes gradients.

    Args:
        model: a container of modules, such as `torch.nn.Sequential`; or a module whose
            `forward` runs modules one after another, maybe in a loop over time.
        example: samples as the model takes them, to find the order of the modules of a
            model that is no container; None for the first batch.
        neurons: your own classes of neurons, which take one step:
            ``{MyNeuron: Cell(keep=0.9)}``, or a function that returns the `Cell` of a
            module.

    Returns:
        a module that shares the model's parameters. Each call starts from the state
        after a reset.

    Raises:
        ParameterError: the model has a module, a setting or a hook that the engine does
            not compute; the message names it, and what is allowed. Every pass checks it
            again.
    """
    fast = Accelerated(model, neurons or {})
    if example is not None:
        fast.read(example)
    return fast
