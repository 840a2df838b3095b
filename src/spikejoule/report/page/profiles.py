"""Energy by hardware profile, and under one profile by term, by layer and by class."""

from collections.abc import Sequence

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.analysis import ProfileInference
from spikejoule.energy.estimates import Energy, joules
from spikejoule.energy.silicon import MEASURED_ON_MNIST, MeasuredChip
from spikejoule.energy.verdict_words import energy_words
from spikejoule.report.charts.scales import Scale
from spikejoule.report.page.figure import Words, absent, figure, symbol
from spikejoule.report.page.markup import Markup, element, joined
from spikejoule.report.page.plot import (
    energy_scale,
    linear_energy_scale,
    percent,
    text,
    x_grid,
)
from spikejoule.report.page.wording import place_words, term_words

# Of the first network, and of a second within it: under the same prices they all but coincide.
_NETWORKS = (" s3", " s4 small")
_ROW = 58
_BAR_ROW = 42


def by_profile_figure(analysis: EnergyAnalysis) -> Markup:
    """Every profile on one logarithmic axis, with brackets, and the baselines it can price."""
    entries = analysis.inference
    energies = [end for item in entries for end in (item.total.lowest_pj, item.total.highest_pj)]
    energies += [end for item in entries for other in item.comparisons for end in _ends(other.ann)]
    least = min(energies)
    energies += [1e6 * chip.microjoules for chip in MEASURED_ON_MNIST]
    scale = energy_scale(energies)
    baselines = [item.name for entry in entries for item in entry.comparisons]
    styles = _baseline_styles(list(dict.fromkeys(baselines)))
    marks = [x_grid(scale)]
    for row, entry in enumerate(entries):
        marks.append(_profile_row(entry, entry.profile.id == analysis.chosen, row, scale, styles))
    marks.append(_chips_row(len(entries), scale))
    values = sorted(entry.total.highest_pj for entry in entries)
    words = Words(
        key="by-profile",
        finding=f"The same counts under {len(entries)} price lists: "
        f"{joules(least, 3)} to {joules(values[-1], 3)} per inference",
        description="; ".join(
            [
                *(f"{entry.profile.title}: {energy_words(entry.total)}" for entry in entries),
                *(f"measured, {_chip_words(chip)}" for chip in MEASURED_ON_MNIST),
            ]
        ),
        x_title="Energy per inference, log scale",
        caption="A bar spans the prices' bracket and the bootstrap interval of the mean. Profiles "
        "cover different things (see their scope), so that they bound each other and do not rank "
        "chips. A profile without a price of a multiply-accumulate shows no baseline. The "
        "last row holds what other networks were measured to need on chips, as published.",
        legend=[
            ("dot f1", "spiking network"),
            ("dot f2", f"the same, chosen profile ({analysis.chosen})"),
            *((f"{style} hollow", name) for name, style in styles.items()),
            ("dot s1 hollow", "another network, measured on its chip"),
        ],
    )
    return figure(words, marks, _ROW * (len(entries) + 1), has_labels=False)


def _chips_row(row: int, scale: Scale) -> Markup:
    """What other networks were measured to need: a band, and a ring for each."""
    top, middle = _ROW * row, _ROW * row + 45
    places = [scale.place(1e6 * chip.microjoules) for chip in MEASURED_ON_MNIST]
    ends = percent(min(places)), percent(max(places))
    about = "another network each · scope unconfirmed · measured"
    return joined(
        (
            text("0", str(top), "Chips that read MNIST digits", dy=16, style="label"),
            text("0", str(top), about, dy=31, style="tick"),
            element("line", x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_="span s1"),
            *(
                symbol(
                    "dot s1 hollow",
                    percent(place),
                    str(middle),
                    _chip_words(chip),
                )
                for chip, place in zip(MEASURED_ON_MNIST, places, strict=True)
            ),
        )
    )


def _profile_row(
    entry: ProfileInference, chosen: bool, row: int, scale: Scale, styles: dict[str, str]
) -> Markup:
    top, middle = _ROW * row, _ROW * row + 45
    profile, total = entry.profile, entry.total
    colour = "2" if chosen else "1"
    low, high = (percent(scale.place(end)) for end in (total.lowest_pj, total.highest_pj))
    told = f"{profile.title}: {energy_words(total)}"
    span = element("line", element("title", told), x1=low, x2=high, y1=middle, y2=middle,
                   class_=f"span s{colour}")  # fmt: skip
    value = None
    if total.value is not None:
        place = percent(scale.place(total.value.mean))
        value = symbol(f"dot f{colour}", place, str(middle), told)
    others = [
        symbol(
            f"{styles[item.name]} hollow",
            percent(scale.place(sum(_ends(item.ann)) / 2)),
            str(middle),
            f"{item.name}: {energy_words(item.ann)}",
        )
        for item in entry.comparisons
    ]
    name = text("0", str(top), profile.title, dy=16, style="label strong" if chosen else "label")
    about = f"{energy_words(total)} · {profile.scope.replace('_', '-')} · {profile.evidence}"
    return joined((name, text("0", str(top), about, dy=31, style="tick"), *others, span, value))


def _chip_words(chip: MeasuredChip) -> str:
    return f"{chip.name}: {joules(1e6 * chip.microjoules)}, {chip.accuracy_percent:g} %"


def _baseline_styles(names: Sequence[str]) -> dict[str, str]:
    """A shape by method (dense or zero-skipping), a colour and a size by network."""
    networks = list(dict.fromkeys(name.rpartition(", ")[0] for name in names))
    return {
        name: ("diamond" if name.endswith(", dense") else "triangle")
        + _NETWORKS[networks.index(name.rpartition(", ")[0]) % len(_NETWORKS)]
        for name in names
    }


def by_term_figure(analysis: EnergyAnalysis) -> Markup:
    """The chosen profile's terms, largest first."""
    entry = analysis.chosen_inference
    rows = [
        (f"{term_words(item.term)}, {place_words(item.place)}", *_low_value_high(item.energy))
        for item in entry.by_term
    ]
    not_in = [term_words(term) for term in entry.unpriced]
    return _bars(
        "by-term",
        f"What the energy goes to, under {entry.profile.title}",
        sorted(rows, key=lambda row: -row[3]),
        f"Not included: {', '.join(not_in) or 'no counted term'}.",
    )


def by_layer_figure(analysis: EnergyAnalysis) -> Markup:
    """The chosen profile's energy by layer and connection, in the order of the network."""
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for item in analysis.chosen_inference.by_term:
        sums.setdefault(item.place, []).append(_low_value_high(item.energy))
    order = [place for place in analysis.inputs.places if place in sums]
    rows = [
        (place_words(place), *(sum(column) for column in zip(*sums[place], strict=True)))
        for place in order
    ]
    return _bars(
        "by-layer",
        "Where it goes: layers and the connections between them",
        [(name, low, value, high) for name, low, value, high in rows],
        "Synaptic events belong to a connection; updates, leaks, biases and spikes to a layer.",
    )


def by_class_figure(analysis: EnergyAnalysis) -> Markup:
    """The chosen profile's energy by class, with intervals."""
    classes = analysis.chosen_inference.by_class
    subject = analysis.inputs.subject
    heading = f"Some {subject.nouns} cost more than others"
    if not classes:
        return absent(
            "by-class", heading, f"Counts are known as means over all {subject.samples} alone."
        )
    scale = linear_energy_scale(1.05 * max(item.energy.highest_pj for item in classes))
    marks = [x_grid(scale)]
    for row, item in enumerate(classes):
        energy = item.energy
        name = subject.class_names[item.label]
        told = f"{name}: {energy_words(energy)}, {item.n_images:,} {subject.samples}"
        y = 26 * row + 15
        ends = [percent(scale.place(end)) for end in (energy.lowest_pj, energy.highest_pj)]
        marks.append(text("0", str(y), name, "end", dx=-8, dy=4, style="label"))
        marks.append(element("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_="span s1"))
        if energy.value is not None:
            place = percent(scale.place(energy.value.mean))
            marks.append(symbol("dot f1", place, str(y), told))
    dearest = max(classes, key=lambda item: item.energy.highest_pj)
    cheapest = min(classes, key=lambda item: item.energy.highest_pj)
    costs = subject.one(dearest.label)
    words = Words(
        key="by-class",
        finding=f"{costs[:1].upper()}{costs[1:]} costs the most, "
        f"{subject.one(cheapest.label)} the least",
        description="; ".join(
            f"{subject.class_names[item.label]}: {energy_words(item.energy)}" for item in classes
        ),
        x_title=f"Energy per inference under {analysis.chosen}, mean and interval",
    )
    return figure(words, marks, 26 * len(classes) + 4)


def _bars(
    key: str, finding: str, rows: Sequence[tuple[str, float, float, float]], caption: str
) -> Markup:
    if not rows or max(row[3] for row in rows) <= 0:
        return absent(key, finding, "The profile prices nothing that was counted.")
    scale = linear_energy_scale(max(row[3] for row in rows))
    total = sum(row[2] for row in rows) or 1.0
    marks = [x_grid(scale)]
    told = []
    for number, (name, low, value, high) in enumerate(rows):
        top = _BAR_ROW * number
        bracket = f"{joules(low)} to {joules(high)}"
        size = f"{joules(value)} ({100 * value / total:.3g} %)" if low == high else bracket
        told.append(f"{name}: {size}")
        marks += [
            text("0", str(top), name, dy=16, style="label"),
            text("100%", str(top), size, "end", dy=16, style="label"),
            element("rect", x="0", y=top + 22, width=percent(scale.place(high)), height="12",
                    class_="bar pale"),
            element("rect", element("title", told[-1]), x="0", y=top + 22,
                    width=percent(scale.place(low)), height="12", class_="bar f1"),
        ]  # fmt: skip
    words = Words(
        key=key,
        finding=finding,
        description="; ".join(told),
        x_title="Energy per inference, mean",
        caption=caption,
    )
    return figure(words, marks, _BAR_ROW * len(rows) + 2, has_labels=False)


def _low_value_high(energy: Energy) -> tuple[float, float, float]:
    low, high = energy.low.mean, energy.high.mean
    return low, (low + high) / 2 if energy.value is None else energy.value.mean, high


def _ends(energy: Energy) -> tuple[float, float]:
    low, value, high = _low_value_high(energy)
    return (low, high) if energy.value is None else (value, value)
