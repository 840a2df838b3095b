"""The energy report as one self-contained page: no script, no network, the same bytes each time.

What it says is in the template `energy.html.j2`; here is what the template is given.
"""

from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.estimates import joules
from spikejoule.energy.parts import energy_by_part
from spikejoule.energy.profiles import EVIDENCE, NUMBERS, SCOPES
from spikejoule.energy.silicon import MEASURED_ON_MNIST
from spikejoule.energy.terms import DESCRIPTIONS, PARTS_OF_UPDATE, UPDATES
from spikejoule.energy.verdict_rows import VerdictRow
from spikejoule.energy.verdict_words import (
    EQUAL_SIZE,
    OUTCOMES,
    accuracy_words,
    break_even_sentences,
    energy_words,
    ratio_words,
    static_sentences,
)
from spikejoule.energy.window import WindowCost, window_cost
from spikejoule.report import charts, words
from spikejoule.report.charts import Chart, NoChart, Point
from spikejoule.report.charts.accuracy import FRONT_COMMAND
from spikejoule.report.charts.canvas import PALETTE
from spikejoule.report.content import PageContent, Standing, answer_sentences

_CONTENTS: Final = (
    ("verdict", "Equal accuracy"),
    ("figures", "Figures"),
    ("profiles", "Sources"),
    ("terms", "Terms"),
    ("baselines", "Equal size"),
    ("training-terms", "Training"),
    ("assumptions", "Assumptions"),
    ("glossary", "Units"),
    ("provenance", "How to repeat this"),
)


def energy_page(content: PageContent) -> str:
    """The page as text; the same content gives the same text."""
    analysis = content.analysis
    chosen, training = analysis.chosen_inference, analysis.chosen_training
    verdict = content.standing
    standings = [one for one in content.standings if one.ratio is not None]
    worst = max(standings, key=_low, default=None)
    priced_terms = list(dict.fromkeys(item.term for item in chosen.by_term))
    return _template().render(
        content=content,
        sentences=answer_sentences(content),
        outcome="" if verdict is None else verdict.outcome,
        best=min(standings, key=_high, default=None),
        worst=worst,
        largest_part=None if worst is None else _largest_part(worst),
        early=_early(content),
        priced_terms=priced_terms,
        beyond_leak_and_bias=set(PARTS_OF_UPDATE) <= set(priced_terms),
        static_sentences=static_sentences(analysis),
        break_even_sentences=break_even_sentences(analysis),
        parts=_parts(analysis),
        charts=_charts(content),
        comparisons=[
            (entry.profile, item) for entry in analysis.inference for item in entry.comparisons
        ],
        term_energies={(item.term, item.place): item.energy for item in chosen.by_term},
        training_amounts={
            (item.phase, item.term, item.place): amount
            for item, amount in (training.by_term if training is not None else ())
        },
        contents=[(key, name) for key, name in _CONTENTS if key != "verdict" or content.standings],
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("spikejoule.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "accuracy": accuracy_words,
        "amount": words.amount_words,
        "energy": energy_words,
        "interval": words.interval_words,
        "joules": joules,
        "linked": words.linked,
        "place": words.place_words,
        "price": words.price_words,
        "range": words.range_words,
        "ratio": ratio_words,
        "ratio_of_row": _ratio_of_row,
        "term": words.term_words,
        "terms": words.terms_words,
    }
    environment.globals |= {
        "chips": MEASURED_ON_MNIST,
        "descriptions": DESCRIPTIONS,
        "equal_size": EQUAL_SIZE,
        "evidence": EVIDENCE,
        "numbers": NUMBERS,
        "outcomes": OUTCOMES,
        "palette": PALETTE,
        "scopes": SCOPES,
        "updates": UPDATES,
    }
    return environment.get_template("energy.html.j2")


def _charts(content: PageContent) -> dict[str, Chart | NoChart | None]:
    analysis = content.analysis
    subject = analysis.inputs.subject
    front: Chart | NoChart = NoChart(
        "front",
        "The front: the least energy for an accuracy",
        f"No sweep is recorded. To make one: {FRONT_COMMAND}.",
    )
    if any(run.synaptic_events_per_inference > 0 for run in content.front):
        source = f"runs on {content.front[0].data_source}"
        front = charts.accuracy_front(content.front, None, source, listed=False)
    raster: Chart | NoChart = NoChart(
        "raster",
        f"One {subject.sample}, spike by spike",
        f"No {subject.sample}'s spikes are known.",
    )
    if content.raster is not None:
        raster = charts.spike_raster(content.raster, analysis.inputs.title, with_counts=False)
    return {
        "fronts": charts.recorded_fronts(content.fronts, analysis.verdict_profile),
        "by_profile": charts.by_profile(analysis),
        "by_term": charts.by_term(analysis),
        "by_layer": charts.by_layer(analysis),
        "by_step": _by_step(content),
        "front": front,
        "break_even": charts.break_even(analysis),
        "training": charts.training_energy(analysis),
        "by_class": charts.by_class(analysis),
        "raster": raster,
    }


def _cost_of_answers(analysis: EnergyAnalysis) -> WindowCost | None:
    """What an event and a step cost under the chosen profile."""
    inputs = analysis.inputs
    return window_cost(
        analysis.chosen_inference,
        analysis.counts,
        inputs.time_window,
        inputs.encoder.input_products,
        inputs.encoder.rate_hz is not None,
    )


def _by_step(content: PageContent) -> Chart | NoChart:
    cost, early = _cost_of_answers(content.analysis), content.early
    subject = content.analysis.inputs.subject

    def point(steps: float, accuracy_percent: float, events: float, name: str = "step") -> Point:
        assert cost is not None
        energy = cost.energy(events, steps)
        said = f"{name} {steps:.3g}: {accuracy_percent:.2f} %, {words.amount_words(energy)}"
        return Point(words.middle_pj(energy), accuracy_percent, said)

    steps = [
        point(row.step, row.accuracy_percent, row.synaptic_events_per_inference)
        for row in (content.by_step if cost is not None else ())
        if row.synaptic_events_per_inference > 0
    ]
    stopped = None
    if steps and early is not None and early.test.synaptic_events_per_inference > 0:
        at = early.test
        events = at.synaptic_events_per_inference
        stopped = point(at.mean_exit_step, at.accuracy_percent, events, "early exit at step")
    return charts.by_step(
        steps,
        stopped,
        "" if early is None else early.rule_in_words,
        content.analysis.chosen,
        (subject.sample, subject.samples),
    )


def _early(content: PageContent) -> dict[str, Any] | None:
    """Early exit beside the whole window; None where it is not known."""
    early, cost = content.early, _cost_of_answers(content.analysis)
    if early is None or cost is None or early.test.synaptic_events_per_inference <= 0:
        return None
    at, whole = early.test, early.whole_window.test
    return {
        "file": early,
        "at": at,
        "whole": whole,
        "saves": at.mean_exit_step < whole.mean_exit_step,
        "less": cost.energy(at.synaptic_events_per_inference, at.mean_exit_step),
        "more": cost.energy(whole.synaptic_events_per_inference, whole.mean_exit_step),
    }


def _parts(analysis: EnergyAnalysis) -> list[tuple[str, float, float]]:
    """What each side's energy goes to, this run's own networks, with their totals."""
    verdict = analysis.verdict
    if verdict is None or verdict.spiking is None or verdict.conventional is None:
        return []
    snn, ann = (
        energy_by_part(one.contender, verdict.profile)
        for one in (verdict.spiking, verdict.conventional)
    )
    rows = [(part, snn[part], ann[part]) for part in snn]
    return [*rows, ("total", sum(snn.values()), sum(ann.values()))]


def _largest_part(standing: Standing) -> tuple[str, float] | None:
    """What most of the spiking network's energy goes to, and how many percent."""
    if standing.verdict.spiking is None:
        return None
    parts = energy_by_part(standing.verdict.spiking.contender, standing.verdict.profile)
    part = max(parts, key=lambda name: parts[name])
    return part, 100 * parts[part] / (sum(parts.values()) or 1.0)


def _low(standing: Standing) -> float:
    assert standing.ratio is not None
    return standing.ratio.low


def _high(standing: Standing) -> float:
    assert standing.ratio is not None
    return standing.ratio.high


def _ratio_of_row(row: VerdictRow) -> str:
    span = f"{row.ratio_low:.3g} to {row.ratio_high:.3g}"
    return span if row.ratio is None else f"{row.ratio:.3g} ({span})"
