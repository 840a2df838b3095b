"""The measured values and the tables of the report for a terminal."""

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.core.terminal import text_table
from spikejoule.energy.estimates import Energy
from spikejoule.report.names import layers, named
from spikejoule.report.notes import label, remarks
from spikejoule.report.units import joules, plain
from spikejoule.report.words import updates, window, window_label


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
        *((label(note), note.words) for note in remarks(inputs)),
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
            *_low_value_high(analysis.total(profile.id)),
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
            cells = _low_value_high(row.energy)
        else:
            cells = ("covered" if row.status == "covered" else "unpriced", "", "")
        rows.append((row.term, row.layer, f"{row.count:,.1f}", *cells))
    return text_table(("term", "layer", "operations", "low", "value", "high"), rows)


def _low_value_high(energy: Energy) -> tuple[str, str, str]:
    """Return three cells of a table; a price range has no value."""
    value = "-" if energy.value_pj is None else joules(energy.value_pj)
    return joules(energy.low_pj), value, joules(energy.high_pj)
