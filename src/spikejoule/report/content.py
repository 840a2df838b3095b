"""What page and card show: the analysis, what is beside it, and the verdict against all networks.

The verdict of an analysis is against the conventional networks of its own run. Recorded runs may
hold cheaper ones: they are in the table of both Pareto fronts, and the page compares with them too.
Energies are taken from that table and from the analysis; none is computed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikejoule.core.provenance import file_digest
from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.comparison import Choice, Outcome, Ratio, Verdict
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import CONVENTIONAL
from spikejoule.energy.tables import FrontsRow, VerdictRow
from spikejoule.energy.words import (
    accuracy_words,
    energy_words,
    ratio_words,
    verdict_sentences,
)
from spikejoule.evaluation.accuracy import StepRow
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.raster import SpikeRaster
from spikejoule.report.words import range_words

if TYPE_CHECKING:
    from spikejoule.model.trained import TrainedNetwork

# Of two energies that differ by less, one was rounded when it was recorded.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class Standing:
    """This network against the cheapest conventional one of at least its accuracy, by a profile.

    Attributes:
        verdict: against the networks of its own run.
        network: the cheapest of all that are known, and how it is run; "" if none reaches the
            accuracy.
        accuracies: that one's, in words.
        energy: that one's, in words.
        ratio: this network's energy over it; None unless both reach the accuracy.
        is_recorded: whether it is of a recorded run, and not of this one.
    """

    verdict: Verdict
    network: str
    accuracies: str
    energy: str
    ratio: Ratio | None
    is_recorded: bool

    @property
    def outcome(self) -> Outcome:
        """Who wins."""
        return self.verdict.outcome if self.ratio is None else self.ratio.verdict

    @property
    def network_words(self) -> str:
        """The network that is compared with, with its accuracies and where it is from."""
        if not self.network:
            return "nobody reaches it"
        recorded = ", recorded" if self.is_recorded else ""
        return f"{self.network} ({self.accuracies}{recorded})"


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
    raster: SpikeRaster | None = None
    provenance: tuple[tuple[str, str], ...] = ()
    data_source: str = ""

    @property
    def recorded(self) -> tuple[FrontsRow, ...]:
        """The recorded conventional networks that were counted on the data of this run."""
        if any(run.data_source != self.data_source for run in self.front) or not self.front:
            return ()
        return tuple(row for row in self.fronts if row.side == CONVENTIONAL)

    @property
    def standings(self) -> tuple[Standing, ...]:
        """This network against all, under every profile that compares."""
        return tuple(_standing(one, self.recorded) for one in self.analysis.verdicts)

    @property
    def standing(self) -> Standing | None:
        """The same under the verdict's profile; None where that one does not compare."""
        return _first(self.analysis.verdict, self.recorded)

    @property
    def early_standing(self) -> Standing | None:
        """The same for early exit."""
        return _first(self.analysis.early_verdict, self.recorded)

    @property
    def compared_words(self) -> str:
        """Which conventional networks the verdict's profile compares with: how many, and whose."""
        own = len({one.network for one in self.analysis.baselines})
        under = self.analysis.verdict_profile
        names = {row.network.rpartition(", ")[0] for row in self.recorded if row.profile == under}
        if names:
            return (
                f"{own + len(names)} conventional networks ({own} of this run, and the "
                f"{len(names)} of recorded runs that no other recorded one beats)"
            )
        other = ""
        if self.fronts:
            other = "; those that are recorded ran on other data or under other profiles"
        return f"{own} conventional network{'' if own == 1 else 's'} (of this run alone{other})"


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


def answer_sentences(content: PageContent) -> tuple[str, ...]:
    """Who needs less energy at equal accuracy, among all known networks; the answer comes first."""
    standing, early = content.standing, content.early_standing
    if standing is None or standing.verdict.spiking is None:
        return verdict_sentences(content.analysis)
    verdict, snn, ratio = standing.verdict, standing.verdict.spiking, standing.ratio
    level = f"{verdict.level_percent:.2f} % on validation {content.analysis.inputs.subject.samples}"
    under = f"under {verdict.profile.id}"
    if ratio is None:
        return (
            f"At its accuracy ({level}) it stands alone {under}: none of "
            f"{content.compared_words} reaches it. It needs {energy_words(snn.energy)} per "
            "inference.",
        )
    outcome = {
        "ann": "The spiking network loses at equal accuracy ({}) {}",
        "snn": "The spiking network wins at equal accuracy ({}) {}",
        "undecided": "Undecided at equal accuracy ({}) {}, since the range of the ratio holds 1",
    }[ratio.verdict].format(level, under)
    sentences = [
        f"{outcome}: {energy_words(snn.energy)} per inference, {ratio_words(ratio)} times the "
        f"{standing.energy} of {standing.network_words}, the cheapest of at least that accuracy "
        f"among {content.compared_words}."
    ]
    if early is not None and early.verdict.spiking is not None and early.ratio is not None:
        sentences.append(
            f"With early exit it needs {energy_words(early.verdict.spiking.energy)}, "
            f"{ratio_words(early.ratio)} times what the cheapest of equal accuracy does."
        )
    standings = content.standings
    values = [one.ratio.value for one in standings if one.ratio is not None and one.ratio.value]
    spread = ""
    if values:
        spread = f"; where prices have a value, the ratio is {min(values):.3g} to {max(values):.3g}"
    won = sum(one.outcome == "snn" for one in standings)
    sentences.append(f"It wins under {won} of the {len(standings)} profiles that compare{spread}.")
    return tuple(sentences)


def _first(verdict: Verdict | None, recorded: Sequence[FrontsRow]) -> Standing | None:
    return None if verdict is None else _standing(verdict, recorded)


def _standing(verdict: Verdict, recorded: Sequence[FrontsRow]) -> Standing:
    own, snn = verdict.conventional, verdict.spiking
    reaching = [
        row
        for row in recorded
        if row.profile == verdict.profile.id and row.validation_percent >= verdict.level_percent
    ]
    best = min(reaching, key=lambda row: row.middle_pj, default=None)
    if best is None or (own is not None and _middle_pj(own) <= best.middle_pj * (1 + _ROUNDING)):
        if own is None:
            return Standing(verdict, "", "", "", None, False)
        words = accuracy_words(own.variant)
        energy = energy_words(own.energy)
        return Standing(verdict, own.variant.name, words, energy, verdict.ratio, False)
    return Standing(
        verdict,
        best.network,
        f"{best.validation_percent:.2f} % validation, {best.test_percent:.2f} % test",
        range_words(best.pj_low, best.pj, best.pj_high, 4),
        None if snn is None else _ratio(snn.energy, best),
        True,
    )


def _middle_pj(choice: Choice) -> float:
    energy = choice.energy
    return (energy.low.mean + energy.high.mean) / 2 if energy.value is None else energy.value.mean


def _ratio(energy: Energy, row: FrontsRow) -> Ratio:
    """An energy over a recorded one, from the least to the most by both their ranges."""
    value = None
    if energy.value is not None and row.pj:
        value = energy.value.mean / row.pj
    low = energy.lowest_pj / row.pj_high if row.pj_high else float("inf")
    return Ratio(value, low, energy.highest_pj / row.pj_low if row.pj_low else float("inf"))
