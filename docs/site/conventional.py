"""The published conventional networks: `python -m docs.site.conventional` writes the table.

It holds means over the seeds of the recorded networks in metrics/fronts.csv (MNIST) and
metrics/fronts-mnist5k.csv (5,000 digits), of every conventional configuration that was trained
from enough seeds. Runs are compared with them (`spikejoule.energy.published`).
"""

import subprocess
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from spikejoule.energy.bands import ENOUGH_SEEDS, FrontsTable, RecordedNetwork
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import CONVENTIONAL
from spikejoule.energy.published import PublishedNetwork, PublishedTable

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ("fronts", "fronts-mnist5k")
"""Tables of recorded networks in metrics/."""
TABLE = ROOT / "src" / "spikejoule" / "energy" / "conventional.csv"

_SPREAD = "pj_standard_deviation"


def published() -> PublishedTable:
    """The table, from the recorded networks."""
    rows = [
        row
        for name in RECORDED
        for row in FrontsTable.read(ROOT / "metrics" / f"{name}.csv").rows
        if row.side == CONVENTIONAL and _reads_whole_images(row)
    ]
    return PublishedTable(rows=tuple(_means(rows)))


def _reads_whole_images(row: RecordedNetwork) -> bool:
    return (row.crop_pixels or 0) == 0 and (row.average_pixels or 1) == 1


def _means(rows: Sequence[RecordedNetwork]) -> Iterator[PublishedNetwork]:
    """A row for each configuration of enough seeds, run in one way."""
    ordered = sorted(rows, key=_configuration)
    for _, group in groupby(ordered, _configuration):
        networks = sorted(group, key=lambda network: network.seed)
        if len(networks) >= ENOUGH_SEEDS:
            yield _mean(networks)


def _configuration(row: RecordedNetwork) -> tuple[str, ...]:
    return row.data_source, row.network, row.method, row.configuration


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
        validation_percent=rounded(fmean(one.validation_percent for one in networks), 8),
        test_percent=rounded(fmean(one.test_percent for one in networks), 8),
        git_commits=" ".join(commits),
        recorded=max(_date(commit) for commit in commits),
        **_energies(networks),
    )


def _energies(networks: Sequence[RecordedNetwork]) -> dict[str, Any]:
    """Mean energies under the price lists that every network has."""
    shared = set.intersection(*(network.priced for network in networks))
    return {
        name: rounded(fmean(float((one.model_extra or {})[name]) for one in networks), 8)
        for name in networks[0].model_extra or {}
        if name in shared and not name.endswith(_SPREAD)
    }


def _date(commit: str) -> str:
    command = ["git", "-C", str(ROOT), "show", "-s", "--format=%cs", commit]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    published().write(TABLE)
