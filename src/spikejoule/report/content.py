"""What page and card show: the analysis, what is beside it, and the verdict against all networks.

The verdict of an analysis is against the conventional networks of its own run. Recorded runs may
hold cheaper ones: they are in the table of both Pareto fronts, and the page compares with them too.
Energies are taken from that table and from the analysis; none is computed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spikejoule.core.provenance import file_digest
from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.comparison import Verdict
from spikejoule.energy.ledger import CONVENTIONAL
from spikejoule.energy.tables import FrontsRow, VerdictRow
from spikejoule.energy.words import among_recorded, compared_words, verdict_sentences
from spikejoule.evaluation.accuracy import StepRow
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.front_rows import FrontRow

if TYPE_CHECKING:
    from spikejoule.model.trained import TrainedNetwork
    from spikejoule.report.charts.raster import SpikeRaster


@dataclass(frozen=True, eq=False)
class PageContent:
    """Everything on the page; what is not known is empty, and the page says so.

    Attributes:
        analysis: the priced counts.
        by_step: accuracy if every image is answered at step 1, 2, ...
        early: early exit, by either rule.
        front: the runs of a sweep.
        levels: the verdicts of all recorded runs.
        fronts: the networks of these runs that none of their side beats.
        raster: the spikes of one image.
        provenance: parameters, data and checksums, label and value.
        data_source: the data of this run, as the runs of a sweep name theirs; those of other data
            are not compared with.
    """

    analysis: EnergyAnalysis
    by_step: tuple[StepRow, ...] = ()
    early: EarlyExit | None = None
    front: tuple[FrontRow, ...] = ()
    levels: tuple[VerdictRow, ...] = ()
    fronts: tuple[FrontsRow, ...] = ()
    raster: "SpikeRaster | None" = None
    provenance: tuple[tuple[str, str], ...] = ()
    data_source: str = ""

    @property
    def recorded(self) -> tuple[FrontsRow, ...]:
        """The recorded conventional networks that were counted on the data of this run."""
        if any(run.data_source != self.data_source for run in self.front) or not self.front:
            return ()
        return tuple(row for row in self.fronts if row.side == CONVENTIONAL)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """This network against all, under every profile that compares."""
        return tuple(among_recorded(one, self.recorded) for one in self.analysis.verdicts)

    @property
    def verdict(self) -> Verdict | None:
        """The same under the verdict's profile; None where that one does not compare."""
        judging = self.analysis.judging
        return next((one for one in self.verdicts if one.profile == judging), None)

    @property
    def compared_words(self) -> str:
        """Which conventional networks the verdict's profile compares with: how many, and whose."""
        return compared_words(self.analysis, self.recorded, self._aside)

    @property
    def answer(self) -> tuple[str, ...]:
        """Who needs less energy at equal accuracy, among all known networks."""
        return verdict_sentences(self.analysis, self.recorded, self._aside)

    @property
    def _aside(self) -> str:
        if not self.fronts:
            return ""
        return "; those that are recorded ran on other data or under other profiles"


def network_provenance(network: "TrainedNetwork", path: Path) -> tuple[tuple[str, str], ...]:
    """Data, parameters and checksum of a trained network, which `path` holds; label and value."""
    data = network.data
    return (
        ("again", "check out this revision of the project, then: make repro"),
        ("data source", str(data["source"])),
        *((f"SHA-256 of {name}", str(digest)) for name, digest in data["sha256"].items()),
        ("SHA-256 of the trained network", file_digest(path, "sha256")),
        *((f"encode: {name}", str(value)) for name, value in network.encoding.items()),
        *((f"train: {name}", str(value)) for name, value in network.training_config.items()),
    )


def front_provenance(runs: Sequence[FrontRow], path: Path) -> tuple[tuple[str, str], ...]:
    """Where the front's runs come from: not from this run of the pipeline; nothing without runs."""
    if not runs:
        return ()
    commits = {run.run_id: run.git_commit for run in runs}
    return (
        ("the front", f"recorded earlier by make front in {path.name}, not made by this run"),
        *((f"the front: MLflow run {run}", f"commit {commit}") for run, commit in commits.items()),
        (f"SHA-256 of {path.name}", file_digest(path, "sha256")),
    )
