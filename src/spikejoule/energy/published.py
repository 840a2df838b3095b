"""Published conventional networks: what a run is compared with.

The table `conventional.csv` beside the price list holds conventional networks that were
trained from several seeds on one data set, as means over these seeds, with the commits
that trained them and the date. A run is compared with those of its own data, so that
the comparison depends neither on one lucky seed nor on which networks the run itself
has trained.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from spikejoule.core.schema import Count, Percent, Row, Table, Text
from spikejoule.energy.front import FrontPoint
from spikejoule.energy.prices import HardwareProfile, load_profiles


class PublishedNetwork(Row):
    """A conventional network, run in one way: a row of conventional.csv.

    Further columns are its energies per inference, in pJ, under each price list that
    compares it: ``ID:pj``, or ``ID:pj_low`` and ``ID:pj_high`` where prices are ranges.

    Attributes:
        data_source: the data that it was trained and tested on.
        network, method: what it is and how it is run.
        weight_bits: width of its weights.
        n_images: test images that test accuracy and energies are means over.
        seeds: of the trainings, separated by spaces.
        validation_percent, test_percent: accuracies, means over the seeds.
        git_commits: the commits that trained it, separated by spaces.
        recorded: date of the last of these commits.
    """

    model_config = ConfigDict(extra="allow")

    data_source: Text
    network: Text
    method: Text
    weight_bits: Count
    n_images: Count
    seeds: Text
    validation_percent: Percent
    test_percent: Percent
    git_commits: Text
    recorded: Text

    def point(self, profile: str) -> FrontPoint | None:
        """The network under a price list; None where that does not compare it."""
        ends = [self._energy_pj(profile, name) for name in ("pj_low", "pj", "pj_high")]
        low, value, high = ends
        if not np.isnan(value):
            low = high = value
        if np.isnan(low):
            return None
        energy_pj = np.array([low, value, high])
        return FrontPoint(
            name=f"{self.network}, {self.method}",
            validation_percent=self.validation_percent,
            test_percent=self.test_percent,
            n_seeds=len(self.seeds.split()),
            mean_pj=energy_pj,
            drawn_pj=energy_pj[:, None],
        )

    def _energy_pj(self, profile: str, name: str) -> float:
        cell = (self.model_extra or {}).get(f"{profile}:{name}")
        return np.nan if cell in (None, "") else float(cell)


class PublishedTable(Table):
    """The file conventional.csv."""

    row: ClassVar[type[Row]] = PublishedNetwork
    rows: tuple[PublishedNetwork, ...]


_packaged_prices = cache(load_profiles)


@cache
def _packaged() -> tuple[PublishedNetwork, ...]:
    table = files("spikejoule.energy") / "conventional.csv"
    return PublishedTable.read(str(table)).rows


def published_networks(data_source: str) -> tuple[PublishedNetwork, ...]:
    """The published conventional networks of a data set; none for data without any."""
    return tuple(
        network for network in _packaged() if network.data_source == data_source
    )


def front_points(
    networks: Iterable[PublishedNetwork], profile: HardwareProfile
) -> list[FrontPoint]:
    """Published networks under a price list: those that it may judge.

    None under a price list that is not the packaged one of its name, since published
    energies are under those prices.
    """
    if profile != _packaged_prices().get(profile.id):
        return []
    points = [
        network.point(profile.id)
        for network in networks
        if profile.judges_width(network.weight_bits)
    ]
    return [point for point in points if point is not None]
