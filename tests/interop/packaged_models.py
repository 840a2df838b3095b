"""Models that packages publish, with random weights that make them fire.

SpikingJelly's and Norse's own, and torchvision's with neurons in place of activation
functions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import Linear, functional

from tests.interop.networks import PLANE, C, F, H, jelly, louder

IMAGE = (3, 32, 32)
DVS = (2, 32, 32)


@dataclass(frozen=True)
class Packaged:
    """A model of a package.

    Attributes:
        make: returns it; it takes all steps.
        shape: of a sample in one step.
        package: with its neurons.
        named: what of it computes, but is not counted.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = IMAGE
    package: str = "spikingjelly"
    named: tuple[str, ...] = ()


def of_spikingjelly(
    path: str,
    shape: tuple[int, ...] = IMAGE,
    named: tuple[str, ...] = (),
    **settings: Any,
) -> Packaged:
    """A model of SpikingJelly.

    Args:
        path: its module and name, `sew_resnet.sew_resnet18`.
        shape: of a sample in one step.
        named: what of it computes, but is not counted.
        settings: arguments.
    """

    def make() -> nn.Module:
        from spikingjelly.activation_based.functional import set_step_mode
        from spikingjelly.activation_based.neuron import LIFNode

        module, _, name = path.partition(".")
        package = import_module(f"spikingjelly.activation_based.model.{module}")
        options = {"spiking_neuron": LIFNode} | settings
        model = getattr(package, name)(**options)
        set_step_mode(model, "m")
        return louder(model)

    return Packaged(make, shape, named=named)


class StepByStep(nn.Module):
    """Runs a model, or all of a list, once per step."""

    def __init__(self, *models: nn.Module) -> None:
        super().__init__()
        self.models = nn.Sequential(*models)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.models(step) for step in x])


ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)
ACTIVATION_FUNCTIONS = (functional.relu, functional.relu6, functional.gelu, torch.relu)


def spiking(model: nn.Module) -> nn.Module:
    """The model with neurons of their own at each place of an activation function."""
    traced = fx.symbolic_trace(model)
    modules = dict(traced.named_modules())
    neuron = jelly("IFNode", v_threshold=0.3)
    for number, node in enumerate(traced.graph.nodes):
        is_activation = node.target in ACTIVATION_FUNCTIONS or (
            node.op == "call_module" and isinstance(modules[node.target], ACTIVATIONS)
        )
        if not is_activation:
            continue
        name = f"neurons{number}"
        traced.add_submodule(name, neuron())
        with traced.graph.inserting_before(node):
            spikes = traced.graph.call_module(name, (node.args[0],))
        node.replace_all_uses_with(spikes)
        traced.graph.erase_node(node)
    traced.recompile()
    return traced


def of_torchvision(
    name: str, width: int = 32, named: tuple[str, ...] = (), **settings: Any
) -> Packaged:
    """A model of torchvision, run step by step, with neurons instead of activations."""

    def make() -> nn.Module:
        from torchvision.models import get_model

        model = get_model(name, num_classes=C, **settings).eval()
        return louder(StepByStep(spiking(model)))

    return Packaged(make, (3, width, width), named=named)


def of_norse(path: str, shape: tuple[int, ...] = IMAGE, **settings: Any) -> Packaged:
    """A model of Norse; see `of_spikingjelly`."""

    def make() -> nn.Module:
        module, _, name = path.partition(".")
        package = import_module(f"norse.torch.models.{module}")
        model: nn.Module = getattr(package, name)(**settings)
        return louder(model)

    return Packaged(make, shape, "norse")


def gated_neurons() -> nn.Module:
    from spikingjelly.activation_based import layer

    return nn.Sequential(
        layer.Conv2d(2, 4, 3, step_mode="m"),
        jelly("GatedLIFNode", "m", T=2)(),
        layer.Flatten(step_mode="m"),
        Linear(144, C),
        jelly("LIFNode", "m")(),
    )


def dropped_connections() -> nn.Module:
    from spikingjelly.activation_based.layer import DropConnectLinear
    from torch.distributions import Distribution

    # The checks of a distribution's arguments are calls that would be named, too;
    # compiling another model turns them off for good.
    Distribution.set_default_validate_args(False)
    first = DropConnectLinear(F, H, step_mode="m")
    lif = jelly("LIFNode", "m")
    return nn.Sequential(first, lif(), Linear(H, C), lif())


GATES = ("mul",)
"""Products of two activations, number by number: of spikes, an AND."""
SQUEEZE_AND_EXCITE = (*GATES, "Sigmoid")
ATTENTION = ("LayerNorm", "softmax")


def residual(module: str, prefix: str, size: str, **settings: Any) -> Packaged:
    """One of SpikingJelly's spiking ResNets."""
    return of_spikingjelly(f"{module}.{prefix}{size}", num_classes=C, **settings)


RESIDUAL_SIZES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
SMALL = {"num_heads": 2, "embed_dims": 24, "depths": 1}
TWO_STEPS = {"T": 2, "num_classes": C}
QUICK = {
    "gated neurons": Packaged(gated_neurons, PLANE),
    "dropped connections": Packaged(
        dropped_connections,
        (F,),
        named=("square", "sqrt", "broadcast_tensors", "normal"),
    ),
    "sew_resnet18, ADD": residual("sew_resnet", "sew_", "resnet18", cnf="ADD"),
    "spiking_resnet18": residual("spiking_resnet", "spiking_", "resnet18"),
    "Spikformer": of_spikingjelly(
        "spikformer.Spikformer", img_size_h=32, img_size_w=32, **SMALL, **TWO_STEPS
    ),
}
SPIKINGJELLY: dict[str, Packaged] = {
    **QUICK,
    **{
        f"sew_resnet18, {how}": residual(
            "sew_resnet", "sew_", "resnet18", named=GATES, cnf=how
        )
        for how in ("AND", "IAND")
    },
    **{
        f"sew_{size}": residual("sew_resnet", "sew_", size, cnf="ADD")
        for size in RESIDUAL_SIZES[1:]
    },
    **{
        f"spiking_{size}": residual("spiking_resnet", "spiking_", size)
        for size in RESIDUAL_SIZES[1:]
    },
    **{
        f"spiking_vgg{size}": of_spikingjelly(
            f"spiking_vgg.spiking_vgg{size}", num_classes=C
        )
        for depth in (11, 13, 16, 19)
        for size in (f"{depth}", f"{depth}_bn")
    },
    **{
        name: of_spikingjelly(f"parametric_lif_net.{name}", shape, channels=8)
        for name, shape in {
            "MNISTNet": (1, 28, 28),
            "FashionMNISTNet": (1, 28, 28),
            "NMNISTNet": (2, 34, 34),
            "CIFAR10Net": IMAGE,
            "CIFAR10DVSNet": (2, 128, 128),
            "DVSGestureNet": (2, 128, 128),
        }.items()
    },
    **{
        name: of_spikingjelly(f"ms_resnet.{name}", **TWO_STEPS)
        for name in ("ms_resnet18", "ms_resnet34", "max_resnet18")
    },
    "att_ms_resnet18": of_spikingjelly(
        "masnn.att_ms_resnet18", named=(*GATES, "max", "sigmoid"), **TWO_STEPS
    ),
    "MASNN": of_spikingjelly(
        "masnn.MASNN", DVS, (*GATES, "max", "sigmoid"), reduction_t=2, **TWO_STEPS
    ),
    **{
        name: of_spikingjelly(f"spikformer.{name}", **TWO_STEPS)
        for name in ("spikformer_cifar10",)
    },
    **{
        name: of_spikingjelly(
            f"spikformer.{name}",
            img_size_h=64,
            img_size_w=64,
            shape=(3, 64, 64),
            **TWO_STEPS,
        )
        for name in ("spikformer_ti", "spikformer_s")
    },
    "SpikeDrivenTransformer": of_spikingjelly(
        "spike_driven_transformer.SpikeDrivenTransformer",
        named=GATES,
        **SMALL,
        **TWO_STEPS,
    ),
    "sdt_8_384": of_spikingjelly(
        "spike_driven_transformer.sdt_8_384", named=GATES, **TWO_STEPS
    ),
    "qkformer_10_384": of_spikingjelly(
        "qkformer.qkformer_10_384", named=GATES, **TWO_STEPS
    ),
    "QKFormer, channels": of_spikingjelly(
        "qkformer.QKFormer", named=GATES, qka_type="channel", **TWO_STEPS
    ),
    "maxformer_10_384": of_spikingjelly("maxformer.maxformer_10_384", **TWO_STEPS),
    "maxformer_cifar": of_spikingjelly("maxformer.maxformer_cifar", **TWO_STEPS),
}
NORSE = {
    **{
        f"norse {name}": of_norse(f"conv.{name}", (1, 28, 28))
        for name in ("ConvNet", "ConvNet4")
    },
    "norse mobilenet_v2": of_norse("mobilenet.mobilenet_v2", num_classes=C),
    **{
        f"norse vgg{size}": of_norse(f"vgg.vgg{size}", num_classes=C)
        for depth in (11, 13, 16, 19)
        for size in (f"{depth}", f"{depth}_bn")
    },
}
TORCHVISION = {
    **{
        name: of_torchvision(name)
        for name in (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnext50_32x4d",
            "wide_resnet50_2",
            "densenet121",
            "densenet169",
            "mobilenet_v2",
            "shufflenet_v2_x0_5",
            "shufflenet_v2_x1_0",
            "squeezenet1_0",
            "squeezenet1_1",
            "mnasnet0_5",
            "mnasnet1_0",
            "regnet_x_400mf",
            "regnet_x_1_6gf",
            "vgg11",
            "vgg11_bn",
            "vgg13",
            "vgg16_bn",
        )
    },
    **{
        name: of_torchvision(name, named=(*GATES, "Hardsigmoid"))
        for name in ("mobilenet_v3_small", "mobilenet_v3_large")
    },
    **{
        name: of_torchvision(name, named=SQUEEZE_AND_EXCITE)
        for name in (
            "efficientnet_b0",
            "efficientnet_b1",
            "efficientnet_v2_s",
            "regnet_y_400mf",
            "regnet_y_1_6gf",
        )
    },
    **{
        name: of_torchvision(name, named=(*GATES, "LayerNorm", "layer_norm"))
        for name in ("convnext_tiny", "convnext_small")
    },
    **{
        name: of_torchvision(name, named=(*ATTENTION, "masked_fill"))
        for name in ("swin_t", "swin_s")
    },
    "alexnet": of_torchvision("alexnet", 64),
    "googlenet": of_torchvision("googlenet", aux_logits=False, init_weights=True),
    "inception_v3": of_torchvision(
        "inception_v3", 75, aux_logits=False, init_weights=True
    ),
    "vit_b_16": of_torchvision("vit_b_16", named=ATTENTION, image_size=32),
    "vit_b_32": of_torchvision("vit_b_32", 64, ATTENTION, image_size=64),
    "maxvit_t": of_torchvision(
        "maxvit_t", 224, (*ATTENTION, *SQUEEZE_AND_EXCITE, "Tanh")
    ),
}
MODELS: dict[str, Packaged] = SPIKINGJELLY | NORSE | TORCHVISION
