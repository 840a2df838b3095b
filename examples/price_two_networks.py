"""Price a spiking and a conventional network of equal shape, both trained on MNIST.

Both are plain PyTorch. The spiking one has its own neuron class, reads the image as a
constant current, and its class scores are output spike counts over ten steps.
"""

import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.data.sources.mnist5k import load_mnist5k

STEPS = 10
HIDDEN = 100
EPOCHS = 4


class LIF(nn.Module):
    """v = 0.9 v + x, a spike and reset where v >= 1; surrogate: the fast sigmoid."""

    def reset(self) -> None:
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        v = 0.9 * self.v + x
        soft = (v - 1) / (1 + 5 * (v - 1).abs())
        spikes = (v >= 1).float() + soft - soft.detach()
        self.v = v * (1 - spikes.detach())
        return spikes if self.training else spikes.detach().round()


class Spiking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden = nn.Linear(784, HIDDEN), LIF()
        self.second, self.output = nn.Linear(HIDDEN, 10), LIF()

    def forward(self, images: Tensor) -> Tensor:
        self.hidden.reset()
        self.output.reset()
        current = self.first(images)
        steps = [self.output(self.second(self.hidden(current))) for _ in range(STEPS)]
        return torch.stack(steps).sum(dim=0)


def train(model: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


torch.manual_seed(0)
data = load_mnist5k()
images = torch.from_numpy(data.train.images).flatten(1) / 255
labels = torch.from_numpy(data.train.labels).long()
snn = train(Spiking(), images, labels)
ann = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
ann = train(ann, images, labels)
test = torch.from_numpy(data.test.images).flatten(1) / 255
report = spikejoule.price(
    snn,
    test,
    labels=data.test.labels,
    against=ann,
    time_axis="none",
    neurons={LIF: spikejoule.Population()},
    title="MNIST",
)
print(report)
