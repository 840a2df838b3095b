"""The verdict over recorded networks: which side needs less energy at about an accuracy.

A recorded network is one draw of its seed, its energy a mean over some images, and the bar of an
accuracy a choice. The verdict at a level is therefore drawn many times. In each draw the mean of a
configuration (networks that differ in nothing but the seed) is drawn from a t distribution of its
seeds, accuracy and log energy together, the energy besides from a normal distribution of its
standard error over images, and the bar uniformly from the band of `HALF_BAND` around the level. The
front of a side is then a line through its cheapest configurations, log energy against validation
accuracy: at the bar it lies between two neighbours, beyond its ends there is none. The ratio of
both fronts is the result. What they reach on test images is stated and chooses nothing.

Means of t: Gelman et al., Bayesian Data Analysis, 3rd edition, 2013, section 3.2, with weights of
the seeds in place of the Bayesian bootstrap of Rubin, The Annals of Statistics 9 (1981) 130-134.
Standard errors are taken as independent although the images are shared: intervals are wider for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from spikejoule.core.schema import (
    Count,
    MaybeCount,
    MaybeNotNegative,
    MaybePercent,
    Percent,
    Row,
    Sha256,
    Table,
    Text,
)
from spikejoule.energy.comparison import Verdict
from spikejoule.energy.estimates import BootstrapSettings, Energy, Floats, interval, rounded
from spikejoule.energy.ledger import CONVENTIONAL, Side, Variant, judges
from spikejoule.energy.prices import HardwareProfile, price
from spikejoule.energy.words import sentences

LEVELS_PERCENT: Final = (97.5, 98.0, 98.5, 99.0)
"""Validation accuracies that a verdict is requested for."""

HALF_BAND: Final = 0.3
"""Points of accuracy by which the bar of a level may be lower or higher."""

CROSSING_LEVELS: Final = tuple(round(97 + 0.1 * step, 1) for step in range(23))
"""Accuracies between which a crossing of the fronts is looked for."""

ENOUGH_SEEDS: Final = 5
"""Of a configuration; those of fewer take part, and are marked, where a side has no two others."""

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
        processor_seconds: of all cores in its training, likewise.
        crop_pixels, average_pixels: what became of the images before, as in params.yaml.
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
    processor_seconds: MaybeNotNegative = None
    crop_pixels: MaybeCount = None
    average_pixels: MaybeCount = None

    @classmethod
    def of(cls, variant: Variant, profiles: Iterable[HardwareProfile], **of_run: Any) -> Self:
        """A network that was counted image by image, of known accuracies; `of_run` is the rest."""
        known = variant.accuracies
        assert known is not None
        cells = {
            "side": variant.side,
            "network": variant.network.removeprefix("spiking "),
            "method": variant.method,
            "weights_sha256": variant.weights_sha256,
            "weight_bits": variant.weight_bits,
            "n_images": len(variant.operations.counts),
            "validation_percent": known.validation_percent,
            "test_percent": known.test_percent,
        }
        return cls.model_validate(cells | of_run | energy_cells(variant, profiles))

    @model_validator(mode="after")
    def _are_energies(self) -> Self:
        for name, cell in (self.model_extra or {}).items():
            if cell not in (None, "") and not 0 <= float(cell) < np.inf:
                raise ValueError(f"{name} is {cell!r}, but must be an energy")
        for profile in {name.partition(":")[0] for name in self.priced}:
            kinds = {kind for kind in _PJ if f"{profile}:{kind}" in self.priced}
            if "pj_standard_deviation" in kinds and not (
                "pj" in kinds or kinds >= {"pj_low", "pj_high"}
            ):
                raise ValueError(f"{profile} has a standard deviation and no energy")
        return self

    @property
    def priced(self) -> set[str]:
        """The further columns that it has."""
        return {name for name, cell in (self.model_extra or {}).items() if cell not in (None, "")}

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
    for profile in (one for one in profiles if judges(one, variant)):
        low, value, high = price(variant.operations, profile)
        is_bracket = np.isnan(value).any()
        named = {"pj_low": low, "pj_high": high} if is_bracket else {"pj": value}
        found = {name: float(of.mean()) for name, of in named.items()}
        spread = (high if is_bracket else value).std(ddof=len(high) > 1)
        found["pj_standard_deviation"] = float(spread)
        cells |= {f"{profile.id}:{name}": rounded(pj, 8) for name, pj in found.items()}
    return cells


class FrontsTable(Table):
    """The file: metrics/fronts.csv."""

    row: ClassVar[type[Row]] = RecordedNetwork
    rows: tuple[RecordedNetwork, ...]


class BandVerdict(Verdict):
    """Both sides at about an accuracy under one profile: a row of metrics/verdict.csv.

    Attributes:
        level_percent, level_low_percent, level_high_percent: validation accuracy, and its band.
        outcome: ``snn`` or ``ann``, whichever needs less energy within all of the interval, if both
            fronts have the bar in at least half of the draws; ``neither``, if neither has it in all
            but those beyond one end of an interval; ``undecided``.
        ratio, ratio_low, ratio_high: the spiking front over the other, median and interval over the
            draws in which both have the bar; None if those are fewer than half. The median is None
            too where prices are brackets alone, which widen the interval.
        crossing_percent, crossing_low_percent, crossing_high_percent: the accuracy above which the
            winner is another one, to the end of the fronts (the same in each row of a profile),
            median and interval; None unless it changes so in as many draws as an interval holds.
        crossing_share_percent: draws in which it does.
        crossing_to: who wins above; empty where nothing is found to change.
        spiking, conventional: the cheapest configuration that reaches the level, by its network of
            the least seed, by means over all seeds; empty where the front does not have the level.
            Of each, over its seeds: `_n_seeds`; mean and standard deviation of accuracies
            (`_validation_percent`, `_validation_spread`, `_test_percent`, `_test_spread`; a spread
            is None for one seed); `_runs` and `_commits`. `_below`: its neighbour on the front.
            `_pj`: energy of the front at the level, between both, None where prices are brackets
            alone, and its ends. `_n_configurations`: how many the front was chosen from.
            `_missing_percent`: draws in which the front does not have the bar.
    """

    level_low_percent: Percent
    level_high_percent: Percent
    crossing_percent: MaybePercent
    crossing_low_percent: MaybePercent
    crossing_high_percent: MaybePercent
    crossing_share_percent: Percent
    crossing_to: str
    spiking_below: str = ""
    spiking_n_configurations: Count = 0
    spiking_n_seeds: Count
    spiking_validation_spread: MaybeNotNegative
    spiking_test_spread: MaybeNotNegative
    spiking_missing_percent: Percent
    spiking_runs: str
    spiking_commits: str
    conventional_below: str = ""
    conventional_n_configurations: Count = 0
    conventional_n_seeds: Count
    conventional_validation_spread: MaybeNotNegative
    conventional_test_spread: MaybeNotNegative
    conventional_missing_percent: Percent
    conventional_runs: str
    conventional_commits: str


class VerdictTable(Table):
    """The file: metrics/verdict.csv."""

    row: ClassVar[type[Row]] = BandVerdict
    rows: tuple[BandVerdict, ...]


@dataclass(frozen=True, eq=False)
class Draws:
    """Recorded networks, those of a configuration together, and what was drawn of them; the first
    draw is of their means themselves, with the bar at its level.

    Attributes:
        networks: N of them.
        starts: number of the first network of each of C configurations, [C].
        shares: of a network in the mean of its configuration, which add up to 1, float64 [B, N].
        noise: standard errors by which its energy is off, as an equal share of it is in the mean
            of its configuration, float64 [B, N].
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
        shares = np.hstack([_shares(size, settings.resamples, generator) for size in sizes])
        noise = generator.standard_normal(shares.shape) / np.repeat(sizes, sizes)
        bars = generator.uniform(-HALF_BAND, HALF_BAND, settings.resamples)
        noise[0] = bars[0] = 0
        return cls(tuple(ordered), np.cumsum([0, *sizes[:-1]]), shares, noise, bars)

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Seeds of each configuration, [C]."""
        return np.diff(self.starts, append=len(self.networks))

    def members(self, configuration: int) -> tuple[RecordedNetwork, ...]:
        """The networks of a configuration, by seed."""
        first = int(self.starts[configuration])
        return self.networks[first : first + int(self.sizes[configuration])]

    def means(self, values: Floats) -> Floats:
        """Means over the drawn seeds of each configuration, of values [N] or [B, N]; [B, C]."""
        means: Floats = np.add.reduceat(self.shares * values, self.starts, axis=1)
        return means

    def accuracies(self) -> Floats:
        """On validation images, [B, C]."""
        return self.means(np.array([one.validation_percent for one in self.networks]))

    def energies(self, profile: str) -> Floats:
        """Logarithms of the low, middle and high energy under a profile, [3, B, C]; infinite where
        it does not compare."""
        unknown = Energy(np.nan, np.nan, np.nan)
        found = [one.energy(profile) or unknown for one in self.networks]
        *ends, spread = np.array(
            [(one.low_pj, one.middle_pj, one.high_pj, one.standard_deviation_pj) for one in found],
            dtype=np.float64,
        ).T
        # The spread is that of the upper end, and of the others in proportion.
        n_images = [one.n_images for one in self.networks]
        errors = self.noise * (spread / ends[-1]) / np.sqrt(n_images)
        of_images = np.add.reduceat(errors, self.starts, axis=1)
        logarithms = np.log(np.maximum(ends, np.finfo(float).tiny))
        means = np.stack([self.means(of) for of in logarithms]) + of_images
        return np.where(np.isnan(means), np.inf, means)

    def taking_part(self, side: Side, energies: Floats) -> NDArray[np.bool_]:
        """Configurations of a side of known energies, [C]: those of enough seeds, or all where no
        two of them are."""
        of_side = np.array([self.networks[first].side == side for first in self.starts])
        known: NDArray[np.bool_] = of_side & np.isfinite(energies[1, 0])
        enough: NDArray[np.bool_] = known & (self.sizes >= ENOUGH_SEEDS)
        return enough if enough.sum() >= 2 else known


def _shares(size: int, n_draws: int, generator: np.random.Generator) -> Floats:
    """Weights of a configuration's seeds, [B, size]: the mean that they give is distributed about
    that of the seeds as t of size - 1 degrees of freedom, in units of its standard error."""
    if size == 1:
        return np.ones((n_draws, 1))
    normal = generator.standard_normal((n_draws, size))
    normal[0] = 0
    chi_square = generator.chisquare(size - 1, (n_draws, 1))
    off: Floats = (normal - normal.mean(axis=1, keepdims=True)) / np.sqrt(size * chi_square)
    return 1 / size + off


@dataclass(frozen=True, eq=False)
class Front:
    """One side at a bar, in each of B draws.

    Attributes:
        above, below: numbers of its neighbours on the front, int64 [B].
        energies: logarithms of the low, middle and high energy of the front, float64 [3, B]; NaN
            where the bar is beyond its ends.
    """

    above: NDArray[np.intp]
    below: NDArray[np.intp]
    energies: Floats

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """In which draws the front has the bar, [B]."""
        known: NDArray[np.bool_] = ~np.isnan(self.energies[1])
        return known


def front_at(
    accuracies: Floats, energies: Floats, takes_part: NDArray[np.bool_], bars: Any
) -> Front:
    """The line through a side's cheapest configurations, at a bar.

    Args:
        accuracies: of C configurations in B draws, [B, C].
        energies: logarithms, low, middle and high, [3, B, C].
        takes_part: configurations of the side, [C].
        bars: validation accuracy, of each draw, [B], or of all.
    """
    draws = np.arange(len(accuracies))
    bar = np.broadcast_to(bars, draws.shape)
    reaches = takes_part & (accuracies >= bar[:, None])
    cost = np.where(reaches, energies[1], np.inf)
    above = cost.argmin(axis=1)
    # All that is cheaper is below the bar; the most accurate of it is the neighbour.
    cheaper = takes_part & (energies[1] < cost[draws, above][:, None])
    below = np.where(cheaper, accuracies, -np.inf).argmax(axis=1)
    is_known = reaches.any(axis=1) & cheaper.any(axis=1)
    first, high, low = draws[is_known], above[is_known], below[is_known]
    start = accuracies[first, low]
    share = (bar[is_known] - start) / (accuracies[first, high] - start)
    found = np.full((3, len(draws)), np.nan)
    found[:, is_known] = share * energies[:, first, high] + (1 - share) * energies[:, first, low]
    return Front(above, below, found)


def front_ratios(spiking: Front, conventional: Front) -> Floats:
    """Low, middle and high of the spiking side's energy over the other's, [3, B]."""
    ratios: Floats = np.exp(spiking.energies - conventional.energies[::-1])
    return ratios


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
    found = []
    for profile in profiles:
        energies = draws.energies(profile.id)
        sides = {side: draws.taking_part(side, energies) for side in get_args(Side)}
        if not all(takes_part.any() for takes_part in sides.values()):
            continue
        crossing = _crossing(accuracies, energies, [*sides.values()], settings.confidence)
        for level in LEVELS_PERCENT:
            bars = level + draws.bars
            fronts = [front_at(accuracies, energies, one, bars) for one in sides.values()]
            cells = _level(fronts, settings.confidence) | crossing
            for (side, takes_part), front in zip(sides.items(), fronts, strict=True):
                cells |= _side(draws, front, side)
                cells[f"{side}_n_configurations"] = int(takes_part.sum())
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


def _level(fronts: Sequence[Front], confidence: float) -> dict[str, Any]:
    """The outcome at a level and the ratio, of its draws."""
    ratios = front_ratios(*fronts)
    both = ratios[:, ~np.isnan(ratios[1])]
    is_none = ~np.logical_or(*(front.is_known for front in fronts))
    cells: dict[str, Any] = dict.fromkeys(("ratio", "ratio_low", "ratio_high"))
    outcome = "neither" if is_none.mean() >= (1 + confidence) / 2 else "undecided"
    if 2 * both.shape[1] >= ratios.shape[1]:
        low, high = map(float, interval(both[0], both[2], confidence))
        cells |= {"ratio_low": low, "ratio_high": high}
        if (both[0] == both[2]).all():
            cells["ratio"] = float(np.median(both[1]))
        outcome = "snn" if high < 1 else "ann" if low > 1 else outcome
    return {"outcome": outcome, **cells}


def _crossing(
    accuracies: Floats, energies: Floats, sides: list[NDArray[np.bool_]], confidence: float
) -> dict[str, Any]:
    """Where the winner changes last, of `CROSSING_LEVELS` that both fronts have, if another one
    wins at their top than at their bottom."""
    n_draws = len(accuracies)
    place, since = np.zeros(n_draws), np.zeros(n_draws)
    first, winner = np.zeros(n_draws, int), np.zeros(n_draws, int)
    for level in CROSSING_LEVELS:
        fronts = [front_at(accuracies, energies, takes_part, level) for takes_part in sides]
        low, _, high = front_ratios(*fronts)
        now = np.where(high < 1, 1, np.where(low > 1, -1, 0))
        place = np.where(winner * now < 0, (since + level) / 2, place)
        first = np.where(first, first, now)
        winner, since = np.where(now, now, winner), np.where(now, level, since)
    changes = {"snn": (first < 0) & (winner > 0), "ann": (first > 0) & (winner < 0)}
    to = max(changes, key=lambda above: int(changes[above].sum()))
    share = float(changes[to].mean())
    names = ("crossing_percent", "crossing_low_percent", "crossing_high_percent")
    cells: dict[str, Any] = dict.fromkeys(names)
    cells |= {"crossing_share_percent": 100 * share, "crossing_to": ""}
    if share >= confidence:
        places = place[changes[to]]
        ends = np.median(places), *interval(places, places, confidence)
        cells |= dict(zip(names, map(float, ends), strict=True)) | {"crossing_to": to}
    return cells


def _side(draws: Draws, front: Front, side: Side) -> dict[str, Any]:
    """The front of a side at a level, and what its upper neighbour is over its seeds."""
    names = [name for name in BandVerdict.model_fields if name.startswith(f"{side}_")]
    cells: dict[str, Any] = {name.removeprefix(side): None for name in names}
    cells |= {"": "", "_below": "", "_n_seeds": 0, "_runs": "", "_commits": ""}
    cells["_missing_percent"] = 100 * float((~front.is_known).mean())
    if front.is_known[0]:
        members = draws.members(int(front.above[0]))
        low, middle, high = np.exp(front.energies[:, 0]).tolist()
        cells |= {"_pj_low": low, "_pj": middle if low == high else None, "_pj_high": high}
        for of in ("validation", "test"):
            percents = np.array([getattr(one, f"{of}_percent") for one in members])
            cells[f"_{of}_percent"] = float(percents.mean())
            cells[f"_{of}_spread"] = float(percents.std(ddof=1)) if len(members) > 1 else None
        cells |= {
            "": members[0].name,
            "_below": draws.members(int(front.below[0]))[0].name,
            "_n_seeds": len(members),
            "_runs": " ".join(one.run_id for one in members),
            "_commits": " ".join(dict.fromkeys(one.git_commit for one in members)),
        }
    return {f"{side}{of}": cell for of, cell in cells.items()}


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
