"""The published conventional networks, with which every run is compared.

They are means over seeds of the recorded conventional networks, with the commits that
trained them and the date. `spikejoule.energy.published` reads them from
`src/spikejoule/energy/conventional.csv`, next to the price lists.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Final

from spikejoule.core.provenance import git
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import CONVENTIONAL
from spikejoule.energy.prices import load_profiles
from spikejoule.energy.published import PublishedNetwork, PublishedTable
from studies.verdict.networks import (
    DEVIATION,
    FOLDER,
    NetworkTable,
    RecordedNetwork,
    recorded_table,
)
from studies.verdict.statistics import ENOUGH_SEEDS

DATA_SOURCES: Final = ("mnist", "mnist5k")
"""Data sets with published networks."""

ROOT: Final = FOLDER.parents[1]
TABLE: Final = ROOT / "src" / "spikejoule" / "energy" / "conventional.csv"


def published_table(folder: Path = FOLDER) -> PublishedTable:
    """Compute the table from the recorded networks in a folder."""
    networks: list[RecordedNetwork] = []
    for source in DATA_SOURCES:
        networks += NetworkTable.read(recorded_table(source, folder)).rows
    published = [
        network
        for network in networks
        if network.side == CONVENTIONAL and _reads_whole_images(network)
    ]
    return PublishedTable(rows=tuple(_means(published)))


def _reads_whole_images(network: RecordedNetwork) -> bool:
    return (network.crop_pixels or 0) == 0 and (network.average_pixels or 1) == 1


def _means(networks: Iterable[RecordedNetwork]) -> Iterator[PublishedNetwork]:
    """Yield a row for each configuration and method with enough seeds."""
    for _, group in groupby(sorted(networks, key=_configuration), _configuration):
        seeds = sorted(group, key=lambda network: network.seed)
        if len(seeds) >= ENOUGH_SEEDS:
            yield _mean(seeds)


def _configuration(network: RecordedNetwork) -> tuple[str, ...]:
    return network.data_source, network.network, network.method, network.configuration


def _mean(networks: Sequence[RecordedNetwork]) -> PublishedNetwork:
    first = networks[0]
    commits = list(dict.fromkeys(network.git_commit for network in networks))
    return PublishedNetwork(
        data_source=first.data_source,
        network=first.network,
        method=first.method,
        weight_bits=first.weight_bits,
        n_images=first.n_images,
        seeds=" ".join(str(network.seed) for network in networks),
        validation_percent=_rounded_mean(
            network.validation_percent for network in networks
        ),
        test_percent=_rounded_mean(network.test_percent for network in networks),
        git_commits=" ".join(commits),
        recorded=max(_date(commit) for commit in commits),
        **_energies(networks),
    )


def _energies(networks: Sequence[RecordedNetwork]) -> dict[str, float]:
    """Mean energies under the packaged price lists that every network has."""
    energies = [network.energies for network in networks]
    shared = set.intersection(*(network.priced for network in networks))
    packaged = load_profiles()
    return {
        name: _rounded_mean(cells[name] or 0.0 for cells in energies)
        for name in energies[0]
        if name in shared
        and name.partition(":")[0] in packaged
        and not name.endswith(DEVIATION)
    }


def _rounded_mean(values: Iterable[float]) -> float:
    mean: float = rounded(fmean(values), 8)
    return mean


def _date(commit: str) -> str:
    return git(ROOT, "show", "-s", "--format=%cs", commit)
