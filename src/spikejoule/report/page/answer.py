"""The first screen: whether the spiking network wins, and by how much, and what that leaves out."""

from collections.abc import Sequence

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.profiles import SCOPES
from spikejoule.energy.summary import joules
from spikejoule.energy.terms import PARTS_OF_UPDATE, UPDATES
from spikejoule.foundation.text import NOT_RECORDED
from spikejoule.report.content import PageContent
from spikejoule.report.page.by_step import cost_of_answers
from spikejoule.report.page.markup import Markup, element, html_table
from spikejoule.report.page.wording import (
    VERDICTS,
    amount_words,
    energy_words,
    interval_words,
    ratio_words,
    term_words,
    verdict_words,
)


def answer_section(content: PageContent) -> Markup:
    """The verdict, early exit, three figures, the baselines, and what is not included."""
    analysis = content.analysis
    first, *others = verdict_words(analysis)
    wins = analysis.chosen_inference.wins
    return element(
        "section",
        element(
            "p",
            element("strong", first),
            *(f" {sentence}" for sentence in others),
            class_=f"verdict {'loses' if wins == 'ann' else 'wins' if wins == 'snn' else 'open'}",
        ),
        _early(content),
        element("dl", *_figures(analysis), class_="figures"),
        _baselines(analysis),
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
    chosen_on = "the test images themselves" if early.chosen_on_test_images else "validation images"
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
    total, images = chosen.total, inputs.n_images
    if accuracy is None:
        said, within = NOT_RECORDED, ""
    else:
        said = f"{accuracy.percent:.2f} %"
        within = "no interval recorded"
        if accuracy.low_percent is not None and accuracy.high_percent is not None:
            within = (
                f"{percent} interval {accuracy.low_percent:.2f} to {accuracy.high_percent:.2f} %"
            )
    counted = f"{images:,} images" if images else f"images {NOT_RECORDED}"
    spread = f"{percent} interval {interval_words(total)}, {counted}"
    if not analysis.has_intervals:
        spread = f"a mean over {counted}: no interval"
    elif total.value is None:
        spread = f"the prices' bracket with the {percent} interval, {counted}"
    deviation = (total.value or total.high).standard_deviation
    if deviation is not None:
        spread += f"; standard deviation {joules(deviation, 3)}"
    macs = inputs.proxies.input_macs_per_inference
    return [
        _entry("Test accuracy", said, within),
        _entry(f"Energy per inference, {chosen.profile.title}", energy_words(total), spread),
        _entry(
            "Synaptic events per inference",
            f"{inputs.proxies.synaptic_events_per_inference:,.0f}",
            f"of {inputs.proxies.dense_operations_per_inference:,} if every synapse worked in "
            f"every step ({100 * inputs.proxies.sparsity_ratio:.3g} %)"
            + ("" if macs is None else f"; and {macs:,.0f} multiply-accumulates at the input"),
        ),
    ]


def _entry(name: str, value: str, note: str) -> Markup:
    return element(
        "div",
        element("dt", name),
        element("dd", value, class_="value"),
        element("dd", note, class_="note"),
    )


def _baselines(analysis: EnergyAnalysis) -> Markup | None:
    comparisons = analysis.chosen_inference.comparisons
    if not comparisons:
        return None
    return html_table(
        f"Against conventional networks on the same images, under {analysis.chosen}: energy of the "
        "spiking network over the baseline's",
        ("baseline", "verdict", "ratio (interval)", "energy", "MACs", "accuracy", "bits"),
        [
            (
                item.name,
                VERDICTS[item.verdict],
                ratio_words(item),
                energy_words(item.ann),
                f"{item.macs.mean:,.0f}",
                f"{item.accuracy_percent:.2f} %",
                str(item.bits),
            )
            for item in comparisons
        ],
        text_columns=2,
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
        f"{'; '.join([*missing, 'encoding the image and reading the answer'])}. ",
        element("strong", "Included: "),
        f"{_listed(priced) or 'nothing'}; {SCOPES[chosen.profile.scope]}.{covered}",
        class_="excluded",
    )


def _listed(terms: Sequence[str]) -> str:
    return ", ".join(term_words(term) for term in terms)
