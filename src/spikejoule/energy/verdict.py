"""Which side needs less energy at equal accuracy.

For an accuracy and a profile, each side sends the contender of least energy among those that reach
the accuracy on validation images. What they reach on test images, and what they take there, is
stated and chooses nothing. A side that does not reach the accuracy has lost, whatever it saves.

A profile compares networks of the width that its prices are of: one of 8-bit integers takes none
that computes in more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from spikejoule.energy.comparison import Priced, Ratio, priced, ratio_of, runs
from spikejoule.energy.contenders import CONVENTIONAL, SPIKING, Contender, Side
from spikejoule.energy.estimates import Energy
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.energy.statistics import BootstrapSettings

LEVELS_PERCENT: Final = (97.0, 98.0, 98.5, 99.0)
"""Validation accuracies that a verdict is asked for."""

Outcome = Literal["snn", "ann", "undecided", "neither"]


@dataclass(frozen=True)
class Choice:
    """The contender that a side sends, and its energy per inference."""

    contender: Contender
    energy: Energy


@dataclass(frozen=True)
class Verdict:
    """Both sides at one accuracy under one profile.

    Attributes:
        profile: the prices.
        level_percent: validation accuracy that both must reach.
        spiking, conventional: what each side sends; None if it does not reach the accuracy.
        ratio: the spiking side's energy over the other's; None unless both reach it.
    """

    profile: HardwareProfile
    level_percent: float
    spiking: Choice | None
    conventional: Choice | None
    ratio: Ratio | None

    @property
    def outcome(self) -> Outcome:
        """``snn`` or ``ann``, whichever wins; ``undecided``; ``neither`` reaches the accuracy."""
        if self.ratio is not None:
            return self.ratio.verdict
        if self.spiking is not None:
            return "snn"
        return "neither" if self.conventional is None else "ann"


def verdicts(
    contenders: Sequence[Contender],
    profiles: Mapping[str, HardwareProfile],
    levels_percent: Sequence[float],
    settings: BootstrapSettings,
) -> tuple[Verdict, ...]:
    """Every profile that compares, at every accuracy.

    A side that does not reach an accuracy has lost. A profile in whose numbers one side was not run
    at all is left out.

    Args:
        contenders: of both sides, all of the same images.
        profiles: by id.
        levels_percent: validation accuracies.
        settings: how to draw intervals.
    """
    found: list[Verdict] = []
    for profile in profiles.values():
        if not profile.compares:
            continue
        able = [one for one in contenders if one.accuracies is not None and runs(one, profile)]
        if {one.side for one in able} != {SPIKING, CONVENTIONAL}:
            # Of its width, one side was not run at all: nobody has won.
            continue
        known = dict(zip(map(id, able), priced(able, profile, settings), strict=True))
        for level in levels_percent:
            chosen = {side: _cheapest(able, known, side, level) for side in (SPIKING, CONVENTIONAL)}
            found.append(_verdict(profile, level, chosen[SPIKING], chosen[CONVENTIONAL], known))
    return tuple(found)


def verdict_of_run(
    network: Contender,
    baselines: Sequence[Contender],
    profiles: Mapping[str, HardwareProfile],
    settings: BootstrapSettings,
) -> tuple[Verdict, ...]:
    """One network against the cheapest baseline of at least its accuracy, under every profile.

    Nothing if its accuracy is not known. A profile whose numbers the network was not run in is left
    out.
    """
    if network.accuracies is None:
        return ()
    able = {key: one for key, one in profiles.items() if runs(network, one)}
    return verdicts([network, *baselines], able, (network.accuracies.validation_percent,), settings)


def won(found: Sequence[Verdict]) -> tuple[int, int]:
    """Under how many profiles the spiking side wins, and of how many."""
    return sum(one.outcome == "snn" for one in found), len(found)


def _cheapest(
    able: Sequence[Contender], known: Mapping[int, Priced], side: Side, level: float
) -> Contender | None:
    reaching = [one for one in able if one.side == side and _reaches(one, level)]
    return min(reaching, key=lambda one: known[id(one)].energies.middle_pj, default=None)


def _reaches(contender: Contender, level_percent: float) -> bool:
    accuracies = contender.accuracies
    return accuracies is not None and accuracies.validation_percent >= level_percent


def _verdict(
    profile: HardwareProfile,
    level: float,
    spiking: Contender | None,
    conventional: Contender | None,
    known: Mapping[int, Priced],
) -> Verdict:
    snn, ann = (None if one is None else known[id(one)] for one in (spiking, conventional))
    return Verdict(
        profile,
        level,
        None if spiking is None or snn is None else Choice(spiking, snn.energy),
        None if conventional is None or ann is None else Choice(conventional, ann.energy),
        None if snn is None or ann is None else ratio_of(snn, ann),
    )


def under(found: Sequence[Verdict], profile_id: str) -> Iterator[Verdict]:
    """Those under one profile."""
    return (one for one in found if one.profile.id == profile_id)
