"""Energy by price list, and under one price list by term."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikejoule.energy.estimates import energy_words, joules
from spikejoule.energy.prices import measured_on_mnist
from spikejoule.energy.terms import in_words
from spikejoule.energy.words import place
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis


_LARGEST = 8
"""Terms drawn at most."""


def _rows(inches: float, names: Sequence[str]) -> tuple[Figure, Axes]:
    """Create a figure with one row per name, the first on top, each below its name."""
    figure, axes = canvas.new_figure(inches * len(names) + 1)
    for row, name in enumerate(names):
        in_axes_width = axes.get_yaxis_transform()
        axes.text(
            0,
            row + 0.08,
            name,
            va="bottom",
            fontsize=8.5,
            transform=in_axes_width,
            in_layout=False,
        )
    axes.set(ylim=(len(names) - 0.45, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    return figure, axes


@canvas.house_style()
def by_profile(analysis: "EnergyAnalysis") -> Chart:
    """Draw every price list on one logarithmic axis, with the baselines it can price.

    A band spans the interval of the mean, price range included. The last row shows
    published measurements of other networks on chips.
    """
    profiles = analysis.ledger.profiles
    totals = [analysis.total(profile=profile.id) for profile in profiles]
    about = [
        f"{profile.title}\n{energy_words(total)} · {profile.scope.replace('_', '-')} · "
        f"{profile.evidence}"
        for profile, total in zip(profiles, totals, strict=True)
    ]
    chips = (
        "Chips that classify MNIST digits\nother networks · scope unconfirmed · "
        "measured"
    )
    figure, axes = _rows(0.62, [*about, chips])
    canvas.log_axis(axes, "x", digits=(1,))
    _draw_baselines(axes, analysis)
    for row, (profile, total) in enumerate(zip(profiles, totals, strict=True)):
        y = row + 0.25
        words = f"{profile.title}: {energy_words(total)}"
        ends = [total.lowest_pj, total.highest_pj]
        band = axes.plot(ends, [y, y], color=canvas.BLUE, linewidth=4, alpha=0.45)
        canvas.tip(band, words)
        if total.value_pj is not None:
            style = {"color": canvas.BLUE, "label": "spiking network"}
            canvas.mark(axes, total.value_pj, y, words, **style)
    _draw_chips(axes, len(profiles) + 0.25)
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    lowest_pj = min(total.lowest_pj for total in totals)
    highest_pj = max(total.highest_pj for total in totals)
    return Chart(
        "by-profile",
        f"The same counts under {len(profiles)} price lists: "
        f"{joules(lowest_pj, 3)} to {joules(highest_pj, 3)} per inference",
        figure,
        analysis.inputs.title,
    )


def _draw_baselines(axes: Axes, analysis: "EnergyAnalysis") -> None:
    """Mark the conventional networks of equal size in the row of each price list."""
    rows = [profile.id for profile in analysis.ledger.profiles]
    sizes: dict[str, int] = {}
    for verdict in analysis.comparisons:
        network, _, method = verdict.conventional.rpartition(", ")
        energy = verdict.energy("conventional")
        canvas.mark(
            axes,
            energy.middle_pj,
            rows.index(verdict.profile) + 0.25,
            f"{verdict.conventional}: {energy_words(energy)}",
            color=canvas.VERMILION,
            # Points may nearly coincide: shapes show methods, sizes networks.
            marker="D" if method == "dense" else "^",
            markersize=sizes.setdefault(network, (7, 4)[len(sizes) % 2]),
            markerfacecolor=canvas.PAPER,
            label=verdict.conventional,
        )


def _draw_chips(axes: Axes, y: float) -> None:
    """Mark the published measurements of other networks on chips."""
    style = {
        "color": canvas.BLUE,
        "markerfacecolor": canvas.PAPER,
        "label": "other networks, measured on chips",
    }
    for chip in measured_on_mnist():
        energy_pj = 1e6 * chip["microjoules"]
        words = f"{chip['name']}: {joules(energy_pj)}, {chip['accuracy_percent']:g} %"
        canvas.mark(axes, energy_pj, y, words, **style)


@canvas.house_style()
def by_term(analysis: "EnergyAnalysis") -> Chart | None:
    """Draw the largest terms under the headline's price list, one bar each.

    A bar shows the mean at the low and high ends of the prices. None if nothing is
    priced.
    """
    priced = [
        (row, row.energy)
        for row in analysis.records()
        if row.energy is not None and row.energy.high_pj > 0
    ]
    if not priced:
        return None
    priced.sort(key=lambda pair: -pair[1].high_pj)
    largest = priced[:_LARGEST]
    names = [
        f"{in_words(row.term)}, {place(row.layer)}: {energy_words(energy)}"
        for row, energy in largest
    ]
    figure, axes = _rows(0.46, names)
    colours = canvas.place_colours(analysis.inputs.network)
    for y, ((row, energy), name) in enumerate(zip(largest, names, strict=True)):
        color = colours.get(row.layer, canvas.BLUE)
        for end, alpha in ((energy.high_pj, 0.3), (energy.low_pj, 1)):
            bar = axes.barh([y + 0.25], [end], height=0.3, color=color, alpha=alpha)
            canvas.tip(bar, name)
    axes.xaxis.set_major_formatter(lambda pj, _: joules(pj))
    axes.locator_params("x", nbins=5)
    axes.set_xlabel("Energy per inference, mean")
    finding = f"By operation and layer: {analysis.chosen.title}"
    return Chart("by-term", finding, figure)
