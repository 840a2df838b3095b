"""The values and rows that the report's templates place."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.comparison import Comparison
from spikejoule.core.terminal import text_table
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, EnergyRow
from spikejoule.energy.prices import SCOPES, HardwareProfile
from spikejoule.energy.terms import TERMS
from spikejoule.report.kinds import pj_by_kind
from spikejoule.report.names import analysed_name, layers, named, terms_in_words
from spikejoule.report.units import energy_words, interval_words, joules, plain
from spikejoule.report.words import (
    accuracy,
    dataflow,
    under,
    updates,
    window,
    window_label,
)

Cells = tuple[str, ...]
# A network of more layers is deep: layers with small shares of its energy are one row.
_MOST_LAYERS = 12
_SMALL_PERCENT = 0.5
_LARGE_COUNT = 1000


@dataclass(frozen=True)
class Bar:
    """An energy as a bar: solid up to its lower end, pale up to its upper end.

    Attributes:
        side: ``spiking`` or ``conventional``.
        name: label of the bar.
        energy: the energy in words.
        solid_percent, pale_percent: widths of the two parts.
    """

    side: str
    name: str
    energy: str
    solid_percent: float
    pale_percent: float


@dataclass(frozen=True)
class PartRow:
    """One part of an inference's energy in both networks, in pJ."""

    name: str
    spiking_pj: float
    conventional_pj: float

    @property
    def difference_pj(self) -> float:
        """The extra energy of the spiking network."""
        return self.spiking_pj - self.conventional_pj


@dataclass(frozen=True)
class ShareRow:
    """What a layer, or a kind of operation, has of an inference's energy.

    Attributes:
        name: of one, or of several together.
        count: mean synaptic events and multiply-accumulates.
        energy_pj: mean.
        percent: of the whole energy.
    """

    name: str
    count: float
    energy_pj: float
    percent: float

    @property
    def counted(self) -> str:
        """The count in words; empty for none."""
        return count_in_words(self.count) if self.count else ""

    @property
    def energy(self) -> str:
        """The energy in words."""
        return joules(self.energy_pj, 3)

    @property
    def share(self) -> str:
        """The share in words."""
        return f"{self.percent:.1f} %"


@dataclass(frozen=True)
class OperationRow:
    """An operation in one layer, or all, with an energy per price list shown."""

    term: str
    layer: str
    meaning: str
    count: str
    standard_deviation: str
    energies: Cells


@dataclass(frozen=True, eq=False)
class PageView:
    """Values of the page.

    Attributes:
        headings: headings by section id, in page order.
        numbers: accuracy, energies and events: name, value, note.
        titles: titles of the price lists, by id.
        scopes: what prices cover: name, words.
        bars: energies of the headline's verdict; empty without one.
        parts: energy by part, the total last; empty without a conventional network to
            compare with.
        kinds, layers: energy by kind of operation, and by layer; empty for networks of
            this project.
        energy_columns: headers of the energies of `operations`.
        operations: the operations of an inference.
        training: energy of training by kind of access, a cell per phase; empty without
            a training.
        trainings: what training takes in other ways and for conventional networks.
        notes: all notes: label, words.
    """

    headings: dict[str, str]
    numbers: list[Cells]
    titles: dict[str, str]
    scopes: list[tuple[str, str]]
    bars: list[Bar]
    parts: list[PartRow]
    kinds: list[ShareRow]
    layers: list[ShareRow]
    energy_columns: Cells
    operations: list[OperationRow]
    training: list[Cells]
    trainings: list[Cells]
    notes: tuple[tuple[str, str], ...]


def count_in_words(count: float) -> str:
    """Write a mean count, with a decimal if it is small."""
    return f"{count:,.0f}" if count >= _LARGE_COUNT else f"{count:,.1f}"


def page_view(analysis: EnergyAnalysis, has_front: bool) -> PageView:
    """Compute the values of the page; `has_front` if it has the chart of the front."""
    remarks = analysis.inputs.remarks
    is_imported = bool(analysis.inputs.counted_in)
    # The top of the page has the cautions of an imported network.
    repeated = analysis.inputs.cautions if is_imported else ()
    return PageView(
        headings=_headings(analysis, has_front=has_front),
        numbers=_numbers(analysis),
        titles={profile.id: profile.title for profile in analysis.ledger.profiles},
        scopes=[(name.replace("_", "-"), words) for name, words in SCOPES.items()],
        bars=_bars(analysis),
        parts=_parts(analysis),
        kinds=_kinds(analysis) if is_imported else [],
        layers=_layers(analysis) if is_imported else [],
        energy_columns=tuple(f"energy, {profile.title}" for profile in analysis.shown),
        operations=_operations(analysis),
        training=_training(analysis),
        trainings=_trainings(analysis),
        notes=tuple(
            (note.label, note.words) for note in remarks if note not in repeated
        ),
    )


def _headings(analysis: EnergyAnalysis, has_front: bool) -> dict[str, str]:
    is_of_equal_size = analysis.inputs.is_of_equal_size
    headings = {
        "verdict": "Which network needs less energy, by price list",
        "parts": "Where the energy goes",
        "accuracy": "Energy against accuracy",
        "numbers": "Key figures",
        "every-profile": "Energy under every price list",
        "profiles": "Prices and their sources",
        "terms": "Operations of an inference",
        "baselines": "Networks of equal size"
        if is_of_equal_size
        else "The conventional network that model.hidden defines",
        "training-terms": "Energy of training",
        "assumptions": "What is counted and assumed",
        "glossary": "Glossary",
        "provenance": "How to reproduce this",
    }
    if analysis.inputs.counted_in:
        # Such a network has no pipeline that trains it or fixes a conventional one.
        headings["baselines"] = "Conventional networks"
        headings["provenance"] = "How this was counted"
        del headings["training-terms"]
        if not analysis.comparisons:
            del headings["baselines"]
    if not analysis.verdicts:
        del headings["verdict"]
    if not has_front:
        del headings["accuracy"]
    return headings


def _numbers(analysis: EnergyAnalysis) -> list[Cells]:
    energies = [_energy_entry(analysis, profile) for profile in analysis.shown]
    entries = [*energies, _events_entry(analysis)]
    if analysis.inputs.counted_in and analysis.inputs.variant.test_percent is None:
        return entries  # the samples have no labels
    return [_accuracy_entry(analysis), *entries]


def _accuracy_entry(analysis: EnergyAnalysis) -> Cells:
    known = analysis.inputs.variant
    name = "Accuracy" if analysis.inputs.counted_in else "Test accuracy"
    if known.test_percent is None:
        return name, "not recorded", ""
    note = "no interval recorded"
    if known.test_low_percent is not None and known.test_high_percent is not None:
        ends = f"{known.test_low_percent:.2f} to {known.test_high_percent:.2f} %"
        note = f"{100 * analysis.bootstrap.confidence:g} % interval {ends}"
    return name, f"{known.test_percent:.2f} %", note


def _energy_entry(analysis: EnergyAnalysis, profile: HardwareProfile) -> Cells:
    inputs = analysis.inputs
    samples = inputs.subject.samples
    counted = (
        f"{inputs.n_images:,} {samples}"
        if inputs.n_images
        else f"{samples} not recorded"
    )
    confidence = f"{100 * analysis.bootstrap.confidence:g} %"
    energy = analysis.total(profile.id)
    if not analysis.has_intervals:
        note = f"mean over {counted}, no interval"
    elif energy.value_pj is None:
        note = f"price range with {confidence} interval, {counted}"
    else:
        note = f"{confidence} interval {interval_words(energy)}, {counted}"
    deviation_pj = energy.standard_deviation_pj
    if deviation_pj is not None:
        note += f"; standard deviation {joules(deviation_pj, 3)}"
    is_headline = profile.id == analysis.chosen.id
    name = "Energy per inference, " if is_headline else "Arithmetic only, "
    return name + under(profile), energy_words(energy), note


def _events_entry(analysis: EnergyAnalysis) -> Cells:
    inputs = analysis.inputs
    activity = inputs.activity
    note = (
        f"{plain(100 * activity.sparsity_ratio)} % of the "
        f"{activity.dense_operations_per_inference:,} operations if every synapse were "
        "active in every step"
    )
    value_macs = inputs.value_macs_per_inference
    input_macs = activity.input_macs_per_inference
    if value_macs is not None:
        note += (
            f"; plus {value_macs:,.0f} multiply-accumulates of values that are not "
            "spikes"
        )
    elif input_macs is not None:
        note += f"; plus {input_macs:,.0f} multiply-accumulates at the input"
    events = f"{activity.synaptic_events_per_inference:,.0f}"
    return "Synaptic events per inference", events, note


def _bars(analysis: EnergyAnalysis) -> list[Bar]:
    verdict = analysis.verdict
    inputs = analysis.inputs
    if verdict is None:
        return []
    own = inputs.variant
    kind = "Spiking network"
    if not own.pruned:
        kind = f"Spiking network, unpruned, {own.weight_bits} bits"
    test_percent = f"{verdict.spiking.test_percent:.2f} %"
    test = "" if inputs.counted_in else "test "
    names = {
        SPIKING: f"{kind}, {test_percent} of {test}{inputs.subject.samples} correct",
        CONVENTIONAL: "Conventional networks of equal accuracy",
    }
    energies = [verdict.spiking.energy, verdict.conventional.energy]
    unit_pj = min(energy.middle_pj for energy in energies)
    longest_pj = max(energy.highest_pj for energy in energies)
    bars = []
    for (side, name), energy in zip(names.items(), energies, strict=True):
        low = high = energy.value_pj
        if low is None or high is None:
            low = energy.lowest_pj
            high = energy.highest_pj
        # A single value if both ends are the same.
        ends = dict.fromkeys((low, high))
        bars.append(
            Bar(
                side=side,
                name=name,
                energy=" to ".join(joules(end, 4, unit_pj) for end in ends),
                solid_percent=100 * low / longest_pj,
                pale_percent=100 * (high - low) / longest_pj,
            )
        )
    return bars


def _parts(analysis: EnergyAnalysis) -> list[PartRow]:
    verdict = analysis.verdict
    closest = analysis.closest_baseline
    if verdict is None or closest is None:
        return []
    spiking = analysis.ledger.by_part(0, analysis.chosen.id)
    conventional = analysis.ledger.by_part(closest, analysis.chosen.id)
    rows = [PartRow(part, spiking[part], conventional[part]) for part in spiking]
    total = PartRow("total", sum(spiking.values()), sum(conventional.values()))
    return [*rows, total]


def _kinds(analysis: EnergyAnalysis) -> list[ShareRow]:
    """Return the energy by kind of operation, without kinds that take none."""
    rows = _shares(
        analysis, lambda row: TERMS[row.term].part or terms_in_words(row.term)
    )
    return [row for row in rows if row.energy_pj]


def _layers(analysis: EnergyAnalysis) -> list[ShareRow]:
    """Return the energy by layer; of a deep network, small shares are one row."""
    rows = _shares(analysis, lambda row: row.layer)
    order = {name: number for number, name in enumerate(analysis.inputs.network.nodes)}
    rows.sort(key=lambda row: order.get(row.name, len(order)))
    small = [row for row in rows if row.percent < _SMALL_PERCENT]
    if not _is_deep(analysis) or len(small) < 2:
        return rows
    together = ShareRow(
        name=f"{len(small)} others, below {_SMALL_PERCENT:g} % each",
        count=sum(row.count for row in small),
        energy_pj=sum(row.energy_pj for row in small),
        percent=sum(row.percent for row in small),
    )
    return [*(row for row in rows if row not in small), together]


def _shares(
    analysis: EnergyAnalysis, name_of: Callable[[EnergyRow], str]
) -> list[ShareRow]:
    """Sum up the energies and events of an inference by a name of their rows.

    A price that is only a range counts at its high end.
    """
    energies_pj: dict[str, float] = {}
    counts: dict[str, float] = {}
    for row in analysis.records():
        name = name_of(row)
        energies_pj.setdefault(name, 0.0)
        counts.setdefault(name, 0.0)
        if row.term in ("synaptic_event", "mac"):
            counts[name] += row.count
        energies_pj[name] += _middle_or_high_pj(row)
    total_pj = sum(energies_pj.values()) or 1.0
    return [
        ShareRow(name, counts[name], energy_pj, 100 * energy_pj / total_pj)
        for name, energy_pj in energies_pj.items()
    ]


def _operations(analysis: EnergyAnalysis) -> list[OperationRow]:
    step_ms = analysis.inputs.step_ms
    step = "a step" if step_ms is None else f"a step of {step_ms:g} ms"
    by_profile = [analysis.records(profile=profile.id) for profile in analysis.shown]
    # Every price list has the same operations, in the same order.
    by_layer = [
        OperationRow(
            term=rows[0].term,
            layer=rows[0].layer,
            meaning=TERMS[rows[0].term].sentence.replace("a step of 1 ms", step),
            count=f"{rows[0].count:,.1f}",
            standard_deviation=_known(rows[0].count_standard_deviation),
            energies=tuple(energy_with_interval(row) for row in rows),
        )
        for rows in zip(*by_profile, strict=True)
    ]
    if not analysis.inputs.counted_in or not _is_deep(analysis):
        return by_layer
    by_term: dict[str, list[OperationRow]] = {}
    for row in by_layer:
        by_term.setdefault(row.term, []).append(row)
    return [_of_all_layers(rows, by_profile) for rows in by_term.values()]


def _is_deep(analysis: EnergyAnalysis) -> bool:
    return len(analysis.inputs.network.nodes) > _MOST_LAYERS


def _of_all_layers(
    rows: list[OperationRow], by_profile: list[list[EnergyRow]]
) -> OperationRow:
    """Sum up one operation over all layers; sums have no interval."""
    first = rows[0]
    if len(rows) == 1:
        return first
    energies = []
    for records in by_profile:
        of_term = [record for record in records if record.term == first.term]
        total_pj = sum(_middle_or_high_pj(record) for record in of_term)
        is_priced = any(record.energy is not None for record in of_term)
        energies.append(joules(total_pj) if is_priced else energy_of_row(of_term[0]))
    count = sum(record.count for record in by_profile[0] if record.term == first.term)
    return replace(
        first,
        layer=f"{len(rows)} layers",
        count=count_in_words(count),
        standard_deviation="",
        energies=tuple(energies),
    )


def _middle_or_high_pj(row: EnergyRow) -> float:
    """Return an energy; that at the highest price where the price is only a range."""
    if row.energy is None:
        return 0.0
    value_pj = row.energy.value_pj
    return row.energy.high_pj if value_pj is None else value_pj


def _training(analysis: EnergyAnalysis) -> list[Cells]:
    """Return energy by kind of access: its phases, the sum and its share."""
    training = analysis.training
    if training is None or training.total is None:
        return []
    by_kind = pj_by_kind(training.ledger, 0, analysis.chosen.id)
    total_pj = sum(sum(phases.values()) for phases in by_kind.values())
    rows: list[Cells] = []
    for kind, phases in by_kind.items():
        sum_pj = sum(phases.values())
        if sum_pj:
            cells = [joules(pj, 3) if pj else "" for pj in phases.values()]
            share = f"{plain(100 * sum_pj / total_pj)} %"
            rows.append((kind, *cells, joules(sum_pj, 3), share))
    return rows


def _trainings(analysis: EnergyAnalysis) -> list[Cells]:
    """Return each way of training each network: its accuracies and energy."""
    training = analysis.training
    if training is None or training.total is None:
        return []
    rows: list[Cells] = []
    for variant, energy in training.under_headline:
        name = variant.network or analysed_name(analysis.inputs)
        how = dataflow(variant.dataflow)
        rows.append((name, how, accuracy(variant), energy_words(energy)))
    return rows


def _known(number: float) -> str:
    return "" if math.isnan(number) else f"{number:,.1f}"


def energy_of_row(row: EnergyRow) -> str:
    """Return the energy of a row in words, or why it has none."""
    if row.energy is not None:
        return energy_words(row.energy)
    return "covered by another price" if row.status == "covered" else "no price"


def energy_with_interval(row: EnergyRow) -> str:
    """Return `energy_of_row` with its interval, if it has one."""
    words = energy_of_row(row)
    if row.energy is None:
        return words
    interval = interval_words(row.energy)
    return words if interval == words else f"{words} ({interval})"


def break_even(analysis: EnergyAnalysis, verdict: Comparison) -> str:
    """Return the spikes per input below which the network wins."""
    limit = analysis.break_even(verdict)
    if limit is None:
        return ""
    if limit == 0:
        return "none"
    return (
        f"{plain(limit)} (this network has {plain(analysis.inputs.spikes_per_input)})"
    )


def measured(analysis: EnergyAnalysis) -> list[tuple[str, str]]:
    """Return what was measured: label, value."""
    inputs = analysis.inputs
    activity = inputs.activity
    percent = inputs.variant.test_percent
    known_percent = "not recorded" if percent is None else f"{percent:,.2f} %"
    products = {
        "input MACs": activity.input_macs_per_inference,
        "MACs of values (not spikes)": inputs.value_macs_per_inference,
    }
    return [
        ("layers", layers(inputs.network)),
        ("data", inputs.title),
        (window_label(inputs), window(inputs)),
        ("recorded accuracy", known_percent),
        ("synaptic events", f"{activity.synaptic_events_per_inference:,.1f}"),
        *(
            (name, f"{macs:,.1f}")
            for name, macs in products.items()
            if macs is not None
        ),
        ("dense operations", f"{activity.dense_operations_per_inference:,}"),
        ("sparsity ratio", f"{activity.sparsity_ratio:.6f}"),
        ("neuron updates", updates(inputs)),
        *((note.label, note.words) for note in inputs.remarks),
    ]


def profile_table(analysis: EnergyAnalysis) -> str:
    """Return a table of price lists, with the ratios to networks of equal size."""
    networks = [named(verdict.conventional) for verdict in analysis.of_chosen]
    ratios = {
        (verdict.profile, named(verdict.conventional)): f"x {plain(verdict.ratio)}"
        for verdict in analysis.comparisons
        if verdict.ratio
    }
    rows = [
        (
            profile.id,
            profile.scope,
            profile.evidence,
            *_ends(analysis.total(profile.id)),
            *(ratios.get((profile.id, network), "-") for network in networks),
        )
        for profile in analysis.ledger.profiles
    ]
    header = ("price list", "scope", "evidence", "low", "value", "high", *networks)
    return text_table(header, rows)


def term_table(analysis: EnergyAnalysis) -> str:
    """Return a table of operations under the headline's price list."""
    rows = []
    for row in analysis.records():
        if row.energy is not None:
            cells = _ends(row.energy)
        else:
            cells = ("covered" if row.status == "covered" else "unpriced", "", "")
        rows.append((row.term, row.layer, f"{row.count:,.1f}", *cells))
    return text_table(("term", "layer", "operations", "low", "value", "high"), rows)


def _ends(energy: Energy) -> tuple[str, str, str]:
    middle = "-" if energy.value_pj is None else joules(energy.value_pj)
    return joules(energy.low_pj), middle, joules(energy.high_pj)
