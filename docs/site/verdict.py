"""The verdict over recorded networks as pages state it: `python -m docs.site.verdict` writes it.

The text between the marks in `PAGES` comes from metrics/verdict.csv and fronts.csv alone, which
name the run and commit of every figure.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from spikejoule.energy import BootstrapSettings, HardwareProfile, load_profiles
from spikejoule.energy.bands import (
    BandVerdict,
    FrontsTable,
    RecordedNetwork,
    VerdictTable,
    band_sentences,
    band_verdicts,
)
from spikejoule.energy.estimates import joules, plain
from spikejoule.energy.ledger import SPIKING
from spikejoule.energy.words import OUTCOMES, templates

ROOT = Path(__file__).resolve().parents[2]

PAGES = {"README.md": "summary", "docs/explanation/comparison.md": "all"}
"""By page, how much it states."""

SHOWN = (
    "lemaire-complete",
    "lemaire-complete-int8",
    "lemaire-complete-int8-floored",
    "lemaire-complete-int8-registers",
    "lemaire-qualia-int8",
)
"""Price lists whose networks comparison.md names."""

SETTINGS = BootstrapSettings(resamples=2000, confidence=0.95, seed=42)

_MARKED = re.compile(r"(?<=<!-- verdict -->\n).*?(?=<!-- end of verdict -->)", re.DOTALL)


def text(extent: str, root: Path = ROOT) -> str:
    """The text between the marks, from the tables of a project."""
    rows = VerdictTable.read(root / "metrics" / "verdict.csv").rows
    networks = FrontsTable.read(root / "metrics" / "fronts.csv").rows
    said = list(band_sentences(rows, networks, load_profiles()))
    said[1:1] = [_events_per_mac(networks)]
    if extent == "summary":
        return f"{' '.join(said[:2])}\n\n"
    said[2:2] = [_priced_by_width(networks)]
    tables = ["\n".join(_grid(rows)), "\n".join(_sides(rows))]
    return "".join(f"{part}\n\n" for part in [*said, *tables])


def counted(network: RecordedNetwork) -> tuple[float, float] | None:
    """Products and additions of an inference; None for a network without integer prices.

    A recorded network holds energies, not counts. Two price lists of arithmetic charge nothing but
    products (with the addition of a multiply-accumulate apart) and additions, so that both counts
    follow from the two energies.
    """
    cells = network.model_extra or {}
    energies = [cells.get(f"{name}:pj") for name in ("45nm-fp32", "45nm-int32")]
    if None in energies or "" in energies:
        return None
    float_pj, integer_pj = (float(cell) for cell in energies if cell is not None)
    product_pj, addition_pj = (3.7, 3.1), (0.9, 0.1)
    determinant = product_pj[0] * addition_pj[1] - product_pj[1] * addition_pj[0]
    products = (float_pj * addition_pj[1] - integer_pj * addition_pj[0]) / determinant
    additions = (integer_pj * product_pj[0] - float_pj * product_pj[1]) / determinant
    return max(products, 0.0), additions


def by_counts(
    networks: Sequence[RecordedNetwork], energy_pj: Callable[[RecordedNetwork], float]
) -> tuple[BandVerdict, ...]:
    """The verdict of all levels under prices that are a function of the counts."""
    prices = load_profiles()["45nm-fp32"].model_copy(update={"id": "counts"})
    priced = [_priced(one, energy_pj(one), prices) for one in networks if counted(one) is not None]
    return band_verdicts(priced, [prices], SETTINGS)


def _priced(network: RecordedNetwork, energy_pj: float, prices: HardwareProfile) -> RecordedNetwork:
    """A network with one energy; its spread over images is in proportion to that of float32."""
    cells = network.model_extra or {}
    spread = float(cells["45nm-fp32:pj_standard_deviation"]) / float(cells["45nm-fp32:pj"])
    own = {name: getattr(network, name) for name in RecordedNetwork.model_fields}
    energies = {
        f"{prices.id}:pj": energy_pj,
        f"{prices.id}:pj_standard_deviation": spread * energy_pj,
    }
    return RecordedNetwork(**own, **energies)


def events_or_macs(network: RecordedNetwork) -> float:
    """Synaptic events of a spiking network, multiply-accumulates of a conventional one.

    The spiking networks of 4 bits have no biases: their additions are their events.
    """
    products, additions = counted(network) or (0.0, 0.0)
    return additions if network.side == SPIKING else products


def by_width(network: RecordedNetwork) -> float:
    """Arithmetic in pJ with every operation priced by its width.

    A product costs 0.2 pJ for 8 x 8 bits and in proportion to the product of its widths, an
    addition 0.1 pJ for 32 bits and in proportion to the width of the sum (Horowitz 2014).
    """
    products, additions = counted(network) or (0.0, 0.0)
    has_narrow_sums = "16-bit sums" in network.network
    sum_bits = 16 if has_narrow_sums or network.weight_bits == 4 else 32
    product_pj = 0.2 * network.weight_bits**2 / 64
    return products * product_pj + additions * 0.1 * sum_bits / 32


def events_per_mac(networks: Sequence[RecordedNetwork]) -> list[BandVerdict]:
    """Synaptic events of the spiking front over multiply-accumulates of the conventional one, of
    networks with 4-bit weights on both sides; without the level that none of these reaches."""
    narrow = [network for network in networks if network.weight_bits == 4]
    return [row for row in by_counts(narrow, events_or_macs) if row.ratio is not None]


def _events_per_mac(networks: Sequence[RecordedNetwork]) -> str:
    ratios = ", ".join(
        f"{plain(row.ratio or 0, 2)} at {row.level_percent:g} % ({plain(row.ratio_low or 0, 2)} "
        f"to {plain(row.ratio_high or 0, 2)})"
        for row in events_per_mac(networks)
    )
    return (
        "Without any prices: a spiking network needs this many synaptic events for each "
        "multiply-accumulate of a conventional network of equal accuracy, both with 4-bit weights: "
        f"{ratios}."
    )


def _priced_by_width(networks: Sequence[RecordedNetwork]) -> str:
    rows = by_counts(networks, by_width)
    ratios = ", ".join(
        f"{plain(row.ratio)} ({plain(row.ratio_low)} to {plain(row.ratio_high)})"
        for row in rows
        if row.ratio and row.ratio_low and row.ratio_high
    )
    outcomes = {row.outcome for row in rows}
    said = "undecided at every level" if outcomes == {"undecided"} else "not the same everywhere"
    return (
        "Price lists of arithmetic only are left out: each charges one price for a product, "
        "whatever its width, and so charges a 4 x 4-bit product as much as one of 8, 16 or 32 "
        f"bits. With products and sums priced by their widths the result is {said}: {ratios}."
    )


def _grid(rows: Sequence[BandVerdict]) -> Iterator[str]:
    """Who needs less about each accuracy under each price list, and the ratio."""
    levels = sorted({row.level_percent for row in rows})
    heads = [f"about {level:g} %, seeds: {_seeds(rows, level)}" for level in levels]
    yield "| price list | " + " | ".join(heads) + " |"
    yield "|---" * (1 + len(levels)) + "|"
    for name in dict.fromkeys(row.profile for row in rows):
        cells = {row.level_percent: _cell(row) for row in rows if row.profile == name}
        yield f"| `{name}` | " + " | ".join(cells.get(level, "") for level in levels) + " |"


def _seeds(rows: Sequence[BandVerdict], level_percent: float) -> str:
    at_level = [row for row in rows if row.level_percent == level_percent]
    numbers = {row.spiking_n_seeds for row in at_level}
    numbers |= {row.conventional_n_seeds for row in at_level}
    return " or ".join(str(number) for number in sorted(numbers))


def _cell(row: BandVerdict) -> str:
    ratio = templates().filters["ratio"]
    return OUTCOMES[row.outcome] + (f", {ratio(row)}" if row.ratio_low is not None else "")


def _sides(rows: Sequence[BandVerdict]) -> Iterator[str]:
    """Of each side the network next above a level and its means over seeds, and the energy of
    the side's front at the level."""
    yield (
        "| about | price list | side | nearest above | seeds | validation | test "
        "| front at the level | runs |"
    )
    yield "|---|---|---|---|--:|--:|--:|--:|---|"
    for row in rows:
        for side in ("spiking", "conventional"):
            if row.profile in SHOWN and getattr(row, side):
                yield _side(row, side)


def _side(row: BandVerdict, side: str) -> str:
    cells = {name: getattr(row, f"{side}_{name}") for name in ("n_seeds", "pj", "runs")}
    accuracies = " | ".join(_accuracy(row, f"{side}_{name}") for name in ("validation", "test"))
    runs = ", ".join(run[:8] for run in cells["runs"].split())
    return (
        f"| {row.level_percent:g} % | `{row.profile}` | {side} | {getattr(row, side)} | "
        f"{cells['n_seeds']} | {accuracies} | {joules(cells['pj'], 3)} | {runs} |"
    )


def _accuracy(row: BandVerdict, name: str) -> str:
    spread = getattr(row, f"{name}_spread")
    return f"{getattr(row, f'{name}_percent'):.2f}{'' if spread is None else f' ± {spread:.2f}'} %"


def written(page: str, root: Path = ROOT) -> str:
    """A page of a project with what it has to state between its marks."""
    content = (root / page).read_text(encoding="utf-8")
    found = text(PAGES[page], root)
    return _MARKED.sub(lambda _: found, content)


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(written(page), encoding="utf-8")
