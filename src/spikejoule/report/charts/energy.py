"""Energy by hardware profile, and under one profile by term; break-even."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from spikejoule.energy.estimates import Energy, energy_words, joules
from spikejoule.energy.prices import measured_on_mnist
from spikejoule.energy.terms import in_words
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis

_ROW_INCHES = 0.62
_BAR_INCHES = 0.46
_CURVE_POINTS = 60


@canvas.house_style()
def by_profile(analysis: "EnergyAnalysis") -> Chart:
    """Every profile on one logarithmic axis, and the baselines it can price.

    Below them, what other networks were measured to need on chips.
    """
    profiles, n_profiles = analysis.ledger.profiles, len(analysis.ledger.profiles)
    totals = [analysis.total(profile=profile.id) for profile in profiles]
    chips = [(1e6 * chip["microjoules"], chip) for chip in measured_on_mnist()]
    others = [(one.profile, one.conventional) for one in analysis.comparisons if one.conventional]
    spent = [end for one in totals for end in (one.lowest_pj, one.highest_pj)]
    spent_by_others = [one.energy.middle_pj for _, one in others]
    figure = canvas.new_figure(_ROW_INCHES * (n_profiles + 1) + 1.5)
    axes = figure.subplots()
    canvas.decades(axes, "x", [*spent, *spent_by_others, *(pj for pj, _ in chips)])
    _rows(axes, n_profiles + 1)
    networks: dict[str, tuple[str, int]] = {}
    for row, (profile, total) in enumerate(zip(profiles, totals, strict=True)):
        y, chosen = row + 0.25, profile == analysis.chosen
        colour = canvas.VERMILION if chosen else canvas.BLUE
        about = f"{energy_words(total)} · {profile.scope.replace('_', '-')} · {profile.evidence}"
        _name_row(axes, row, profile.title, about, chosen)
        for other in (one for of, one in others if of == profile):
            network, _, method = other.name.rpartition(", ")
            # A shape by method, a colour and a size by network: some all but coincide.
            style = ((canvas.GREEN, 7), (canvas.PINK, 4))[len(networks) % 2]
            colour_of, size = networks.setdefault(network, style)
            words = f"{other.name}: {energy_words(other.energy)}"
            canvas.mark(axes, other.energy.middle_pj, y, words, color=colour_of,
                        marker="D" if method == "dense" else "^", markersize=size,
                        markerfacecolor=canvas.PAPER, label=other.name)  # fmt: skip
        label = f"spiking network{f', chosen profile ({profile.id})' if chosen else ''}"
        _span(axes, total, y, f"{profile.title}: {energy_words(total)}", color=colour, label=label)
    about = "another network each · scope unconfirmed · measured"
    _name_row(axes, n_profiles, "Chips that read MNIST digits", about, False)
    for pj, chip in chips:
        words = f"{chip['name']}: {joules(pj)}, {chip['accuracy_percent']:g} %"
        canvas.mark(axes, pj, n_profiles + 0.25, words, color=canvas.BLUE,
                    markerfacecolor=canvas.PAPER,
                    label="another network, measured on its chip")  # fmt: skip
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    return Chart(
        "by-profile",
        f"The same counts under {n_profiles} price lists: "
        f"{joules(min([*spent, *spent_by_others]), 3)} to {joules(max(spent), 3)} per inference",
        figure,
        analysis.inputs.title,
    )


def _rows(axes: Axes, n_rows: int) -> None:
    """A vertical axis of rows without ticks, the first on top."""
    axes.set(ylim=(n_rows - 0.45, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)


def _name_row(axes: Axes, row: int, name: str, about: str, strong: bool) -> None:
    at: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "in_layout": False}
    weight = "bold" if strong else "normal"
    axes.text(0, row - 0.2, name, va="bottom", fontweight=weight, fontsize=8.5, **at)
    axes.text(0, row - 0.17, about, va="top", color=canvas.MUTED, fontsize=8.5, **at)


def _span(axes: Axes, energy: Energy, y: float, words: str, color: str, label: str = "") -> None:
    """A band from the least to the most that a mean can be, and a mark at the value."""
    ends = [energy.lowest_pj, energy.highest_pj]
    band = axes.plot(ends, [y, y], color=color, linewidth=4, alpha=0.45, solid_capstyle="round")
    canvas.tip(band, words)
    if energy.value_pj is not None:
        canvas.mark(axes, energy.value_pj, y, words, color=color, label=label)


@canvas.house_style()
def by_term(analysis: "EnergyAnalysis") -> Chart | None:
    """The chosen profile's terms, largest first: a bar each, the mean at the prices' low and high
    ends. None if it prices none."""
    rows = [
        (row["energy"], f"{in_words(row['term'])}, {row['layer'].replace('_to_', ' → ')}")
        for row in analysis.records()
        if row["energy"] is not None
    ]
    rows.sort(key=lambda row: -row[0].high_pj)
    if not rows or rows[0][0].high_pj <= 0:
        return None
    figure = canvas.new_figure(_BAR_INCHES * len(rows) + 0.7)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", rows[0][0].high_pj)
    _rows(axes, len(rows))
    at, total = axes.get_yaxis_transform(), sum(energy.middle_pj for energy, _ in rows) or 1.0
    for place, (energy, name) in enumerate(rows):
        size = f"{joules(energy.low_pj)} to {joules(energy.high_pj)}"
        if energy.low_pj == energy.high_pj:
            size = f"{joules(energy.low_pj)} ({100 * energy.low_pj / total:.3g} %)"
        axes.text(0, place + 0.02, name, transform=at, va="bottom")
        axes.text(1, place + 0.02, size, transform=at, va="bottom", ha="right")
        for end, alpha in ((energy.high_pj, 0.3), (energy.low_pj, 1)):
            bar = axes.barh([place + 0.25], [end], height=0.3, color=canvas.BLUE, alpha=alpha)
            canvas.tip(bar, f"{name}: {size}")
    axes.set_xlabel("Energy per inference, mean")
    finding = f"What the energy goes to, under {analysis.chosen.title}"
    return Chart("by-term", finding, figure)


@canvas.house_style()
def break_even(analysis: "EnergyAnalysis") -> Chart | None:
    """The spiking network's energy against the spikes of an input, and the baselines'.

    Under the chosen profile if it has a break-even, else under the first that has; None if none.
    """
    solved = [
        (one.profile, one.conventional, limit)
        for one in analysis.comparisons
        if one.conventional and (limit := analysis.break_even(one)) is not None
    ]
    solved.sort(key=lambda one: one[0] != analysis.chosen)
    if not solved:
        return None
    profile, first, limit = solved[0]
    shown = [(other, each) for under, other, each in solved if under == profile]
    cost, energy = analysis.window_cost(profile), analysis.total(profile=profile.id).value_pj
    assert cost is not None
    assert energy is not None  # no break-even without
    measured = analysis.inputs.operating_point.spikes_per_input
    most = max(each.spikes_per_input or 0.0 for _, each in shown)
    spikes = np.geomspace(measured / 20, 3 * max(measured, most), _CURVE_POINTS)
    curve = (cost.once + cost.steps)[1] + cost.spikes[1] * spikes / measured
    figure = canvas.new_figure(4.4)
    axes = figure.subplots()
    canvas.decades(axes, "x", spikes, canvas.plain_number)
    canvas.decades(axes, "y", [*curve, *(other.energy.middle_pj for other, _ in shown)])
    axes.plot(spikes, curve, color=canvas.BLUE, linewidth=1.8, label="spiking network")
    for place, (other, each) in enumerate(shown):
        # Dense and zero-skipping of a network look alike; those of the next are in their gaps.
        second, pj = place // 2 % 2, other.energy.middle_pj
        colour, dashes = (canvas.GREEN, canvas.PINK)[second], ((0, (6, 5)), (-7.5, (1.5, 5.5)))
        line = axes.axhline(pj, color=colour, linestyle=dashes[second], label=other.name)
        below = "never below it"
        if each.spikes_per_input is not None:
            below = f"up to {each.spikes_per_input:.3g} spikes per input"
            words = f"against {other.name} {below}"
            canvas.mark(axes, each.spikes_per_input, pj, words, color=colour)
        canvas.tip([line], f"against {other.name} {below}")
    told = f"measured: {measured:.3g} spikes per input, {joules(energy)}"
    canvas.mark(axes, measured, energy, told, color=canvas.VERMILION, markersize=8,
                label="as measured")  # fmt: skip
    axes.set_xlabel("Spikes of an input unit over the window, mean, log scale")
    axes.set_ylabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    finding = f"Break-even: {first.name} needs less at any number of spikes"
    if limit.spikes_per_input is not None:
        finding = f"Break-even: less energy than {first.name} up to {limit.spikes_per_input:.3g} "
        finding += "spikes an input"
    return Chart("break-even", f"{finding}, under {profile.title}", figure)
