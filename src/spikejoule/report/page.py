"""The energy report as a self-contained page, and as a card; the same content, the same bytes.

What they say is in the templates `energy.html.j2` and `energy_card.md.j2`; here is what these are
given.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from spikejoule.energy import EnergyAnalysis, prices, terms
from spikejoule.energy import words as verdict_words
from spikejoule.energy.comparison import WindowCost, energy_by_part, window_cost
from spikejoule.energy.estimates import energy_words, joules
from spikejoule.energy.prices import MEASURED_ON_MNIST
from spikejoule.energy.words import Standing
from spikejoule.report import words
from spikejoule.report.charts import accuracy, energy
from spikejoule.report.charts.canvas import PALETTE, Chart, NoChart
from spikejoule.report.charts.learning import training_energy
from spikejoule.report.charts.raster import spike_raster
from spikejoule.report.content import PageContent


def energy_page(content: PageContent) -> str:
    """The page as HTML, without scripts and without a network."""
    analysis, chosen = content.analysis, content.analysis.chosen_inference
    training, verdict = analysis.chosen_training, content.standing
    ratios = [(one.ratio, one) for one in content.standings if one.ratio is not None]
    _, best = min(ratios, key=lambda pair: pair[0].high, default=(None, None))
    _, worst = max(ratios, key=lambda pair: pair[0].low, default=(None, None))
    page = _templates().get_template("energy.html.j2")
    return page.render(
        content=content,
        outcome="" if verdict is None else verdict.outcome,
        best=best,
        worst=worst,
        largest_part=None if worst is None else _largest_part(worst),
        early=_early(content),
        priced_terms=list(dict.fromkeys(item.term for item in chosen.by_term)),
        parts=_parts(analysis),
        charts=_charts(content),
        comparisons=[(one.profile, item) for one in analysis.inference for item in one.comparisons],
        term_energies={(item.term, item.place): item.energy for item in chosen.by_term},
        training_amounts={
            (item.phase, item.term, item.place): amount
            for item, amount in (training.by_term if training is not None else ())
        },
    )


def energy_card(content: PageContent) -> str:
    """The card as Markdown."""
    card = _templates().get_template("energy_card.md.j2")
    return card.render(content=content)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("spikejoule.report", ""),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"joules": joules, "linked": words.linked}
    environment.filters |= {
        name.removesuffix("_words"): function
        for name, function in {**vars(verdict_words), **vars(words)}.items()
        if name.endswith("_words")
    }
    environment.globals |= {
        "chips": MEASURED_ON_MNIST,
        "palette": PALETTE,
        "profiles": prices,
        "terms": terms,
        "verdict_words": verdict_words,
    }
    return environment


def _charts(content: PageContent) -> dict[str, Chart | NoChart | None]:
    analysis, subject = content.analysis, content.analysis.inputs.subject
    front = accuracy.no_front()
    if any(run.synaptic_events_per_inference > 0 for run in content.front):
        source = f"runs on {content.front[0].data_source}"
        front = accuracy.accuracy_front(content.front, None, source, listed=False)
    heading, reason = (
        f"One {subject.sample}, spike by spike",
        f"No {subject.sample}'s spikes are known.",
    )
    raster: Chart | NoChart = NoChart("raster", heading, reason)
    if content.raster is not None:
        raster = spike_raster(content.raster, analysis.inputs.title, with_counts=False)
    return {
        "fronts": accuracy.recorded_fronts(content.fronts, analysis.verdict_profile),
        "by_profile": energy.by_profile(analysis),
        "by_term": energy.by_term(analysis),
        "by_layer": energy.by_layer(analysis),
        "by_step": _by_step(content),
        "front": front,
        "break_even": energy.break_even(analysis),
        "training": training_energy(analysis),
        "by_class": energy.by_class(analysis),
        "raster": raster,
    }


def _cost_of_answers(analysis: EnergyAnalysis) -> WindowCost | None:
    """What an event and a step cost under the chosen profile."""
    inputs, encoder = analysis.inputs, analysis.inputs.encoder
    has_rate = encoder.rate_hz is not None
    return window_cost(
        inputs.operations,
        analysis.chosen_inference.profile,
        encoder.input_products,
        has_rate,
    )


def _by_step(content: PageContent) -> Chart | NoChart:
    """Answers at every step, and early exit, priced by their events and steps."""
    cost, early = _cost_of_answers(content.analysis), content.early
    answers: list[tuple[float, float, float]] = [
        (row.step, row.accuracy_percent, row.synaptic_events_per_inference)
        for row in content.by_step
    ]
    if early is not None:
        at = early.test
        answers.append((at.mean_exit_step, at.accuracy_percent, at.synaptic_events_per_inference))
    points = []
    for steps, percent, events in answers:
        if cost is not None and events > 0:
            spent = cost.energy(events, steps)
            said = f"step {steps:.3g}: {percent:.2f} %, {energy_words(spent)}"
            points.append(accuracy.Point(words.middle_pj(spent), percent, said))
    stops = early is not None and early.test.synaptic_events_per_inference > 0
    stopped = points.pop() if stops and points else None
    rule = "" if early is None else early.rule_in_words
    subject = content.analysis.inputs.subject
    return accuracy.by_step(points, stopped, rule, content.analysis.chosen, subject)


def _early(content: PageContent) -> dict[str, Any] | None:
    """Early exit beside the whole window; None where it is not known."""
    early, cost = content.early, _cost_of_answers(content.analysis)
    if early is None or cost is None or early.test.synaptic_events_per_inference <= 0:
        return None
    at, whole = early.test, early.whole_window.test
    less, more = (
        cost.energy(one.synaptic_events_per_inference, one.mean_exit_step) for one in (at, whole)
    )
    saves = at.mean_exit_step < whole.mean_exit_step
    return {"file": early, "at": at, "whole": whole, "saves": saves, "less": less, "more": more}


def _parts(analysis: EnergyAnalysis) -> list[tuple[str, float, float]]:
    """What each side's energy goes to, this run's own networks, with their totals."""
    verdict = analysis.verdict
    if verdict is None or verdict.spiking is None or verdict.conventional is None:
        return []
    snn, ann = (
        energy_by_part(one.variant, verdict.profile)
        for one in (verdict.spiking, verdict.conventional)
    )
    rows = [(part, snn[part], ann[part]) for part in snn]
    return [*rows, ("total", sum(snn.values()), sum(ann.values()))]


def _largest_part(standing: Standing) -> tuple[str, float] | None:
    """What most of the spiking network's energy goes to, and how many percent."""
    if standing.verdict.spiking is None:
        return None
    parts = energy_by_part(standing.verdict.spiking.variant, standing.verdict.profile)
    part = max(parts, key=lambda name: parts[name])
    return part, 100 * parts[part] / (sum(parts.values()) or 1.0)
