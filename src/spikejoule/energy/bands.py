"""The verdict over recorded networks: which side needs less energy at about an accuracy.

A recorded network is one draw of its seed, its energy a mean over some images, and the bar of an
accuracy a choice. The verdict at a level is therefore drawn many times. In each draw the seeds of a
configuration (networks that differ in nothing else) are drawn with replacement, the mean energy of
each network from a normal distribution of its standard error over images, and the bar uniformly
from the band of `HALF_BAND` around the level. Each side sends its configuration of least mean
energy among those whose mean validation accuracy reaches the bar; their ratio is the result. What
they reach on test images is stated and chooses nothing. Bootstrap: Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13.

Standard errors are taken as independent although the images are shared: intervals are wider for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from spikejoule.core.schema import (
    Count,
    MaybeNotNegative,
    MaybePercent,
    Percent,
    Row,
    Sha256,
    Table,
    Text,
)
from spikejoule.core.store import FilePath
from spikejoule.energy.comparison import Outcome
from spikejoule.energy.estimates import BootstrapSettings, Energy, Floats, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Side, Variant, judges
from spikejoule.energy.prices import HardwareProfile, price
from spikejoule.energy.words import sentences

LEVELS_PERCENT: Final = (97.5, 98.0, 98.5, 99.0)
"""Validation accuracies that a verdict is requested for."""

HALF_BAND: Final = 0.3
"""Points of accuracy by which the bar of a level may be lower or higher."""

CROSSING_LEVELS: Final = tuple(round(97 + 0.1 * step, 1) for step in range(23))
"""Accuracies between which a crossing of the fronts is looked for."""

ENOUGH_SEEDS: Final = 5
"""Of a configuration; one of fewer takes part and is marked."""

_PJ = ("pj_low", "pj", "pj_high", "pj_standard_deviation")


class RecordedNetwork(Row):
    """A recorded network in one way of running it: a row of metrics/fronts.csv.

    Further columns are its energies under each profile that compares it, pJ per inference, means
    over its images: ``PROFILE:pj``, or ``PROFILE:pj_low`` and ``PROFILE:pj_high`` where prices are
    brackets alone, and ``PROFILE:pj_standard_deviation`` over images.

    Attributes:
        run, run_id, git_commit: of the run that recorded it.
        data_source: of its images.
        side: ``spiking`` or ``conventional``.
        network, method: what it is and how it is run.
        configuration: equal for networks that differ in nothing but the seed.
        seed: of its training.
        weights_sha256: checksum of its weights.
        weight_bits: width of its weights.
        n_images: test images that its energies and its test accuracy are of.
        validation_percent, test_percent: accuracies.
        train_seconds: of its training by the clock, of a conventional network an equal share of
            what those of its run took together; None where it is not known.
    """

    model_config = ConfigDict(extra="allow")

    run: Text
    run_id: str = Field(pattern="^[0-9a-f]{32}$")
    git_commit: Text
    data_source: Text
    side: Side
    network: Text
    method: Text
    configuration: Text
    seed: Count
    weights_sha256: Sha256
    weight_bits: Count
    n_images: Count
    validation_percent: Percent
    test_percent: Percent
    train_seconds: MaybeNotNegative = None

    @property
    def name(self) -> str:
        """The network and how it is run; a spiking one bears the name of its run, by which it can
        be trained again."""
        network = f"{self.network}, {self.method}"
        return network if self.side == CONVENTIONAL else f"{self.run}: {network}"

    def energy(self, profile: str) -> Energy | None:
        """Under a profile; None where that does not compare it."""
        cells = [(self.model_extra or {}).get(f"{profile}:{name}") for name in _PJ]
        low, value, high, spread = (np.nan if of in (None, "") else float(of) for of in cells)
        ends = (low, value, high) if np.isnan(value) else (value, value, value)
        return None if np.isnan(spread) else Energy.of([*ends, spread])


def energy_cells(variant: Variant, profiles: Iterable[HardwareProfile]) -> dict[str, float]:
    """The further columns of a network that was counted image by image."""
    cells: dict[str, float] = {}
    for profile in profiles:
        if judges(profile, variant):
            low, value, high = price(variant.operations, profile)
            has_value = not np.isnan(value).any()
            named = {"pj": value} if has_value else {"pj_low": low, "pj_high": high}
            found = {name: float(of.mean()) for name, of in named.items()}
            found["pj_standard_deviation"] = float(
                (value if has_value else high).std(ddof=len(high) > 1)
            )
            cells |= {f"{profile.id}:{name}": rounded(pj, 8) for name, pj in found.items()}
    return cells


class FrontsTable(Table):
    """The file: metrics/fronts.csv."""

    row: ClassVar[type[Row]] = RecordedNetwork
    rows: tuple[RecordedNetwork, ...]

    def write(self, path: FilePath, further_columns: Sequence[str] = ()) -> None:
        """Write the table as CSV, atomically, with the energies of all rows."""
        energies = dict.fromkeys(name for row in self.rows for name in row.model_extra or {})
        filled = tuple(RecordedNetwork(**{**energies, **row.model_dump()}) for row in self.rows)
        Table.write(FrontsTable(rows=filled), path, [*energies, *further_columns])


class BandVerdict(Row):
    """Both sides at about an accuracy under one profile: a row of metrics/verdict.csv.

    Attributes:
        profile: its id.
        level_percent, level_low_percent, level_high_percent: validation accuracy, and its band.
        outcome: ``snn`` or ``ann``, whichever needs less energy, or alone reaches the bar, in all
            draws but those beyond one end of the interval; ``neither``, if likewise neither reaches
            it; ``undecided``.
        ratio, ratio_low, ratio_high: the spiking side's energy over the other's, median and
            interval over the draws in which both reach the bar; None if there are none. The median
            is None too where prices are brackets alone, which widen the interval.
        crossing_percent, crossing_low_percent, crossing_high_percent: the lowest accuracy at which
            the winner changes, under this profile (the same in each of its rows), median and
            interval over the draws in which it does.
        crossing_share_percent: draws in which it does.
        crossing_to: who wins above, in most of them; empty for nobody.
        spiking, conventional: the configuration that its side sends most often, by its network of
            the least seed; empty if none ever reaches the bar. Of each, over its seeds: `_n_seeds`;
            mean and standard deviation of accuracies (`_validation_percent`, `_validation_spread`,
            `_test_percent`, `_test_spread`; a spread is None for one seed); the mean energy, `_pj`,
            None where prices are brackets alone, and its ends; `_runs` and `_commits`. And the
            draws in which nothing of its side reaches the bar (`_missing_percent`).
    """

    profile: Text
    level_percent: Percent
    level_low_percent: Percent
    level_high_percent: Percent
    outcome: Outcome
    ratio: MaybeNotNegative
    ratio_low: MaybeNotNegative
    ratio_high: MaybeNotNegative
    crossing_percent: MaybePercent
    crossing_low_percent: MaybePercent
    crossing_high_percent: MaybePercent
    crossing_share_percent: Percent
    crossing_to: str
    spiking: str
    spiking_n_seeds: Count
    spiking_validation_percent: MaybePercent
    spiking_validation_spread: MaybeNotNegative
    spiking_test_percent: MaybePercent
    spiking_test_spread: MaybeNotNegative
    spiking_pj_low: MaybeNotNegative
    spiking_pj: MaybeNotNegative
    spiking_pj_high: MaybeNotNegative
    spiking_missing_percent: Percent
    spiking_runs: str
    spiking_commits: str
    conventional: str
    conventional_n_seeds: Count
    conventional_validation_percent: MaybePercent
    conventional_validation_spread: MaybeNotNegative
    conventional_test_percent: MaybePercent
    conventional_test_spread: MaybeNotNegative
    conventional_pj_low: MaybeNotNegative
    conventional_pj: MaybeNotNegative
    conventional_pj_high: MaybeNotNegative
    conventional_missing_percent: Percent
    conventional_runs: str
    conventional_commits: str

    def energy(self, side: Side) -> Energy:
        """The mean energy of a side that ever reaches the bar."""
        return Energy(*(getattr(self, f"{side}_{of}") for of in _PJ[:3]))


class VerdictTable(Table):
    """The file: metrics/verdict.csv."""

    row: ClassVar[type[Row]] = BandVerdict
    rows: tuple[BandVerdict, ...]


@dataclass(frozen=True, eq=False)
class Draws:
    """Recorded networks, those of a configuration together, and what was drawn of them.

    Attributes:
        networks: N of them.
        starts: number of the first network of each of C configurations, [C].
        shares: of a network in the mean of its configuration, float64 [B, N].
        noise: standard errors by which its energy is off, float64 [B, N].
        bars: points by which the bar of a level is off, float64 [B].
    """

    networks: tuple[RecordedNetwork, ...]
    starts: NDArray[np.intp]
    shares: Floats
    noise: Floats
    bars: Floats

    @classmethod
    def of(cls, networks: Iterable[RecordedNetwork], settings: BootstrapSettings) -> Self:
        """Draw seeds, energies and bars."""

        def configuration(one: RecordedNetwork) -> tuple[str, ...]:
            return one.side, one.configuration, one.method

        ordered = sorted(networks, key=lambda one: (configuration(one), one.seed))
        sizes = [len([*members]) for _, members in groupby(ordered, configuration)]
        generator = np.random.default_rng(settings.seed)
        shares = [
            generator.multinomial(size, [1 / size] * size, settings.resamples) / size
            for size in sizes
        ]
        return cls(
            tuple(ordered),
            np.cumsum([0, *sizes[:-1]]),
            np.hstack(shares),
            generator.standard_normal((settings.resamples, len(ordered))),
            generator.uniform(-HALF_BAND, HALF_BAND, settings.resamples),
        )

    def members(self, configuration: int) -> tuple[RecordedNetwork, ...]:
        """The networks of a configuration, by seed."""
        ends = [*self.starts.tolist(), len(self.networks)]
        return self.networks[ends[configuration] : ends[configuration + 1]]

    def means(self, values: Floats) -> Floats:
        """Means over the drawn seeds of each configuration, of values [N] or [B, N]; [B, C]."""
        means: Floats = np.add.reduceat(self.shares * values, self.starts, axis=1)
        return means

    def accuracies(self) -> Floats:
        """On validation images, [B, C]."""
        return self.means(np.array([one.validation_percent for one in self.networks]))

    def energies(self, profile: str) -> Floats:
        """Low, middle and high under a profile, [3, B, C]; infinite where it does not compare."""
        known = [one.energy(profile) for one in self.networks]
        compares = np.logical_and.reduceat([one is not None for one in known], self.starts)
        found = [one or Energy(1.0, 1.0, 1.0, 0.0) for one in known]
        # The spread is that of the upper end, and of the others in proportion.
        relative = [(one.standard_deviation_pj or 0.0) / one.high_pj for one in found]
        error = 1 + self.noise * relative / np.sqrt([one.n_images for one in self.networks])
        means = [
            self.means(np.array([getattr(one, f"{end}_pj") for one in found]) * error)
            for end in ("low", "middle", "high")
        ]
        return np.where(compares, np.stack(means), np.inf)


@dataclass(frozen=True, eq=False)
class Duels:
    """What both sides send in each of B draws.

    Attributes:
        sent: numbers of the configurations, the spiking side's first, int64 [2, B]; -1 for none.
        ratios: the spiking side's energy over the other's, by the prices' low ends, middles and
            high ends, float64 [3, B]; NaN where one sends none.
    """

    sent: NDArray[np.intp]
    ratios: Floats

    @property
    def wins(self) -> NDArray[np.bool_]:
        """In which draws the spiking, and in which the conventional side wins, [2, B]."""
        is_sent = self.sent >= 0
        return np.stack(
            [
                is_sent[0] & ~is_sent[1] | (self.ratios[2] < 1),
                is_sent[1] & ~is_sent[0] | (self.ratios[0] > 1),
            ]
        )


def duels(accuracies: Floats, energies: Floats, is_spiking: NDArray[np.bool_], bars: Any) -> Duels:
    """Send the cheapest configuration of each side that reaches the bar, in every draw.

    Args:
        accuracies: of C configurations in B draws, [B, C].
        energies: low, middle and high, [3, B, C]; infinite for one that takes no part.
        is_spiking: its side, [C].
        bars: validation accuracy to reach, of each draw, [B], or of all.
    """
    draws = np.arange(len(accuracies))
    reaches = (accuracies >= np.reshape(bars, (-1, 1))) & np.isfinite(energies[1])
    sent = []
    for of_side in (is_spiking, ~is_spiking):
        cost = np.where(reaches & of_side, energies[1], np.inf)
        best = cost.argmin(axis=1)
        sent.append(np.where(np.isfinite(cost[draws, best]), best, -1))
    (snn_low, snn, snn_high), (ann_low, ann, ann_high) = (
        np.where(one >= 0, energies[:, draws, one], np.nan) for one in sent
    )
    ratios = np.stack([snn_low / ann_high, snn / ann, snn_high / ann_low])
    return Duels(np.stack(sent), ratios)


def band_verdicts(
    networks: Sequence[RecordedNetwork],
    profiles: Iterable[HardwareProfile],
    settings: BootstrapSettings,
) -> tuple[BandVerdict, ...]:
    """Every profile under which both sides have networks, at every level."""
    if not networks:
        return ()
    draws = Draws.of(networks, settings)
    accuracies = draws.accuracies()
    is_spiking = np.array([draws.networks[first].side == SPIKING for first in draws.starts])
    found = []
    for profile in profiles:
        energies = draws.energies(profile.id)
        takes_part = np.isfinite(energies[1, 0])
        if not (takes_part & is_spiking).any() or not (takes_part & ~is_spiking).any():
            continue
        crossing = _crossing(accuracies, energies, is_spiking, settings.confidence)
        for level in LEVELS_PERCENT:
            at = duels(accuracies, energies, is_spiking, level + draws.bars)
            cells = _level(at, settings.confidence) | crossing
            for sent, side in zip(at.sent, get_args(Side), strict=True):
                cells |= _side(draws, sent, side, profile.id)
            found.append(
                BandVerdict(
                    profile=profile.id,
                    level_percent=level,
                    level_low_percent=round(level - HALF_BAND, 6),
                    level_high_percent=round(level + HALF_BAND, 6),
                    **{name: rounded(cell, 8) for name, cell in cells.items()},
                )
            )
    return tuple(found)


def _ends(confidence: float) -> list[float]:
    return [(1 - confidence) / 2, (1 + confidence) / 2]


def _level(at: Duels, confidence: float) -> dict[str, Any]:
    """The outcome at a level and the ratio, of its draws."""
    shares = [*at.wins.mean(axis=1), (at.sent < 0).all(axis=0).mean()]
    decided = zip(("snn", "ann", "neither"), shares, strict=True)
    outcome = next((who for who, share in decided if share >= _ends(confidence)[1]), "undecided")
    cells: dict[str, Any] = dict.fromkeys(("ratio", "ratio_low", "ratio_high"))
    both = at.ratios[:, ~np.isnan(at.ratios[1])]
    if both.size:
        low, high = (
            float(np.quantile(both[of], end))
            for of, end in zip((0, 2), _ends(confidence), strict=True)
        )
        cells |= {"ratio_low": low, "ratio_high": high}
        if (both[0] == both[2]).all():
            cells["ratio"] = float(np.median(both[1]))
    return {"outcome": outcome, **cells}


def _crossing(
    accuracies: Floats, energies: Floats, is_spiking: NDArray[np.bool_], confidence: float
) -> dict[str, Any]:
    """Where the winner changes first, from the lowest of `CROSSING_LEVELS` upwards."""
    n_draws = len(accuracies)
    winner, since, place = np.zeros(n_draws, int), np.zeros(n_draws), np.full(n_draws, np.nan)
    above = np.zeros(n_draws, int)
    for level in CROSSING_LEVELS:
        wins = duels(accuracies, energies, is_spiking, level).wins
        now = np.where(wins[0], 1, np.where(wins[1], -1, 0))
        changes = np.isnan(place) & (winner * now < 0)
        place[changes], above[changes] = (since[changes] + level) / 2, now[changes]
        winner, since = np.where(now, now, winner), np.where(now, level, since)
    crossed = place[~np.isnan(place)]
    names = ("crossing_percent", "crossing_low_percent", "crossing_high_percent")
    low, high = _ends(confidence)
    found = np.quantile(crossed, [0.5, low, high]).tolist() if crossed.size else [None] * 3
    return dict(zip(names, found, strict=True)) | {
        "crossing_share_percent": 100 * len(crossed) / n_draws,
        "crossing_to": "" if not crossed.size else "snn" if above.sum() > 0 else "ann",
    }


def _side(draws: Draws, sent: NDArray[np.intp], side: Side, profile: str) -> dict[str, Any]:
    """What a side sends most often, and what that is over its seeds."""
    names = [name for name in BandVerdict.model_fields if name.startswith(f"{side}_")]
    cells: dict[str, Any] = {name.removeprefix(f"{side}_"): None for name in names}
    cells |= {"n_seeds": 0, "runs": "", "commits": ""}
    cells["missing_percent"] = 100 * float((sent < 0).mean())
    name = ""
    if (sent >= 0).any():
        most = int(np.bincount(sent[sent >= 0]).argmax())
        members = draws.members(most)
        name = members[0].name
        for of in ("validation", "test"):
            percents = np.array([getattr(one, f"{of}_percent") for one in members])
            cells[f"{of}_percent"] = float(percents.mean())
            cells[f"{of}_spread"] = float(percents.std(ddof=1)) if len(members) > 1 else None
        found = [one.energy(profile) or Energy(np.nan, None, np.nan) for one in members]
        mean = Energy.of(np.mean([one.numbers[:3] for one in found], axis=0))
        cells |= {"pj_low": mean.low_pj, "pj": mean.value_pj, "pj_high": mean.high_pj}
        cells |= {
            "n_seeds": len(members),
            "runs": " ".join(one.run_id for one in members),
            "commits": " ".join(dict.fromkeys(one.git_commit for one in members)),
        }
    return {side: name} | {f"{side}_{of}": cell for of, cell in cells.items()}


def band_sentences(
    rows: Sequence[BandVerdict],
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """The verdict over recorded networks, a sentence each; `left_out` by reason."""
    return sentences(
        "bands",
        rows=rows,
        networks=networks,
        profiles=profiles,
        left_out=left_out or {},
        CROSSING=(CROSSING_LEVELS[0], CROSSING_LEVELS[-1]),
        ENOUGH_SEEDS=ENOUGH_SEEDS,
    )
