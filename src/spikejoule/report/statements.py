"""Statements about a network: templates filled with an energy analysis.

Page, card, terminal and JSON share them. Every non-empty line of a template in the
folder `sentences` is one sentence. The functions of `words` are filters in templates,
under their own names.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.break_even import spikes_at_break_even
from spikejoule.compare.exchange import exchange_rate_of, skipping_of_equal_size
from spikejoule.compare.inputs import Obstacle
from spikejoule.counts.training import TrainingRecord
from spikejoule.energy.prices import BOUNDARIES, EVIDENCE, NUMBERS, SCOPES
from spikejoule.report.contents import contents
from spikejoule.report.names import analysed_name, layers, named, terms_in_words, way
from spikejoule.report.notes import cautions, label, remarks, sentence
from spikejoule.report.units import energy_words, interval_words, joules, plain
from spikejoule.report.words import (
    OUTCOMES,
    accuracy,
    baseline,
    dataflow,
    number,
    place,
    price,
    ratio,
    tally,
    under,
    updates,
    window,
    window_label,
    with_time,
)

if TYPE_CHECKING:
    from jinja2 import Environment

_OBSTACLES: Final[dict[Obstacle, str]] = {
    "parts not counted": "not everything was counted ({parts})",
    "nothing to compare with": "there is no conventional network to compare with",
    "unknown accuracy": "the network's validation accuracy is not recorded, so no "
    "conventional network of equal accuracy can be chosen",
    "guessing": "an accuracy of {level:.2f} % is no better than guessing "
    "({guessing:.2f} %)",
}


def says(analysis: EnergyAnalysis, template: str) -> tuple[str, ...]:
    """Return the sentences of a template about an analysis."""
    return sentences(template, analysis=analysis)


def answer(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """Return the verdict, the network's energy and what it includes, in sentences."""
    return says(analysis, "answer")


def assumptions(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """Return what is counted and assumed for inference and training, in sentences."""
    inputs = analysis.inputs
    of_inference = sentences(
        inputs.counted_in or "inference",
        network=inputs.network,
        products=None if inputs.encoder is None else inputs.encoder.input_products,
        from_sensor=not inputs.reads_images,
    )
    if inputs.training is None:
        return of_inference
    return of_inference + training_assumptions(inputs.training)


def training_assumptions(record: TrainingRecord) -> tuple[str, ...]:
    """Return what is counted and assumed for training, in sentences."""
    return sentences("training", record=record)


def without_verdict(analysis: EnergyAnalysis) -> str:
    """Say why the headline has no verdict; empty if it has one."""
    if analysis.verdict is not None:
        return ""
    inputs = analysis.inputs
    if inputs.obstacle is not None:
        reason = _OBSTACLES[inputs.obstacle].format(
            parts=", ".join(inputs.missing),
            level=inputs.compared_at_percent,
            guessing=inputs.guessing_percent,
        )
    else:
        title = f"“{analysis.chosen.title}”"
        reason = f"{title} does not compare networks of this kind"
        own = inputs.variant
        if analysis.chosen.judges(own.weight_bits, own.operations):
            reason = f"no conventional network is priced under {title}"
    return f"No verdict: {reason}."


def condition(analysis: EnergyAnalysis) -> str:
    """Say on which condition a verdict holds: what it does not count; often empty."""
    parts = ", ".join(analysis.inputs.accepted)
    return f", not counting {parts}" if parts else ""


@cache
def templates() -> "Environment":
    """Return the template engine; sentences are plain text, so nothing is escaped."""
    # Imported here: a served model has no jinja2 and prints no sentences.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701
        loader=PackageLoader("spikejoule.report", "sentences"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        accuracy,
        analysed_name,
        baseline,
        condition,
        cautions,
        dataflow,
        exchange_rate_of,
        label,
        layers,
        named,
        number,
        place,
        price,
        ratio,
        remarks,
        sentence,
        skipping_of_equal_size,
        spikes_at_break_even,
        tally,
        under,
        updates,
        way,
        window,
        window_label,
        with_time,
        contents,
        without_verdict,
    )
    environment.filters |= {function.__name__: function for function in filters}
    environment.filters |= {
        "joules": joules,
        "plain": plain,
        "energy": energy_words,
        "term": terms_in_words,
        "terms": lambda names: terms_in_words(*names),
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "interval": interval_words,
    }
    environment.globals |= {
        "BOUNDARIES": BOUNDARIES,
        "EVIDENCE": EVIDENCE,
        "NUMBERS": NUMBERS,
        "OUTCOMES": OUTCOMES,
        "SCOPES": SCOPES,
    }
    return environment


def sentences(template: str, **values: Any) -> tuple[str, ...]:
    """Fill a template and return its sentences, one per non-empty line."""
    lines = templates().get_template(f"{template}.j2").render(values).splitlines()
    return tuple(line.strip() for line in lines if line.strip())
