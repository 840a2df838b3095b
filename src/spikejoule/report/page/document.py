"""The energy report as one self-contained page: no script, no network, the same bytes each time."""

from spikejoule.energy.verdict_words import break_even_sentences
from spikejoule.report.content import PageContent
from spikejoule.report.page.answer import answer_section
from spikejoule.report.page.break_even import break_even_figure
from spikejoule.report.page.by_step import by_step_figure
from spikejoule.report.page.front import front_figure, front_table
from spikejoule.report.page.fronts import fronts_figure
from spikejoule.report.page.markup import Markup, element, joined
from spikejoule.report.page.profiles import (
    by_class_figure,
    by_layer_figure,
    by_profile_figure,
    by_term_figure,
)
from spikejoule.report.page.raster import raster_figure
from spikejoule.report.page.style import STYLE
from spikejoule.report.page.tables import (
    assumptions,
    chips_table,
    classes_table,
    comparisons_table,
    glossary,
    profiles_table,
    provenance_list,
    terms_table,
)
from spikejoule.report.page.training import training_figure, training_table
from spikejoule.report.page.verdict import (
    by_profile_table,
    levels_table,
    levels_words,
    parts_table,
)

_HOST_ENERGY = (
    "What the computer itself spent while it trained and measured is no part of the network's "
    "modelled energy, and differs from run to run: it is in the timings of each stage "
    "(host_energy in results/timings/), measured, or unavailable with the reason, and in the run's "
    "metrics in MLflow (host_energy_j)."
)


def energy_page(content: PageContent) -> str:
    """The page as text; the same content gives the same text."""
    analysis = content.analysis
    title = f"Energy of a spiking network on {analysis.inputs.title}"
    sizes = "-".join(str(size) for size in analysis.inputs.architecture.layer_sizes)
    body = element(
        "body",
        element(
            "header",
            element("h1", "Energy report"),
            element(
                "p",
                f"Spiking network {sizes} on {analysis.inputs.title}. Counts are measured; joules "
                "are these counts times published prices.",
                class_="muted",
            ),
        ),
        element(
            "main",
            answer_section(content),
            _contents(),
            _section(
                "verdict",
                "Equal accuracy",
                by_profile_table(analysis),
                parts_table(analysis),
                *(element("p", sentence) for sentence in break_even_sentences(analysis)),
            ),
            _section(
                "levels",
                "All recorded runs",
                element("p", levels_words(content.levels)) if content.levels else None,
                fronts_figure(content.fronts, analysis.verdict_profile),
                levels_table(content.levels, analysis.inputs.subject),
            ),
            _section(
                "figures",
                "Figures",
                by_profile_figure(analysis),
                element(
                    "div",
                    by_term_figure(analysis),
                    by_layer_figure(analysis),
                    class_="grid-of-two",
                ),
                element(
                    "div",
                    by_step_figure(content),
                    front_figure(content.front),
                    break_even_figure(analysis),
                    training_figure(analysis),
                    by_class_figure(analysis),
                    raster_figure(content.raster, analysis.inputs.subject),
                    class_="grid-of-two",
                ),
            ),
            _section("profiles", "Hardware profiles and their sources", profiles_table(analysis),
                     element("h3", "Chips that read MNIST digits"), chips_table()),
            _section(
                "terms",
                "Terms",
                terms_table(analysis),
                element("p", f"Neuron updates per inference: {analysis.inputs.updates_in_words}."),
                classes_table(analysis),
            ),
            _section("baselines", "Equal size", comparisons_table(analysis)
                     or element("p", "No conventional network was counted.")),
            _section("runs", "Runs on the front", front_table(content.front)),
            _section("training-terms", "Training", training_table(analysis)
                     or element("p", "Training is not recorded.")),
            _section("assumptions", "What is counted and what is assumed", assumptions(analysis)),
            _section("glossary", "Units and words", glossary(analysis)),
            _section("provenance", "How to repeat this", provenance_list(content),
                     element("p", _HOST_ENERGY)),
        ),
    )  # fmt: skip
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _contents() -> Markup:
    places = (
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
    return element(
        "nav",
        *(joined((element("a", name, href=f"#{key}"), " ")) for key, name in places),
        aria_label="Contents",
    )


def _section(key: str, heading: str, *parts: Markup | None) -> Markup | None:
    if not any(parts):
        return None
    return element("section", element("h2", heading), *parts, id=key)
