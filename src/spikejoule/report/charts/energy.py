"""Energy by hardware profile, and under one profile by term, by layer, by class; break-even."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from spikejoule.energy.estimates import Energy, energy_words, joules
from spikejoule.energy.prices import MEASURED_ON_MNIST, MeasuredChip
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart, NoChart
from spikejoule.report.words import place_words, term_words, terms_words

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis
    from spikejoule.energy.comparison import BreakEven

_ROW_INCHES = 0.62
_BAR_INCHES = 0.46


@canvas.house_style()
def by_profile(analysis: "EnergyAnalysis") -> Chart:
    """Every profile on one logarithmic axis, and the baselines it can price.

    Below them, what other networks were measured to need on chips.
    """
    entries = analysis.inference
    chips = [1e6 * chip.microjoules for chip in MEASURED_ON_MNIST]
    baselines = [end for item in entries for other in item.comparisons for end in _ends(other.ann)]
    own = [end for item in entries for end in (item.total.lowest_pj, item.total.highest_pj)]
    figure = canvas.new_figure(_ROW_INCHES * (len(entries) + 1) + 1.5)
    axes = figure.subplots()
    canvas.decades(axes, "x", [*own, *baselines, *chips])
    _rows(axes, len(entries) + 1)
    networks: dict[str, tuple[str, int]] = {}
    for row, entry in enumerate(entries):
        profile, total, y = entry.profile, entry.total, row + 0.25
        chosen = profile.id == analysis.chosen
        colour = canvas.VERMILION if chosen else canvas.BLUE
        about = f"{energy_words(total)} · {profile.scope.replace('_', '-')} · {profile.evidence}"
        _name_row(axes, row, profile.title, about, chosen)
        for item in entry.comparisons:
            # A shape by method, a colour and a size by network: some all but coincide.
            style = ((canvas.GREEN, 7), (canvas.PINK, 4))[len(networks) % 2]
            colour_of, size = networks.setdefault(item.baseline.network, style)
            shape = "D" if item.name.endswith(", dense") else "^"
            words = f"{item.name}: {energy_words(item.ann)}"
            canvas.mark(axes, item.ann.middle_pj, y, words, marker=shape, color=colour_of,
                        markerfacecolor=canvas.PAPER, markersize=size, label=item.name)  # fmt: skip
        words = f"{profile.title}: {energy_words(total)}"
        _span(axes, total, y, colour, words)
        if total.value_pj is not None:
            label = f"spiking network{f', chosen profile ({analysis.chosen})' if chosen else ''}"
            canvas.mark(axes, total.value_pj, y, words, color=colour, label=label)
    about = "another network each · scope unconfirmed · measured"
    _name_row(axes, len(entries), "Chips that read MNIST digits", about, False)
    for chip, energy in zip(MEASURED_ON_MNIST, chips, strict=True):
        canvas.mark(axes, energy, len(entries) + 0.25, _chip_words(chip), color=canvas.BLUE,
                    markerfacecolor=canvas.PAPER,
                    label="another network, measured on its chip")  # fmt: skip
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    return Chart(
        "by-profile",
        f"The same counts under {len(entries)} price lists: "
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
    entry = analysis.chosen_inference
    rows = [
        (f"{term_words(item.term)}, {place_words(item.place)}", *_low_value_high(item.energy))
        for item in entry.by_term
    ]
    return _bars(
        "by-term",
        f"What the energy goes to, under {entry.profile.title}",
        sorted(rows, key=lambda row: -row[3]),
        f"Not included: {terms_words(entry.unpriced) or 'no counted term'}.",
    )


@canvas.house_style()
def by_layer(analysis: "EnergyAnalysis") -> Chart | NoChart:
    """The chosen profile's energy by layer and connection, in the order of the network."""
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for item in analysis.chosen_inference.by_term:
        sums.setdefault(item.place, []).append(_low_value_high(item.energy))
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
    classes, subject = analysis.chosen_inference.by_class, analysis.inputs.subject
    if not classes:
        return NoChart(
            "by-class",
            f"Some {subject.nouns} cost more than others",
            f"Counts are known as means over all {subject.samples} alone.",
        )
    figure = canvas.new_figure(0.24 * len(classes) + 0.7)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", 1.05 * max(item.energy.highest_pj for item in classes))
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_yticks(range(len(classes)), [subject.class_names[item.label] for item in classes])
    for row, item in enumerate(classes):
        name = subject.class_names[item.label]
        words = f"{name}: {energy_words(item.energy)}, {item.n_images:,} {subject.samples}"
        _span(axes, item.energy, row, canvas.BLUE, words)
        if item.energy.value_pj is not None:
            canvas.mark(axes, item.energy.value_pj, row, words, color=canvas.BLUE)
    axes.set_xlabel(f"Energy per inference under {analysis.chosen}, mean and interval")
    dearest = subject.one(max(classes, key=lambda item: item.energy.highest_pj).label)
    cheapest = subject.one(min(classes, key=lambda item: item.energy.highest_pj).label)
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
    entry = next(
        (one for one in (analysis.chosen_inference, *analysis.inference)
         if any(item.break_even is not None for item in one.comparisons)),
        None,
    )  # fmt: skip
    if entry is None:
        reason = "No profile prices both a multiply-accumulate and a synaptic event."
        if not analysis.inputs.baselines:
            reason = "No conventional network was counted."
        elif analysis.inputs.encoder.input_products is not None:
            reason = "The input is a constant current, without spikes that could be more or fewer."
        return NoChart("break-even", "Break-even", reason)
    solved = [(one.name, one.break_even) for one in entry.comparisons if one.break_even is not None]
    _, widest = max(solved, key=lambda pair: pair[1].curve_spikes_per_input[-1])
    measured, energy = widest.measured_spikes_per_input, entry.total.value_pj
    assert energy is not None  # no break-even without
    spikes, energies = widest.curve_spikes_per_input, widest.curve_snn_pj
    figure = canvas.new_figure(4.4)
    axes = figure.subplots()
    canvas.decades(axes, "x", spikes, canvas.plain_number)
    canvas.decades(axes, "y", [*energies, *(limit.ann_pj for _, limit in solved)])
    axes.plot(spikes, energies, color=canvas.BLUE, linewidth=1.8, label="spiking network")
    for place, (name, limit) in enumerate(solved):
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
    first, limit = solved[0]
    under = f"under {entry.profile.title}"
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
    return (low, high) if energy.value is None else (middle, middle)
