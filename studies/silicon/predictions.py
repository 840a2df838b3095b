"""Energies of measured chips, predicted from counts by the library's ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import geometric_mean
from typing import Final, NamedTuple

import numpy as np

from spikejoule.counts.measurement import (
    LayerCounts,
    activity_of_layers,
    activity_of_products,
)
from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.energy.count import count_operations
from spikejoule.energy.dataflow import DENSE
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import (
    CONVENTIONAL,
    SPIKING,
    Ledger,
    SideName,
    Variant,
)
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.prices import HardwareProfile, load_profiles
from spikejoule.energy.timing import Range, Timed, TimeModel
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import FLOAT_BITS, Quantisation
from studies.silicon.references import (
    FOLDER,
    ONE_PRICE,
    PJ_PER_NJ,
    Chip,
    Layers,
    Point,
)

LISTS: Final = FOLDER / "price-lists.yaml"
_ENDS = (0, 1, 2)


class Beyond(NamedTuple):
    """Energies beyond what the price list was given, in nJ.

    Attributes:
        given: the energy that it was given.
        measured, predicted: the rest.
        rounding: largest error of `measured` by rounding.
    """

    given: float
    measured: float
    predicted: float
    rounding: float


@dataclass(frozen=True)
class Prediction:
    """A point, and what the model says of it.

    Attributes:
        chip, point: what was measured.
        predicted_nj: energy in nJ, over the ranges of counts and prices; None if
            refused.
        timed: latency and energies at the middle of the counts; None without time.
        leakage_nj: static power x latency, without the idle clock; None without time.
    """

    chip: Chip
    point: Point
    predicted_nj: Range | None = None
    timed: Timed | None = None
    leakage_nj: float | None = None

    @property
    def measured_nj(self) -> float:
        """The measured energy; the geometric middle of a range."""
        low, high = self.point.measured_nj
        return float(np.sqrt(low * high))

    @property
    def ratio(self) -> Range | None:
        """Predicted over measured energy; None for a bound and without a prediction."""
        if self.predicted_nj is None or self.point.role == "lower bound":
            return None
        low, high = self.point.measured_nj
        return Range(
            self.predicted_nj.low / high,
            self.predicted_nj.middle / self.measured_nj,
            self.predicted_nj.high / low,
        )

    @property
    def static_share(self) -> float | None:
        """Static over total energy; None without time, or if it was not measured."""
        if self.timed is None or self.point.measures == "dynamic":
            return None
        return self.timed.static_pj.middle / self.timed.total_pj.middle

    @property
    def leakage_share(self) -> float | None:
        """Leakage over total energy; None where `static_share` is."""
        if self.static_share is None or self.leakage_nj is None or self.timed is None:
            return None
        return self.leakage_nj * PJ_PER_NJ / self.timed.total_pj.middle

    @property
    def beyond(self) -> Beyond | None:
        """What a total tests: all beyond leakage, or beyond the first fitted point.

        None for fitted points, bounds, and without static energy.
        """
        if self.predicted_nj is None or self.leakage_share is None:
            return None
        rounding = self.point.rounding_nj
        if self.point.role == "predicted" and self.leakage_nj is not None:
            given = self.leakage_nj
        elif self.point.role == "interpolated" and self.chip.fitted is not None:
            given, _ = self.chip.fitted.measured_nj
            rounding += self.chip.fitted.rounding_nj
        else:
            return None
        predicted = self.predicted_nj.middle - given
        return Beyond(given, self.measured_nj - given, predicted, rounding)

    @property
    def headline_ratio(self) -> float | None:
        """Published energy per event x events, over the measured energy."""
        headline_pj = self.point.headline_pj
        if headline_pj is None:
            return None
        events = np.mean(self.point.counts["synaptic_event"])
        return float(headline_pj * events / PJ_PER_NJ / self.measured_nj)


def given_one_price(rows: Iterable[Prediction]) -> list[Prediction]:
    """Return the predictions from one price per product."""
    return [row for row in rows if row.point.profile == ONE_PRICE]


def name_of(row: Prediction) -> str:
    """Return chip and point."""
    return f"{row.chip.name}, {row.point.name}"


def held_out(rows: Iterable[Prediction]) -> list[Prediction]:
    """Return the predictions of points that their list was not fitted to."""
    roles = ("predicted", "interpolated")
    return [row for row in rows if row.point.role in roles]


def price_lists() -> dict[str, HardwareProfile]:
    """The packaged price lists, and the study's own."""
    return load_profiles() | load_profiles(LISTS)


def predictions(
    chips: Iterable[Chip], profiles: Mapping[str, HardwareProfile]
) -> list[Prediction]:
    """Predict every point of every chip."""
    return [predicted(chip, point, profiles) for chip in chips for point in chip.points]


def predicted(
    chip: Chip, point: Point, profiles: Mapping[str, HardwareProfile]
) -> Prediction:
    """Predict a point at the low end, the middle and the high end of its counts."""
    if point.profile is None:
        return Prediction(chip, point)
    profile = (
        one_price(chip, point)
        if point.profile == ONE_PRICE
        else at_operating_point(profiles[point.profile], point)
    )
    side: SideName = SPIKING if chip.kind == "spiking" else CONVENTIONAL
    bits = point.network.weight_bits if point.network else FLOAT_BITS
    variants = [
        Variant(side=side, method="", weight_bits=bits, operations=counts)
        for counts in operations_of(point)
    ]
    ledger = Ledger.of(variants, [profile], BootstrapSettings(1))
    energies_pj = []
    for end in _ENDS:
        timed = ledger.timed(end, profile)
        dynamic_pj = ledger.means(end, profile.id)
        is_total = point.measures == "total" and timed is not None
        of_end = timed.total_pj if is_total and timed else Range.of(dynamic_pj)
        energies_pj.append(of_end[end])
    predicted_nj = Range.of(np.array(energies_pj) / PJ_PER_NJ)
    timed = ledger.timed(1, profile)
    if timed is None or profile.time is None:
        return Prediction(chip, point, predicted_nj)
    leakage_nj = profile.time.static_mw.middle * timed.latency_us.middle
    return Prediction(chip, point, predicted_nj, timed, leakage_nj)


def one_price(chip: Chip, point: Point) -> HardwareProfile:
    """Return a list with one price, from the chip's other points.

    It is their geometric mean; the ends are those of each point alone.
    """
    prices_pj = [other.price_of_product_pj for other in chip.pricing(point)]
    low, high = min(prices_pj), max(prices_pj)
    # Rounding may put the mean of equal prices outside them.
    middle = min(max(geometric_mean(prices_pj), low), high)
    return HardwareProfile.model_validate(
        {
            "id": "one-price",
            "title": f"{chip.name}, one price",
            "process": chip.process,
            "year": 2026,
            "source": chip.source,
            "scope": "system",
            "evidence": "derived",
            "unit": "pJ",
            "prices": {"mac": [low, middle, high]},
        }
    )


def at_operating_point(profile: HardwareProfile, point: Point) -> HardwareProfile:
    """Return a price list at a point's clock, step or static power."""
    if not point.time:
        return profile
    assert profile.time is not None
    fields = profile.time.model_dump() | point.time
    return profile.model_copy(update={"time": TimeModel.model_validate(fields)})


def operations_of(point: Point) -> tuple[OperationCounts, ...]:
    """Return the operations at low end, middle and high end of the counts."""
    if point.network is not None:
        return (operations_of_network(point.network),) * 3
    columns = tuple(Column(term, "chip") for term in point.counts)
    low, high = np.array(list(point.counts.values()), dtype=float).T
    return tuple(
        OperationCounts(columns, counts[None], point.steps)
        for counts in (low, (low + high) / 2, high)
    )


def operations_of_network(given: Layers) -> OperationCounts:
    """Count a network's operations: a conventional one skips no zeros."""
    if given.activation_bits is None:
        return count_operations(event_driven(given))
    return count_operations(conventional(given, given.activation_bits), DENSE)


def conventional(given: Layers, activation_bits: int) -> Activity:
    """Count a network that multiplies every weight once."""
    n_input, *hidden, n_output = given.layers
    network = replace(
        ConventionalNetwork.of_layers(n_input, hidden, n_output),
        weight_bits=given.weight_bits,
        state_bits=given.state_bits,
        activation_bits=activation_bits,
    )
    n_weights = [node.n_in * node.n_out for node in network.connections]
    return activity_of_products(network, np.array([n_weights]))


def event_driven(given: Layers) -> Activity:
    """Count a network that adds, compares and stores a potential at every event.

    It has no clock: between events nothing happens, so there is no update per step.
    """
    n_input, *hidden, n_output = given.layers
    network = Network.of_layers(
        n_input,
        tuple(hidden),
        n_output,
        LeakyIntegrateAndFire(decay=1.0, bias=False),
        Quantisation(given.weight_bits, given.state_bits),
    )
    spikes = np.array([given.spikes])
    no_updates = np.zeros((1, len(given.layers) - 1), np.int64)
    activity = activity_of_layers(
        network, 1, LayerCounts(spikes=spikes, updates=no_updates)
    )
    counts: dict[str, NodeCounts] = dict(activity.counts)
    for connection in network.connections:
        events = counts[connection.name].events
        assert events is not None
        target = network.target_of(connection).name
        counts[target] = counts[target].with_comparisons(events)
    return Activity(network=network, time_window=1, counts=counts)
