"""Energy by hardware profile, and under one profile by term, by layer, by class; break-even."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from spikejoule.energy.estimates import Energy, energy_words, joules
from spikejoule.energy.prices import MeasuredChip, measured_on_mnist
from spikejoule.energy.terms import in_words
from spikejoule.energy.words import place_words
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart, NoChart

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis
    from spikejoule.energy.comparison import BreakEven

_ROW_INCHES = 0.62
_BAR_INCHES = 0.46
_CURVE_POINTS = 60


@canvas.house_style()
def by_profile(analysis: "EnergyAnalysis") -> Chart:
    """Every profile on one logarithmic axis, and the baselines it can price.

    Below them, what other networks were measured to need on chips.
    """
    profiles = analysis.ledger.profiles
    totals = [analysis.total(profile=profile.id) for profile in profiles]
    chips = [1e6 * chip.microjoules for chip in measured_on_mnist()]
    others = [one.conventional for one in analysis.comparisons if one.conventional is not None]
    baselines = [end for other in others for end in _ends(other.energy)]
    own = [end for total in totals for end in (total.lowest_pj, total.highest_pj)]
    figure = canvas.new_figure(_ROW_INCHES * (len(profiles) + 1) + 1.5)
    axes = figure.subplots()
    canvas.decades(axes, "x", [*own, *baselines, *chips])
    _rows(axes, len(profiles) + 1)
    networks: dict[str, tuple[str, int]] = {}
    for row, (profile, total) in enumerate(zip(profiles, totals, strict=True)):
        y, chosen = row + 0.25, profile == analysis.chosen
        colour = canvas.VERMILION if chosen else canvas.BLUE
        about = f"{energy_words(total)} · {profile.scope.replace('_', '-')} · {profile.evidence}"
        _name_row(axes, row, profile.title, about, chosen)
        for one in analysis.comparisons:
            other = one.conventional
            if one.profile != profile or other is None:
                continue
            network, _, method = other.name.rpartition(", ")
            # A shape by method, a colour and a size by network: some all but coincide.
            style = ((canvas.GREEN, 7), (canvas.PINK, 4))[len(networks) % 2]
            colour_of, size = networks.setdefault(network, style)
            words = f"{other.name}: {energy_words(other.energy)}"
            canvas.mark(axes, other.energy.middle_pj, y, words, color=colour_of,
                        marker="D" if method == "dense" else "^", markersize=size,
                        markerfacecolor=canvas.PAPER, label=other.name)  # fmt: skip
        words = f"{profile.title}: {energy_words(total)}"
        _span(axes, total, y, colour, words)
        if total.value_pj is not None:
            own_label = f", chosen profile ({profile.id})" if chosen else ""
            label = f"spiking network{own_label}"
            canvas.mark(axes, total.value_pj, y, words, color=colour, label=label)
    about = "another network each · scope unconfirmed · measured"
    _name_row(axes, len(profiles), "Chips that read MNIST digits", about, False)
    for chip, energy in zip(measured_on_mnist(), chips, strict=True):
        canvas.mark(axes, energy, len(profiles) + 0.25, _chip_words(chip), color=canvas.BLUE,
                    markerfacecolor=canvas.PAPER,
                    label="another network, measured on its chip")  # fmt: skip
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    return Chart(
        "by-profile",
        f"The same counts under {len(profiles)} price lists: "
        f"{joules(min([*own, *baselines]), 3)} to {joules(max(own), 3)} per inference",
        figure,
        analysis.inputs.title,
        "A bar spans the price range and the bootstrap interval of the mean. Profiles cover "
        "different things (see their scope), so that they bound each other and do not rank chips. "
        "A profile without a price of a multiply-accumulate shows no baseline. The last row holds "
        "what other networks were measured to need on chips, as published.",
    )


def _rows(axes: Axes, n_rows: int) -> None:
    """A vertical axis of rows without ticks, the first on top."""
    axes.set_ylim(n_rows - 0.45, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _name_row(axes: Axes, row: int, name: str, about: str, strong: bool) -> None:
    weight = "bold" if strong else "normal"
    at: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "fontsize": 8.5}
    axes.text(0, row - 0.2, name, va="bottom", fontweight=weight, in_layout=False, **at)
    axes.text(0, row - 0.17, about, va="top", color=canvas.MUTED, in_layout=False, **at)


def _span(axes: Axes, energy: Energy, y: float, colour: str, words: str) -> None:
    """A band from the least to the most that a mean can be."""
    ends = [energy.lowest_pj, energy.highest_pj]
    band = axes.plot(ends, [y, y], color=colour, linewidth=4, alpha=0.45, solid_capstyle="round")
    canvas.tip(band, words)


def _chip_words(chip: MeasuredChip) -> str:
    return f"{chip.name}: {joules(1e6 * chip.microjoules)}, {chip.accuracy_percent:g} %"


@canvas.house_style()
def by_term(analysis: "EnergyAnalysis") -> Chart | NoChart:
    """The chosen profile's terms, largest first."""
    rows = [
        (f"{in_words(row['term'])}, {place_words(row['layer'])}", *_low_value_high(row["energy"]))
        for row in analysis.records()
        if row["energy"] is not None
    ]
    return _bars(
        "by-term",
        f"What the energy goes to, under {analysis.chosen.title}",
        sorted(rows, key=lambda row: -row[3]),
        f"Not included: {in_words(*analysis.terms('unpriced')) or 'no counted term'}.",
    )


@canvas.house_style()
def by_layer(analysis: "EnergyAnalysis") -> Chart | NoChart:
    """The chosen profile's energy by layer and connection, in the order of the network."""
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for row in analysis.records():
        if row["energy"] is not None:
            sums.setdefault(row["layer"], []).append(_low_value_high(row["energy"]))
    rows = []
    for place in analysis.inputs.places:
        if place in sums:
            low, value, high = (sum(column) for column in zip(*sums[place], strict=True))
            rows.append((place_words(place), low, value, high))
    return _bars(
        "by-layer",
        "Where it goes: layers and the connections between them",
        rows,
        "Synaptic events belong to a connection; updates, leaks, biases and spikes to a layer.",
    )


def _bars(
    key: str, finding: str, rows: Sequence[tuple[str, float, float, float]], caption: str
) -> Chart | NoChart:
    """A bar a row: its name, and the mean at the prices' low ends, values and high ends."""
    if not rows or max(row[3] for row in rows) <= 0:
        return NoChart(key, finding, "The profile prices nothing that was counted.")
    total = sum(row[2] for row in rows) or 1.0
    figure = canvas.new_figure(_BAR_INCHES * len(rows) + 0.7)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", max(row[3] for row in rows))
    _rows(axes, len(rows))
    at = axes.get_yaxis_transform()
    for place, (name, low, value, high) in enumerate(rows):
        span = f"{joules(low)} to {joules(high)}"
        size = f"{joules(value)} ({100 * value / total:.3g} %)" if low == high else span
        words = f"{name}: {size}"
        axes.text(0, place + 0.02, name, transform=at, va="bottom")
        axes.text(1, place + 0.02, size, transform=at, va="bottom", ha="right")
        for end, alpha in ((high, 0.3), (low, 1)):
            bar = axes.barh([place + 0.25], [end], height=0.3, color=canvas.BLUE, alpha=alpha)
            canvas.tip(bar, words)
    axes.set_xlabel("Energy per inference, mean")
    return Chart(key, finding, figure, caption=caption)


@canvas.house_style()
def by_class(analysis: "EnergyAnalysis") -> Chart | NoChart:
    """The chosen profile's energy by class, with intervals."""
    classes, subject = analysis.classes, analysis.inputs.subject
    if not classes:
        return NoChart(
            "by-class",
            f"Some {subject.nouns} cost more than others",
            f"Counts are known as means over all {subject.samples} alone.",
        )
    figure = canvas.new_figure(0.24 * len(classes) + 0.7)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", 1.05 * max(row["energy"].highest_pj for row in classes))
    axes.set_ylim(len(classes) - 0.5, -0.5)
    names = [subject.class_names[int(row["class"])] for row in classes]
    axes.set_yticks(range(len(classes)), names)
    for place, (name, row) in enumerate(zip(names, classes, strict=True)):
        energy = row["energy"]
        words = f"{name}: {energy_words(energy)}, {row['n_images']:,} {subject.samples}"
        _span(axes, energy, place, canvas.BLUE, words)
        if energy.value_pj is not None:
            canvas.mark(axes, energy.value_pj, place, words, color=canvas.BLUE)
    axes.set_xlabel(f"Energy per inference under {analysis.chosen.id}, mean and interval")
    by_energy = sorted(classes, key=lambda row: -row["energy"].highest_pj)
    dearest, cheapest = (subject.one(int(by_energy[place]["class"])) for place in (0, -1))
    return Chart(
        "by-class",
        f"{dearest[:1].upper()}{dearest[1:]} costs the most, {cheapest} the least",
        figure,
    )


@canvas.house_style()
def break_even(analysis: "EnergyAnalysis") -> Chart | NoChart:
    """The spiking network's energy against the spikes of an input, and the baselines'.

    Under the chosen profile if it has a break-even, else under the first that has.
    """
    solved = [one for one in analysis.comparisons if one.break_even is not None]
    ids = [one.profile.id for one in solved]
    shown = analysis.chosen.id if analysis.chosen.id in ids else next(iter(ids), None)
    if shown is None:
        reason = "No profile prices both a multiply-accumulate and a synaptic event."
        if not analysis.inputs.baselines:
            reason = "No conventional network was counted."
        elif analysis.inputs.encoder.input_products is not None:
            reason = "The input is a constant current, without spikes that could be more or fewer."
        return NoChart("break-even", "Break-even", reason)
    limits = [(one.conventional.name, one.break_even) for one in solved
              if one.profile.id == shown and one.conventional and one.break_even]  # fmt: skip
    most = max(limit.spikes_per_input or 0.0 for _, limit in limits)
    measured = limits[0][1].measured_spikes_per_input
    spikes = np.geomspace(measured / 20, 3 * max(measured, most), _CURVE_POINTS)
    energies = limits[0][1].snn_pj(spikes)
    energy = analysis.total(profile=shown).value_pj
    assert energy is not None  # no break-even without
    figure = canvas.new_figure(4.4)
    axes = figure.subplots()
    canvas.decades(axes, "x", spikes, canvas.plain_number)
    canvas.decades(axes, "y", [*energies, *(limit.ann_pj for _, limit in limits)])
    axes.plot(spikes, energies, color=canvas.BLUE, linewidth=1.8, label="spiking network")
    for place, (name, limit) in enumerate(limits):
        # Dense and zero-skipping of a network look alike; those of the next are in their gaps.
        second = place // 2 % 2
        colour, dashes = (canvas.GREEN, canvas.PINK)[second], ((0, (6, 5)), (-7.5, (1.5, 5.5)))
        line = axes.axhline(limit.ann_pj, color=colour, linestyle=dashes[second], label=name)
        words = _limit_words(name, limit)
        canvas.tip([line], words)
        if limit.spikes_per_input is not None:
            canvas.mark(axes, limit.spikes_per_input, limit.ann_pj, words, color=colour)
    told = f"measured: {measured:.3g} spikes per input, {joules(energy)}"
    canvas.mark(axes, measured, energy, told, color=canvas.VERMILION, markersize=8,
                label="as measured")  # fmt: skip
    axes.set_xlabel("Spikes of an input unit over the window, mean, log scale")
    axes.set_ylabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    first, limit = limits[0]
    under = f"under {solved[ids.index(shown)].profile.title}"
    finding = f"Break-even: {first} needs less at any number of spikes, {under}"
    if limit.spikes_per_input is not None:
        finding = f"Break-even: less energy than {first} up to {limit.spikes_per_input:.3g} "
        finding += f"spikes an input, {under}"
    return Chart(
        "break-even",
        finding,
        figure,
        caption="The spiking network needs less to the left of where its line crosses a "
        "baseline's. All spikes are taken to grow in proportion to the input's, at the weights "
        "that were trained; leaks and biases stay.",
    )


def _limit_words(name: str, limit: "BreakEven") -> str:
    spikes = limit.spikes_per_input
    return f"against {name} " + (
        "never below it" if spikes is None else f"up to {spikes:.3g} spikes per input"
    )


def _low_value_high(energy: Energy) -> tuple[float, float, float]:
    return energy.low_pj, energy.middle_pj, energy.high_pj


def _ends(energy: Energy) -> tuple[float, float]:
    low, middle, high = _low_value_high(energy)
    return (low, high) if energy.value_pj is None else (middle, middle)
