"""The verdict over recorded networks as pages state it: `python -m docs.site.verdict` writes it.

What stands between the marks of `PAGES` comes from metrics/verdict.csv and fronts.csv alone, which
name run and commit of every figure.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from docs.site.outcome import ROOT, joules, pairs
from spikejoule.energy import load_profiles
from spikejoule.energy.bands import BandVerdict, FrontsTable, VerdictTable, band_sentences
from spikejoule.energy.estimates import plain
from spikejoule.energy.words import OUTCOMES, templates

PAGES = {"README.md": "summary", "docs/explanation/comparison.md": "all"}
"""By page, how much it states."""

SHOWN = (
    "45nm-fp32", "lemaire-complete", "lemaire-complete-int8", "lemaire-complete-int8-floored",
    "lemaire-complete-int8-registers", "lemaire-qualia-int8",
)  # fmt: skip
"""Profiles whose networks comparison.md names; the first four are in README.md."""

_MARKED = re.compile(r"(?<=<!-- verdict -->\n).*?(?=<!-- end of verdict -->)", re.DOTALL)


def text(extent: str) -> str:
    """What stands between the marks."""
    rows = VerdictTable.read(ROOT / "metrics" / "verdict.csv").rows
    networks = FrontsTable.read(ROOT / "metrics" / "fronts.csv").rows
    said = list(band_sentences(rows, networks, load_profiles()))
    if rows:
        said.insert(1, _default())
    parts = [" ".join(said[:2])] if extent == "summary" else said
    if rows:
        ids = list(dict.fromkeys(row.profile for row in rows))
        shown = [name for name in ids if extent == "all" or name in SHOWN[:4]]
        parts += ["\n".join(_grid(rows, shown))]
    if rows and extent == "all":
        parts += ["\n".join(_sent(rows))]
    return "".join(f"{part}\n\n" for part in parts)


def _default() -> str:
    """The default network among all recorded conventional ones."""
    of_assumptions = "; ".join(
        f"{one.assumption} ({one.profile}) it takes {joules(one.spiking_pj)}, "
        + (
            f"{plain(one.ratio)} times the {joules(one.conventional_pj)} of {one.conventional}"
            if one.conventional_pj
            else "and none of that accuracy is recorded"
        )
        for one in pairs()
    )
    return (
        "The default network, against the cheapest recorded conventional network of at least its "
        f"validation accuracy: {of_assumptions}."
    )


def _grid(rows: tuple[BandVerdict, ...], ids: list[str]) -> Iterator[str]:
    """Who needs less about each accuracy under each profile, and the ratio with its interval."""
    levels = sorted({row.level_percent for row in rows})
    heads = []
    for level in levels:
        sides = [(row.spiking_n_seeds, row.conventional_n_seeds) for row in rows
                 if row.level_percent == level and row.profile in ids]  # fmt: skip
        seeds = sorted({number for pair in sides for number in pair})
        heads.append(f"about {level:g} %, seeds: {' or '.join(map(str, seeds))}")
    yield "| prices | " + " | ".join(heads) + " |"
    yield "|---" * (1 + len(levels)) + "|"
    ratio = templates().filters["ratio"]
    for name in ids:
        cells = {
            row.level_percent: OUTCOMES[row.outcome]
            + (f", {ratio(row)}" if row.ratio_low is not None else "")
            for row in rows
            if row.profile == name
        }
        yield f"| `{name}` | " + " | ".join(cells.get(level, "") for level in levels) + " |"


def _sent(rows: tuple[BandVerdict, ...]) -> Iterator[str]:
    """Of each side the network next above a level and its means over seeds, and the energy of the
    side's front at the level."""
    yield (
        "| about | prices | side | nearest above | seeds | validation | test | front at the level "
        "| runs |"
    )
    yield "|---|---|---|---|--:|--:|--:|--:|---|"
    for row in rows:
        for side in ("spiking", "conventional"):
            of = {name: getattr(row, f"{side}_{name}") for name in _OF_SIDE}
            if row.profile not in SHOWN or not getattr(row, side):
                continue
            spread = {
                name: "" if of[f"{name}_spread"] is None else f" ± {of[f'{name}_spread']:.2f}"
                for name in ("validation", "test")
            }
            runs = ", ".join(run[:8] for run in of["runs"].split())
            yield (
                f"| {row.level_percent:g} % | `{row.profile}` | {side} | {getattr(row, side)} | "
                f"{of['n_seeds']} | {of['validation_percent']:.2f}{spread['validation']} % | "
                f"{of['test_percent']:.2f}{spread['test']} % | {joules(of['pj'])} | {runs} |"
            )


_OF_SIDE = ("n_seeds", "validation_percent", "validation_spread", "test_percent", "test_spread",
            "pj", "runs")  # fmt: skip


def written(page: str) -> str:
    """A page with what it has to state between its marks."""
    content = (ROOT / page).read_text(encoding="utf-8")
    found = text(PAGES[page])
    return _MARKED.sub(lambda _: found, content)


if __name__ == "__main__":
    for page in PAGES:
        Path(ROOT / page).write_text(written(page), encoding="utf-8")
