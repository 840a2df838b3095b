"""Published conventional networks: the package's references for every run.

`conventional.csv` holds conventional networks trained from several seeds per data set,
as means over the seeds, with the commits that trained them and the date. Comparing with
them makes the verdict independent of one lucky seed, and of which networks a run itself
has trained.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from spikejoule.compare.front import Side
from spikejoule.core.schema import (
    Count,
    MaybeNotNegative,
    Percent,
    Row,
    Table,
    Text,
)
from spikejoule.energy.estimates import Energy
from spikejoule.energy.prices import HardwareProfile, load_profiles


class PublishedNetwork(Row):
    """A conventional network, run in one way: a row of conventional.csv.

    Further columns hold its pJ per inference under each price list that judges it:
    ``ID:pj``, or ``ID:pj_low`` and ``ID:pj_high`` if prices are ranges.

    Attributes:
        data_source: the data it was trained and tested on.
        network, method: its name and how it is run.
        weight_bits: width of its weights.
        n_images: test images behind test accuracy and energies.
        seeds: training seeds, separated by spaces.
        validation_percent, test_percent: accuracies, means over the seeds.
        git_commits: the commits that trained it, separated by spaces.
        recorded: date of the last of these commits.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, MaybeNotNegative] = Field(init=False)

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

    def point(self, profile: str) -> Side | None:
        """Return the network under a price list; None if it has no energy there."""
        low = self._energy_pj(profile, "pj_low")
        value = self._energy_pj(profile, "pj")
        high = self._energy_pj(profile, "pj_high")
        if not np.isnan(value):
            low = high = value
        if np.isnan(low):
            return None
        return Side(
            network=self.network,
            method=self.method,
            validation_percent=self.validation_percent,
            test_percent=self.test_percent,
            energy=Energy.of([low, value, high]),
            # No resamples: only means are published.
            drawn_pj=np.array([[low], [value], [high]]),
            n_seeds=len(self.seeds.split()),
        )

    def _energy_pj(self, profile: str, end: str) -> float:
        energy_pj = self.__pydantic_extra__.get(f"{profile}:{end}")
        return np.nan if energy_pj is None else energy_pj


class PublishedTable(Table):
    """The file conventional.csv."""

    row: ClassVar[type[Row]] = PublishedNetwork
    rows: tuple[PublishedNetwork, ...]


_packaged_prices = cache(load_profiles)


@cache
def _packaged() -> tuple[PublishedNetwork, ...]:
    table = files("spikejoule.compare") / "conventional.csv"
    return PublishedTable.read(str(table)).rows


def published_networks(data_source: str) -> tuple[PublishedNetwork, ...]:
    """Return the published conventional networks of a data set, if there are any."""
    return tuple(
        network for network in _packaged() if network.data_source == data_source
    )


def front_points(
    networks: Iterable[PublishedNetwork], profile: HardwareProfile
) -> list[Side]:
    """Return the published networks that a price list may judge.

    Published energies hold for the packaged price lists, so a user's price list with
    other prices gets none.
    """
    if profile != _packaged_prices().get(profile.id):
        return []
    points = [
        network.point(profile.id)
        for network in networks
        if profile.eligibility.judges_width(network.weight_bits)
    ]
    return [point for point in points if point is not None]
