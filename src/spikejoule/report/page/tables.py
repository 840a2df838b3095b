"""The tables behind the figures, with their sources, and what is needed to repeat them."""

import re
from collections.abc import Iterable

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.analysis import ProfileInference
from spikejoule.energy.break_even import BreakEven
from spikejoule.energy.estimates import joules
from spikejoule.energy.prices import AnyPrice, PriceBySize, PriceByWidth
from spikejoule.energy.profiles import EVIDENCE, NUMBERS, SCOPES, HardwareProfile
from spikejoule.energy.silicon import MEASURED_ON_MNIST
from spikejoule.energy.terms import DESCRIPTIONS
from spikejoule.energy.verdict_words import EQUAL_SIZE, energy_words, ratio_words
from spikejoule.report.content import PageContent
from spikejoule.report.page.markup import Markup, element, html_table, items, joined
from spikejoule.report.page.wording import interval_words, place_words, term_words

# A DOI may hold almost anything but spaces; what closes a sentence or a list does not belong to it.
_REFERENCE = re.compile(r"(doi:10\.[^\s,;]+|arXiv:\d{4}\.\d{4,5}|https?://[^\s,;]+)")

_UNITS = (
    ("pJ, nJ, µJ, mJ", "10⁻¹², 10⁻⁹, 10⁻⁶ and 10⁻³ joules"),
    ("inference", "one {sample}, from its first input spike to the answer"),
    ("MAC", "multiply-accumulate: one multiplication and one addition"),
    ("step", "1 ms of the network's time"),
    ("interval", "of the mean over {samples}: percentile bootstrap, paired in ratios"),
    ("bracket", "lower and upper end of a price that its sources do not fix"),
    ("dense", "a conventional network that computes every product"),
    ("zero-skipping", "a conventional network that leaves out products with a zero activation"),
    ("equal accuracy", "the cheapest network that is at least as accurate on validation {samples}"),
)


def profiles_table(analysis: EnergyAnalysis) -> Markup:
    """Every profile with its source, what it covers, and the energy under it."""
    rows = [_profile_row(entry) for entry in analysis.inference]
    header = ("profile", "process, year", "scope, evidence, numbers", "source", "prices", "energy")
    return joined(
        (
            html_table("Energy per inference by hardware profile", header, rows, text_columns=5),
            element("h4", "Scopes"),
            _definitions((name.replace("_", "-"), words) for name, words in SCOPES.items()),
            element("h4", "Evidence"),
            _definitions(EVIDENCE.items()),
        )
    )


def chips_table() -> Markup:
    """What other networks were measured to need on chips."""
    unconfirmed = "unconfirmed"
    rows = [
        (
            chip.name,
            chip.process or unconfirmed,
            unconfirmed,
            joined((linked(chip.source), f"; read in {chip.read_in}")),
            f"{chip.accuracy_percent:g} %",
            joules(1e6 * chip.microjoules),
        )
        for chip in MEASURED_ON_MNIST
    ]
    header = ("chip", "process", "scope", "source", "accuracy", "energy")
    return html_table(
        "Measured on MNIST, as published: another network each", header, rows, text_columns=4
    )


def _profile_row(entry: ProfileInference) -> tuple[str, ...]:
    profile = entry.profile
    return (
        joined((profile.title, element("br"), element("code", profile.id))),
        f"{profile.process}, {profile.year}",
        f"{profile.scope.replace('_', '-')}, {profile.evidence}; {NUMBERS[profile.numbers]}",
        joined((linked(profile.source), f". {profile.notes}" if profile.notes else None)),
        _prices(profile),
        joined((energy_words(entry.total), element("br"), f"({interval_words(entry.total)})")),
    )


def _prices(profile: HardwareProfile) -> str:
    return "; ".join(
        f"{term_words(term)} {_price_words(price)}" for term, price in profile.prices.items()
    )


def _price_words(price: AnyPrice) -> str:
    if isinstance(price, PriceBySize):
        return "by the memory's size"
    if isinstance(price, PriceByWidth):
        powers = ((price.constant_pj, ""), (price.per_bit_pj, " a bit"),
                  (price.per_bit_squared_pj, " a bit squared"))  # fmt: skip
        return " and ".join(f"{joules(number)}{unit}" for number, unit in powers if number)
    if price.value_pj is None:
        return f"{joules(price.low_pj)} to {joules(price.high_pj)}"
    if price.low_pj == price.high_pj:
        return joules(price.value_pj)
    return f"{joules(price.value_pj)} ({joules(price.low_pj)} to {joules(price.high_pj)})"


def linked(source: str) -> Markup:
    """A reference whose DOI, arXiv number or address is a link."""
    parts = []
    for part in _REFERENCE.split(source):
        address = part
        if part.startswith("doi:"):
            address = f"https://doi.org/{part.removeprefix('doi:')}"
        elif part.startswith("arXiv:"):
            address = f"https://arxiv.org/abs/{part.removeprefix('arXiv:')}"
        is_reference = _REFERENCE.fullmatch(part) is not None
        parts.append(element("a", part, href=address) if is_reference else part)
    return joined(parts)


def terms_table(analysis: EnergyAnalysis) -> Markup:
    """Every counted term under the chosen profile, priced or not."""
    chosen = analysis.chosen_inference
    energies = {(item.term, item.place): item.energy for item in chosen.by_term}
    rows = []
    for item in analysis.counts:
        energy = energies.get((item.term, item.place))
        status = "within another price" if item.term in chosen.covered else "not included"
        deviation = item.count.standard_deviation
        rows.append(
            (
                term_words(item.term),
                place_words(item.place),
                _description(item.term, analysis.inputs.encoder.step_ms),
                f"{item.count.mean:,.1f}",
                "" if deviation is None else f"{deviation:,.1f}",
                status if energy is None else energy_words(energy),
                "" if energy is None else interval_words(energy),
            )
        )
    header = (
        "term", "layer", "one operation", "operations", "standard deviation", "energy",
        "lowest to highest",
    )  # fmt: skip
    return html_table(
        f"Terms of an inference, under {chosen.profile.id}", header, rows, text_columns=3
    )


def classes_table(analysis: EnergyAnalysis) -> Markup | None:
    """Energy by class under the chosen profile."""
    classes = analysis.chosen_inference.by_class
    if not classes:
        return None
    rows = []
    for item in classes:
        deviation = (item.energy.value or item.energy.high).standard_deviation
        rows.append(
            (
                analysis.inputs.subject.class_names[item.label],
                f"{item.n_images:,}",
                energy_words(item.energy),
                interval_words(item.energy),
                "" if deviation is None else joules(deviation),
            )
        )
    header = (
        "class",
        analysis.inputs.subject.samples,
        "energy",
        "lowest to highest",
        "standard deviation",
    )
    return html_table(f"Energy per inference by class, under {analysis.chosen}", header, rows)


def comparisons_table(analysis: EnergyAnalysis) -> Markup | None:
    """The conventional networks of equal size under every profile, with their break-even."""
    limits = 2 if analysis.inputs.encoder.rate_hz is None else 3
    rows = [
        (
            entry.profile.id,
            item.name,
            EQUAL_SIZE[item.verdict],
            energy_words(item.ann),
            ratio_words(item.ratio),
            *_limits(item.break_even)[:limits],
        )
        for entry in analysis.inference
        for item in entry.comparisons
    ]
    if not rows:
        return None
    header = ("profile", "conventional network", "outcome", "its energy", "ratio (interval)",
              *("break-even: spikes per input", "window", "maximum rate")[:limits])  # fmt: skip
    return html_table(
        "Equal size, whatever the accuracy; break-even: the spiking network needs less below these "
        "limits",
        header,
        rows,
        text_columns=3,
    )


def _limits(limit: BreakEven | None) -> tuple[str, str, str]:
    if limit is None:
        return "", "", ""
    spikes, window, rate = limit.spikes_per_input, limit.time_window, limit.max_rate_hz
    return (
        "none" if spikes is None else f"{spikes:.3g} (has {limit.measured_spikes_per_input:.3g})",
        "none" if window is None else f"{window:.3g} ms",
        "none" if rate is None else f"{rate:,.4g} Hz",
    )


def assumptions(analysis: EnergyAnalysis) -> Markup:
    """What is counted and what is assumed."""
    training = () if analysis.training is None else analysis.training.assumptions
    return items((*analysis.assumptions, *training))


def provenance_list(content: PageContent) -> Markup:
    """Parameters, data and checksums."""
    inputs, bootstrap = content.analysis.inputs, content.analysis.bootstrap
    facts: list[tuple[str, str]] = [
        ("data", inputs.title),
        ("layers", " - ".join(str(size) for size in inputs.architecture.layer_sizes)),
        inputs.window_in_words,
        *inputs.facts,
        (
            "intervals",
            f"{bootstrap.resamples:,} resamples, {100 * bootstrap.confidence:g} %, seed "
            f"{bootstrap.seed}" if content.analysis.has_intervals else "none: counts are means",
        ),
        *content.provenance,
    ]  # fmt: skip
    return _definitions(facts)


def _description(term: str, step_ms: float) -> str:
    """What an operation is; descriptions say a step of 1 ms."""
    return DESCRIPTIONS[term].replace("a step of 1 ms", f"a step of {step_ms:g} ms")


def glossary(analysis: EnergyAnalysis) -> Markup:
    """Units and words."""
    encoder, subject = analysis.inputs.encoder, analysis.inputs.subject
    own = {"step": f"{encoder.step_ms:g} ms of the network's time"}
    if encoder.takes == "events":
        own["inference"] = "one sample, from its first event to the answer"
    return _definitions(
        (name, own.get(name, words).format(sample=subject.sample, samples=subject.samples))
        for name, words in _UNITS
    )


def _definitions(entries: Iterable[tuple[str, str]]) -> Markup:
    parts: list[Markup] = []
    for name, words in entries:
        parts += [element("dt", name), element("dd", words)]
    return element("dl", *parts, class_="terms")
