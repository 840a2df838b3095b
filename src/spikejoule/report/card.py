"""The energy card: a network's energy on one sheet, what it is worth and what it leaves out."""

import re
from collections.abc import Iterator

from spikejoule.core.text import NOT_RECORDED
from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.profiles import EVIDENCE, SCOPES
from spikejoule.energy.verdict_words import (
    accuracy_words,
    break_even_sentences,
    energy_words,
    ratio_words,
    static_sentences,
    verdict_sentences,
)
from spikejoule.report.content import PageContent
from spikejoule.report.page.wording import interval_words, term_words

# Parameters are on the page, and in the run.
_OF_DATA = re.compile(r"again$|data source$|checkpoint$|SHA-256 of (?!front)")


def energy_card(content: PageContent) -> str:
    """The card as Markdown; the same content gives the same text."""
    analysis = content.analysis
    inputs, chosen = analysis.inputs, analysis.chosen_inference
    profile, verdict = chosen.profile, analysis.verdict
    accuracy, samples = NOT_RECORDED, inputs.subject.samples
    if inputs.accuracy is not None:
        accuracy = f"{inputs.accuracy.percent:.2f} % of the test {samples}{_interval(analysis)}"
    facts = [
        ("network", inputs.contender.network),
        ("data", inputs.title),
        ("accuracy", accuracy),
        (
            "energy per inference",
            f"{energy_words(chosen.total)} ({interval_words(chosen.total)}), {_counted(analysis)}",
        ),
        ("profile", f"{profile.id}: {profile.title}"),
        ("scope", SCOPES[profile.scope]),
        ("evidence", f"{EVIDENCE[profile.evidence]}; {profile.source}"),
        ("synaptic events per inference", f"{inputs.proxies.synaptic_events_per_inference:,.0f}"),
        ("neuron updates per inference", inputs.updates_in_words),
        ("left out", ", ".join(term_words(term) for term in chosen.unpriced) or "nothing counted"),
    ]
    if verdict is not None and verdict.spiking is not None:
        facts.append((f"energy under {verdict.profile.id}", energy_words(verdict.spiking.energy)))
    if verdict is not None and verdict.conventional is not None:
        baseline = verdict.conventional
        facts.append(
            (
                "cheapest conventional network of at least this accuracy",
                f"{baseline.contender.name} ({accuracy_words(baseline.contender)}), "
                f"{energy_words(baseline.energy)}",
            )
        )
    facts += [("break-even", sentence) for sentence in break_even_sentences(analysis)]
    if verdict is not None and verdict.ratio is not None:
        facts.append(("ratio to it", ratio_words(verdict.ratio)))
    return "\n".join(_lines(content, facts))


def _lines(content: PageContent, facts: list[tuple[str, str]]) -> Iterator[str]:
    yield "# Energy card"
    yield ""
    yield " ".join(verdict_sentences(content.analysis))
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, words in facts:
        yield f"| {name} | {_cell(words)} |"
    yield ""
    for sentence in static_sentences(content.analysis):
        yield sentence
        yield ""
    yield "## To repeat it"
    yield ""
    for name, words in content.provenance:
        if _OF_DATA.match(name):
            yield f"- {name}: {_cell(words)}"
    yield ""


def _interval(analysis: EnergyAnalysis) -> str:
    accuracy = analysis.inputs.accuracy
    if accuracy is None or accuracy.low_percent is None or accuracy.high_percent is None:
        return ""
    level = 100 * analysis.bootstrap.confidence
    return f" ({level:g} % interval {accuracy.low_percent:.2f} to {accuracy.high_percent:.2f})"


def _counted(analysis: EnergyAnalysis) -> str:
    n_images, samples = analysis.inputs.n_images, analysis.inputs.subject.samples
    return f"{samples} not recorded" if n_images is None else f"of {n_images:,} test {samples}"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
