"""Published energies of chips, to compare orders of magnitude."""

from pathlib import Path
from typing import Any

from spikejoule.core.errors import ArtifactError
from spikejoule.core.yaml_files import read_yaml


def measured_on_mnist() -> list[dict[str, Any]]:
    """Return the published energies of chips per MNIST digit, highest first.

    These are other networks on other chips, not prices: they show the order of
    magnitude of whole systems. Each has a `name`, `microjoules` per inference,
    `accuracy_percent`, `process` (None if unconfirmed), `covers`, what the energy is
    of, `source`, and `read_in`, where the figures were read.
    """
    chips: list[dict[str, Any]] = read_yaml(
        Path(__file__).with_name("chips.yaml"), ArtifactError
    )
    return chips
