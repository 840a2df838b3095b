"""The first screen: who wins at equal accuracy, what can be said against it, what is left out."""

from collections.abc import Sequence

from spikejoule.core.text import NOT_RECORDED
from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.estimates import joules
from spikejoule.energy.profiles import SCOPES
from spikejoule.energy.terms import PARTS_OF_UPDATE, UPDATES
from spikejoule.energy.verdict_words import energy_words, static_sentences, verdict_sentences
from spikejoule.report.content import PageContent
from spikejoule.report.page.by_step import cost_of_answers
from spikejoule.report.page.markup import Markup, element
from spikejoule.report.page.verdict import objections
from spikejoule.report.page.wording import amount_words, interval_words, term_words

_CLASSES = {"ann": "loses", "snn": "wins"}


def answer_section(content: PageContent) -> Markup:
    """The verdict, the objections to it, three figures, early exit, and what is not included."""
    analysis = content.analysis
    first, *others = verdict_sentences(analysis)
    outcome = "" if analysis.verdict is None else analysis.verdict.outcome
    return element(
        "section",
        element(
            "p",
            element("strong", first),
            *(f" {sentence}" for sentence in others),
            class_=f"verdict {_CLASSES.get(outcome, 'open')}",
        ),
        objections(analysis),
        element("dl", *_figures(analysis), class_="figures"),
        _early(content),
        _not_included(analysis),
        id="answer",
        aria_label="Answer",
    )


def _early(content: PageContent) -> Markup | None:
    early, cost = content.early, cost_of_answers(content.analysis)
    if early is None or cost is None or early.test.synaptic_events_per_inference <= 0:
        return None
    at, whole = early.test, early.whole_window.test
    if at.mean_exit_step >= whole.mean_exit_step:
        asked = " at the accuracy asked for" if early.rule == "lead" else ""
        return element("p", f"Answering early saves nothing{asked}.", class_="early")
    less = cost.energy(at.synaptic_events_per_inference, at.mean_exit_step)
    more = cost.energy(whole.synaptic_events_per_inference, whole.mean_exit_step)
    samples = content.analysis.inputs.subject.samples
    chosen_on = f"validation {samples}"
    if early.chosen_on_test_images:
        chosen_on = f"the test {samples} themselves"
    when = early.rule_in_words
    if early.rule == "lead":
        when = f"as soon as one class leads by {early.margin_spikes} spikes"
        when += f", a lead chosen on {chosen_on}"
    return element(
        "p",
        element("strong", f"Answering early: {amount_words(less)} at {at.accuracy_percent:.2f} %"),
        f" ({at.accuracy_low_percent:.2f} to {at.accuracy_high_percent:.2f} %), in place of "
        f"{amount_words(more)} at {whole.accuracy_percent:.2f} %: after {at.mean_exit_step:.1f} of "
        f"{whole.mean_exit_step:g} ms on average, {when}.",
        class_="early",
    )


def _figures(analysis: EnergyAnalysis) -> list[Markup]:
    inputs, chosen = analysis.inputs, analysis.chosen_inference
    accuracy, percent = inputs.accuracy, f"{100 * analysis.bootstrap.confidence:g} %"
    total, samples = chosen.total, inputs.subject.samples
    if accuracy is None:
        said, within = NOT_RECORDED, ""
    else:
        said = f"{accuracy.percent:.2f} %"
        within = "no interval recorded"
        if accuracy.low_percent is not None and accuracy.high_percent is not None:
            within = (
                f"{percent} interval {accuracy.low_percent:.2f} to {accuracy.high_percent:.2f} %"
            )
    counted = f"{inputs.n_images:,} {samples}" if inputs.n_images else f"{samples} {NOT_RECORDED}"
    spread = f"{percent} interval {interval_words(total)}, {counted}"
    if not analysis.has_intervals:
        spread = f"a mean over {counted}: no interval"
    elif total.value is None:
        spread = f"the prices' bracket with the {percent} interval, {counted}"
    deviation = (total.value or total.high).standard_deviation
    if deviation is not None:
        spread += f"; standard deviation {joules(deviation, 3)}"
    macs, where = inputs.proxies.input_macs_per_inference, "at the input"
    if inputs.value_macs_per_inference is not None:
        macs, where = inputs.value_macs_per_inference, "of values that are no spikes"
    return [
        _entry("Test accuracy", said, within),
        _entry(f"Energy per inference, {chosen.profile.title}", energy_words(total), spread),
        _entry(
            "Synaptic events per inference",
            f"{inputs.proxies.synaptic_events_per_inference:,.0f}",
            f"of {inputs.proxies.dense_operations_per_inference:,} if every synapse worked in "
            f"every step ({100 * inputs.proxies.sparsity_ratio:.3g} %)"
            + ("" if macs is None else f"; and {macs:,.0f} multiply-accumulates {where}"),
        ),
    ]


def _entry(name: str, value: str, note: str) -> Markup:
    return element(
        "div",
        element("dt", name),
        element("dd", value, class_="value"),
        element("dd", note, class_="note"),
    )


def _not_included(analysis: EnergyAnalysis) -> Markup:
    chosen = analysis.chosen_inference
    priced = list(dict.fromkeys(item.term for item in chosen.by_term))
    rest = " (beyond leak and bias)" if set(PARTS_OF_UPDATE) <= set(priced) else ""
    missing = [f"{term_words(term)}{rest if term in UPDATES else ''}" for term in chosen.unpriced]
    covered = f" Within these prices: {_listed(chosen.covered)}." if chosen.covered else ""
    return element(
        "p",
        element("strong", "Not included: "),
        f"{'; '.join(missing) or 'nothing that is counted'}. ",
        element("strong", "Included: "),
        f"{_listed(priced) or 'nothing'}; {SCOPES[chosen.profile.scope]}.{covered}",
        *(f" {sentence}" for sentence in static_sentences(analysis)),
        class_="excluded",
    )


def _listed(terms: Sequence[str]) -> str:
    return ", ".join(term_words(term) for term in terms)
