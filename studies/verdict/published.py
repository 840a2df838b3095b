"""The conventional networks that the study publishes: what every run is compared with.

`spikejoule.energy.published` reads them from `src/spikejoule/energy/conventional.csv`,
next to the price lists: means over seeds of the recorded conventional networks, with
the commits that trained them and the date.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Final

from spikejoule.core.provenance import git
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import CONVENTIONAL
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
"""The data with published networks."""

ROOT: Final = FOLDER.parents[1]
TABLE: Final = ROOT / "src" / "spikejoule" / "energy" / "conventional.csv"


def published_table(folder: Path = FOLDER) -> PublishedTable:
    """The table, from the recorded networks in a folder."""
    networks = [
        network
        for source in DATA_SOURCES
        for network in NetworkTable.read(recorded_table(source, folder)).rows
        if network.side == CONVENTIONAL and _reads_whole_images(network)
    ]
    return PublishedTable(rows=tuple(_means(networks)))


def _reads_whole_images(network: RecordedNetwork) -> bool:
    return (network.crop_pixels or 0) == 0 and (network.average_pixels or 1) == 1


def _means(networks: Iterable[RecordedNetwork]) -> Iterator[PublishedNetwork]:
    """A row for each configuration of enough seeds, run in one way."""
    for _, group in groupby(sorted(networks, key=_configuration), _configuration):
        of_seeds = sorted(group, key=lambda network: network.seed)
        if len(of_seeds) >= ENOUGH_SEEDS:
            yield _mean(of_seeds)


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
        validation_percent=rounded(
            fmean(one.validation_percent for one in networks), 8
        ),
        test_percent=rounded(fmean(one.test_percent for one in networks), 8),
        git_commits=" ".join(commits),
        recorded=max(_date(commit) for commit in commits),
        **_energies(networks),
    )


def _energies(networks: Sequence[RecordedNetwork]) -> dict[str, float]:
    """Mean energies under the price lists that every network has."""
    shared = set.intersection(*(network.priced for network in networks))
    return {
        name: rounded(fmean(network.energies[name] or 0.0 for network in networks), 8)
        for name in networks[0].energies
        if name in shared and not name.endswith(DEVIATION)
    }


def _date(commit: str) -> str:
    return git(ROOT, "show", "-s", "--format=%cs", commit)
