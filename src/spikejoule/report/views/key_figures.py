"""The key figures of the page: accuracy, energies and synaptic events."""

from typing import NamedTuple

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.energy.prices import HardwareProfile
from spikejoule.report.units import energy_words, interval_words, joules, plain
from spikejoule.report.words import under


class KeyFigure(NamedTuple):
    """A figure in words, with its name and a note on how it was measured."""

    name: str
    value: str
    note: str


def key_figures(analysis: EnergyAnalysis) -> list[KeyFigure]:
    """Return the key figures; no accuracy if an imported network has no labels."""
    figures = [_energy(analysis, profile) for profile in analysis.shown]
    figures.append(_synaptic_events(analysis))
    if analysis.inputs.counted_in and analysis.inputs.variant.test_percent is None:
        return figures
    return [_accuracy(analysis), *figures]


def _accuracy(analysis: EnergyAnalysis) -> KeyFigure:
    known = analysis.inputs.variant
    name = "Accuracy" if analysis.inputs.counted_in else "Test accuracy"
    if known.test_percent is None:
        return KeyFigure(name, "not recorded", note="")
    note = "no interval recorded"
    if known.test_low_percent is not None and known.test_high_percent is not None:
        ends = f"{known.test_low_percent:.2f} to {known.test_high_percent:.2f} %"
        note = f"{100 * analysis.bootstrap.confidence:g} % interval {ends}"
    return KeyFigure(name, f"{known.test_percent:.2f} %", note)


def _energy(analysis: EnergyAnalysis, profile: HardwareProfile) -> KeyFigure:
    energy = analysis.total(profile.id)
    note = _note_of_energy(analysis, profile)
    deviation_pj = energy.standard_deviation_pj
    if deviation_pj is not None:
        note += f"; standard deviation {joules(deviation_pj, 3)}"
    is_headline = profile.id == analysis.chosen.id
    name = "Energy per inference, " if is_headline else "Arithmetic only, "
    return KeyFigure(name + under(profile), energy_words(energy), note)


def _note_of_energy(analysis: EnergyAnalysis, profile: HardwareProfile) -> str:
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
        return f"mean over {counted}, no interval"
    if energy.value_pj is None:
        return f"price range with {confidence} interval, {counted}"
    return f"{confidence} interval {interval_words(energy)}, {counted}"


def _synaptic_events(analysis: EnergyAnalysis) -> KeyFigure:
    activity = analysis.inputs.activity
    note = (
        f"{plain(100 * activity.sparsity_ratio)} % of the "
        f"{activity.dense_operations_per_inference:,} operations if every synapse were "
        "active in every step"
    )
    value_macs = analysis.inputs.value_macs_per_inference
    input_macs = activity.input_macs_per_inference
    if value_macs is not None:
        note += (
            f"; plus {value_macs:,.0f} multiply-accumulates of values that are not "
            "spikes"
        )
    elif input_macs is not None:
        note += f"; plus {input_macs:,.0f} multiply-accumulates at the input"
    events = f"{activity.synaptic_events_per_inference:,.0f}"
    return KeyFigure("Synaptic events per inference", events, note)
