"""Charts of the energy per inference: by price list, and by term and layer.

A term is one kind of operation, such as a weight read.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikejoule.energy.chips import measured_on_mnist
from spikejoule.energy.ledger import DENSE_METHOD
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart
from spikejoule.report.names import named, terms_in_words
from spikejoule.report.units import energy_words, joules
from spikejoule.report.words import place

if TYPE_CHECKING:
    from spikejoule.compare.analysis import EnergyAnalysis


_LARGEST = 8
"""Most bars drawn by term; each is one term in one layer."""


def _rows(inches: float, names: Sequence[str]) -> tuple[Figure, Axes]:
    """Create a figure of one row per name, the first on top.

    The name of row n is written at y = n, and the caller draws below it, at n + 0.25.
    """
    figure, axes = canvas.new_figure(inches * len(names) + 1)
    for row, name in enumerate(names):
        # x is a fraction of the axes' width, y is in data units.
        at_left = axes.get_yaxis_transform()
        axes.text(
            0,
            row + 0.08,
            name,
            va="bottom",
            fontsize=8.5,
            transform=at_left,
            in_layout=False,
        )
    axes.set(ylim=(len(names) - 0.45, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    return figure, axes


@canvas.house_style()
def by_profile(analysis: "EnergyAnalysis") -> Chart:
    """Draw the energy under every price list, one row each, on a logarithmic axis.

    A band spans the confidence interval of the mean and the range of the prices.
    Conventional networks of equal size are marked in the same row. The last row shows
    published measurements of other networks on chips.
    """
    profiles = analysis.ledger.profiles
    totals = [analysis.total(profile=profile.id) for profile in profiles]
    labels = [
        f"{profile.title}\n{energy_words(total)} · {profile.scope.replace('_', '-')} · "
        f"{profile.evidence}"
        for profile, total in zip(profiles, totals, strict=True)
    ]
    chips = (
        "Chips that classify MNIST digits\nother networks · boundaries differ · "
        "measured"
    )
    figure, axes = _rows(0.62, [*labels, chips])
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
    """Mark the conventional networks of equal size in the rows of their price lists."""
    rows = [profile.id for profile in analysis.ledger.profiles]
    sizes: dict[str, int] = {}
    for verdict in analysis.comparisons:
        side = verdict.conventional
        canvas.mark(
            axes,
            side.energy.middle_pj,
            rows.index(verdict.profile) + 0.25,
            f"{named(side)}: {energy_words(side.energy)}",
            color=canvas.VERMILION,
            # Marks may overlap: the shape shows the method, the size the network.
            marker="D" if side.method == DENSE_METHOD else "^",
            markersize=sizes.setdefault(side.network, (7, 4)[len(sizes) % 2]),
            markerfacecolor=canvas.PAPER,
            label=named(side),
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

    A bar ends at the mean at the lowest prices, its pale part at that at the highest.
    None if nothing is priced.
    """
    priced = [
        (record, record.energy)
        for record in analysis.records()
        if record.energy is not None and record.energy.high_pj > 0
    ]
    if not priced:
        return None
    priced.sort(key=lambda pair: -pair[1].high_pj)
    largest = priced[:_LARGEST]
    names = [
        f"{terms_in_words(record.term)}, {place(record.layer)}: {energy_words(energy)}"
        for record, energy in largest
    ]
    figure, axes = _rows(0.46, names)
    colours = canvas.place_colours(analysis.inputs.network)
    for row, ((record, energy), name) in enumerate(zip(largest, names, strict=True)):
        color = colours.get(record.layer, canvas.BLUE)
        for end, alpha in ((energy.high_pj, 0.3), (energy.low_pj, 1)):
            bar = axes.barh([row + 0.25], [end], height=0.3, color=color, alpha=alpha)
            canvas.tip(bar, name)
    axes.xaxis.set_major_formatter(lambda pj, _: joules(pj))
    axes.locator_params("x", nbins=5)
    axes.set_xlabel("Energy per inference, mean")
    finding = f"By operation and layer: {analysis.chosen.title}"
    return Chart("by-term", finding, figure)
