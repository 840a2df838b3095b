"""Measured chips: conditions, counts, energies and sources, one file per chip.

Every point of a chip has a role:

    fitted        the price list was fitted to it, so it shows nothing
    predicted     the price list is not known to be fitted to it
    interpolated  it lies between fitted points
    lower bound   counts are missing: idle power x time is part of the energy, if the
                  chip draws it throughout
    refused       too little is known even for a bound
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from spikejoule.core.errors import ArtifactError, first_problem
from spikejoule.core.yaml_files import read_yaml

FOLDER: Final = Path(__file__).parent
CHIPS: Final = FOLDER / "chips"
PJ_PER_NJ: Final = 1e3

READ: Final = {
    "summary": "taken from a summary of the source, not read again",
    "abstract": "read in the source's abstract",
    "text": "read in the source's text",
    "raw data": "read in published raw data",
}
"""Where figures were read, in words."""

ONE_PRICE: Final = "one price"
"""Profile of a chip with one price, of a product, which comes from its other points."""

Role = Literal["fitted", "predicted", "interpolated", "lower bound", "refused"]
Measures = Literal["total", "dynamic"]


def _two_ends(node: object) -> object:
    """Read a number as a range without width."""
    return node if isinstance(node, list) else (node, node)


Ends = Annotated[tuple[float, float], BeforeValidator(_two_ends)]
"""Lower and upper end of a figure."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layers(_Record):
    """A fully connected network.

    A spiking one updates a neuron at every event. A conventional one multiplies every
    weight once.

    Attributes:
        layers: units, input first.
        weight_bits, state_bits: widths of weights, and of potentials or sums.
        activation_bits: width of activations; None for a spiking network.
        spikes: spikes per inference of each layer; none for a conventional network.
    """

    layers: Annotated[tuple[int, ...], Field(min_length=3)]
    weight_bits: int
    state_bits: int
    activation_bits: int | None = None
    spikes: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.activation_bits is None and len(self.spikes) != len(self.layers):
            raise ValueError("a network needs the spikes of every layer")
        return self

    @property
    def n_weights(self) -> int:
        """Weights, which are the products of a conventional network."""
        return sum(n_in * n_out for n_in, n_out in pairwise(self.layers))


class Point(_Record):
    """An energy measured under some conditions.

    Attributes:
        name: the operating point or task.
        per: the unit of work that the energy belongs to.
        role: see the module.
        conditions: network, rates, accuracy, in words.
        measured_nj: the published energy in nJ.
        rounding_nj: largest error of its rounding, if that matters.
        measures: whether it includes static energy.
        boundary: what the measured energy belongs to, as in price lists.
        profile: id of the price list, or `ONE_PRICE`; None if refused.
        priced_by: name of the point that `ONE_PRICE` comes from; if empty, all other
            points that name none.
        time: what replaces the list's time model at this operating point.
        steps: steps of an inference.
        counts: operations of an inference, by term.
        network: the network, if operations follow from its layers.
        headline_pj: the chip's published energy per event, an average at one point.
        source: where it was published; empty for the chip's own source.
        read: where the figures were read, one of `READ`.
        reason: what is missing, or what else a reader must know.
    """

    name: str
    per: str
    role: Role
    conditions: str
    measured_nj: Ends
    rounding_nj: float = 0
    measures: Measures
    boundary: Literal["cores", "chip", "board", "board_and_host"] = "chip"
    profile: str | None = None
    priced_by: str = ""
    time: dict[str, float] = Field(default_factory=dict)
    steps: int = 1
    counts: dict[str, Ends] = Field(default_factory=dict)
    network: Layers | None = None
    headline_pj: float | None = None
    source: str = ""
    read: Literal["summary", "abstract", "text", "raw data"]
    reason: str = ""

    @model_validator(mode="after")
    def _role_fits(self) -> Self:
        if (self.role == "refused") != (self.profile is None):
            raise ValueError("every point but a refused one needs a profile")
        if self.role != "predicted" and not self.reason:
            raise ValueError(f"a point that is {self.role} needs a reason")
        if self.profile and bool(self.counts) == (self.network is not None):
            raise ValueError("it needs either counts or a network")
        return self

    @property
    def price_of_product_pj(self) -> float:
        """Measured energy over the products of a conventional network, in pJ."""
        products = self.network.n_weights if self.network else self.counts["mac"][0]
        return self.measured_nj[0] * PJ_PER_NJ / products


class Chip(_Record):
    """A chip and its points.

    Attributes:
        name: its name.
        process: technology node and voltage.
        kind: what it runs.
        source: reference of its points.
        points: what was measured.
    """

    name: str
    process: str
    kind: Literal["spiking", "conventional", "other"] = "spiking"
    source: str
    points: tuple[Point, ...]

    @model_validator(mode="after")
    def _one_price_has_a_source(self) -> Self:
        for point in self.points:
            if point.profile == ONE_PRICE and not self.pricing(point):
                raise ValueError(f"no other point gives a price to {point.name!r}")
        return self

    @property
    def fitted(self) -> Point | None:
        """The first point that the chip's price list was fitted to."""
        return next((point for point in self.points if point.role == "fitted"), None)

    def pricing(self, point: Point) -> list[Point]:
        """Return the points that a point with `ONE_PRICE` takes its price from."""
        return [
            other
            for other in self.points
            if other.profile == ONE_PRICE
            and other.name != point.name
            and (
                other.name == point.priced_by
                if point.priced_by
                else not other.priced_by
            )
        ]


def chips(folder: Path = CHIPS) -> list[Chip]:
    """Read all chips, by name of their file.

    Raises:
        ArtifactError: a file is invalid; one sentence with file and reason.
    """
    found = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            found.append(Chip.model_validate(read_yaml(file, ArtifactError)))
        except ValidationError as error:
            raise ArtifactError(f"{file}: {first_problem(error)}.") from error
    return found
