"""The energy card: a network's energy on one sheet, what it is worth and what it leaves out."""

import re

from spikejoule.core.text import NOT_RECORDED
from spikejoule.energy.prices import EVIDENCE, SCOPES
from spikejoule.energy.words import (
    break_even_sentences,
    energy_words,
    ratio_words,
    static_sentences,
)
from spikejoule.report.content import PageContent, answer_sentences
from spikejoule.report.words import interval_words, terms_words

# Parameters are on the page, and in the run.
_OF_DATA = re.compile(r"again$|data source$|checkpoint$|SHA-256 of (?!front)")


def energy_card(content: PageContent) -> str:
    """The card as Markdown; the same content gives the same text."""
    analysis = content.analysis
    inputs, chosen, standing = analysis.inputs, analysis.chosen_inference, content.standing
    profile, samples = chosen.profile, inputs.subject.samples
    of_images = f"of {inputs.n_images:,} test {samples}"
    counted = f"{samples} {NOT_RECORDED}" if inputs.n_images is None else of_images
    facts = [
        ("network", inputs.variant.network),
        ("data", inputs.title),
        ("accuracy", _accuracy(content)),
        (
            "energy per inference",
            f"{energy_words(chosen.total)} ({interval_words(chosen.total)}), {counted}",
        ),
        ("profile", f"{profile.id}: {profile.title}"),
        ("scope", SCOPES[profile.scope]),
        ("evidence", f"{EVIDENCE[profile.evidence]}; {profile.source}"),
        ("synaptic events per inference", f"{inputs.proxies.synaptic_events_per_inference:,.0f}"),
        ("neuron updates per inference", inputs.updates_in_words),
        ("left out", terms_words(chosen.unpriced) or "nothing counted"),
    ]
    if standing is not None and standing.verdict.spiking is not None:
        energy = energy_words(standing.verdict.spiking.energy)
        facts.append((f"energy under {standing.verdict.profile.id}", energy))
    if standing is not None and standing.network:
        facts.append(
            (
                "cheapest conventional network of at least this accuracy",
                f"{standing.network_words}, {standing.energy}, of {content.compared_words}",
            )
        )
    if standing is not None and standing.ratio is not None:
        facts.append(("ratio to it", ratio_words(standing.ratio)))
    facts += [
        ("break-even, this run's own networks", sentence)
        for sentence in break_even_sentences(analysis)
    ]
    lines = ["# Energy card", "", " ".join(answer_sentences(content)), "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(words)} |" for name, words in facts]
    for sentence in static_sentences(analysis):
        lines += ["", sentence]
    lines += ["", "## To repeat it", ""]
    repeat = [(name, words) for name, words in content.provenance if _OF_DATA.match(name)]
    lines += [f"- {name}: {_cell(words)}" for name, words in repeat]
    return "\n".join([*lines, ""])


def _accuracy(content: PageContent) -> str:
    accuracy, samples = content.analysis.inputs.accuracy, content.analysis.inputs.subject.samples
    if accuracy is None:
        return NOT_RECORDED
    said = f"{accuracy.percent:.2f} % of the test {samples}"
    if accuracy.low_percent is None or accuracy.high_percent is None:
        return said
    level = 100 * content.analysis.bootstrap.confidence
    return (
        f"{said} ({level:g} % interval {accuracy.low_percent:.2f} to {accuracy.high_percent:.2f})"
    )


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
