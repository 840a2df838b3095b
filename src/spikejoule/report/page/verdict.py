"""Equal accuracy: who wins under which profile, and what each side's energy goes to."""

from collections.abc import Sequence

from spikejoule.data.subject import Subject
from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.estimates import joules
from spikejoule.energy.parts import energy_by_part
from spikejoule.energy.verdict import Choice, Verdict
from spikejoule.energy.verdict_rows import VerdictRow
from spikejoule.energy.verdict_words import (
    OUTCOMES,
    accuracy_words,
    energy_words,
    ratio_words,
)
from spikejoule.report.page.markup import Markup, element, html_table

_NOBODY = "nobody reaches it"


def objections(analysis: EnergyAnalysis) -> Markup | None:
    """The strongest number against each of the two opinions that a reader may come with."""
    held = [(one, one.ratio) for one in analysis.verdicts if one.ratio is not None]
    if not held:
        return None
    best, best_ratio = min(held, key=lambda pair: pair[1].high)
    worst, worst_ratio = max(held, key=lambda pair: pair[1].low)
    return element(
        "ul",
        element(
            "li",
            element("strong", "“Spiking networks never win.” "),
            f"This one's best profile is {best.profile.id}: {ratio_words(best_ratio)} times the "
            f"energy of {_name(best.conventional)}.",
        ),
        element(
            "li",
            element("strong", "“They always win.” "),
            f"Its worst is {worst.profile.id}: {ratio_words(worst_ratio)} times the energy of "
            f"{_name(worst.conventional)}. {_largest_part(worst)}",
        ),
        class_="objections",
    )


def by_profile_table(analysis: EnergyAnalysis) -> Markup | None:
    """This network against the cheapest of at least its accuracy, under every profile."""
    rows = [
        (
            one.profile.id,
            OUTCOMES[one.outcome],
            _name(one.conventional),
            "" if one.spiking is None else energy_words(one.spiking.energy),
            "" if one.conventional is None else energy_words(one.conventional.energy),
            "" if one.ratio is None else ratio_words(one.ratio),
        )
        for one in analysis.verdicts
    ]
    if not rows:
        return None
    header = ("profile", "outcome", "cheapest conventional network of at least this accuracy",
              "spiking", "conventional", "ratio (interval)")  # fmt: skip
    return html_table(
        f"Equal accuracy: {_network(analysis)} against conventional networks, by profile",
        header,
        rows,
        text_columns=3,
    )


def parts_table(analysis: EnergyAnalysis) -> Markup | None:
    """What each side's energy goes to, under the verdict's profile."""
    verdict = analysis.verdict
    if verdict is None or verdict.spiking is None or verdict.conventional is None:
        return None
    sides = [
        energy_by_part(one.contender, verdict.profile)
        for one in (verdict.spiking, verdict.conventional)
    ]
    for parts in sides:
        parts["total"] = sum(parts.values())
    snn, ann = sides
    rows = [
        (part, joules(snn[part], 3), joules(ann[part], 3), joules(snn[part] - ann[part], 3))
        for part in snn
    ]
    return html_table(
        f"What it goes to, under {verdict.profile.id}",
        ("part", "spiking", verdict.conventional.contender.name, "difference"),
        rows,
    )


def levels_table(rows: Sequence[VerdictRow], subject: Subject) -> Markup | None:
    """What the recorded runs say: each accuracy under each profile, and who wins."""
    if not rows:
        return None
    header = ("profile", "accuracy", "outcome", "spiking network", "conventional network",
              "spiking", "conventional", "ratio")  # fmt: skip
    return html_table(
        "The cheapest networks of the recorded runs that reach an accuracy on validation "
        f"{subject.samples}",
        header,
        [
            (
                row.profile,
                f"{row.level_percent:g} %",
                OUTCOMES[row.outcome],
                _recorded(row.spiking, row.spiking_test_percent),
                _recorded(row.conventional, row.conventional_test_percent),
                _energy(row.spiking_pj_low, row.spiking_pj, row.spiking_pj_high),
                _energy(row.conventional_pj_low, row.conventional_pj, row.conventional_pj_high),
                _ratio(row),
            )
            for row in rows
        ],
        text_columns=5,
    )


def levels_words(rows: Sequence[VerdictRow]) -> str:
    """How the recorded runs stand, in a sentence."""
    wins = sum(row.outcome == "snn" for row in rows)
    losses = sum(row.outcome == "ann" for row in rows)
    return (
        f"Of {len(rows)} pairs of an accuracy and a profile, spiking networks win {wins}, "
        f"conventional ones {losses}; in the others neither does."
    )


def _network(analysis: EnergyAnalysis) -> str:
    contender = analysis.inputs.contender
    return f"{contender.name} ({accuracy_words(contender)})"


def _name(choice: Choice | None) -> str:
    if choice is None:
        return _NOBODY
    return f"{choice.contender.name} ({accuracy_words(choice.contender)})"


def _largest_part(verdict: Verdict) -> str:
    if verdict.spiking is None:
        return ""
    parts = energy_by_part(verdict.spiking.contender, verdict.profile)
    part = max(parts, key=lambda name: parts[name])
    share = parts[part] / (sum(parts.values()) or 1.0)
    return f"There {100 * share:.0f} % of its energy is {part}."


def _recorded(name: str, test_percent: float | None) -> str:
    return _NOBODY if not name or test_percent is None else f"{name} ({test_percent:.2f} % test)"


def _energy(low: float | None, value: float | None, high: float | None) -> str:
    if value is not None:
        return joules(value, 3)
    return "" if low is None or high is None else f"{joules(low, 3)} to {joules(high, 3)}"


def _ratio(row: VerdictRow) -> str:
    if row.ratio_low is None or row.ratio_high is None:
        return ""
    span = f"{row.ratio_low:.3g} to {row.ratio_high:.3g}"
    return span if row.ratio is None else f"{row.ratio:.3g} ({span})"
