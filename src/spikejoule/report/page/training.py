"""What training costs: accuracy against the energy spent until then, and the terms of it."""

from spikejoule.energy import EnergyAnalysis
from spikejoule.report.charts.scales import ACCURACY_TITLE
from spikejoule.report.charts.training import accuracy_curves
from spikejoule.report.page.figure import HEIGHT, Words, absent, figure
from spikejoule.report.page.markup import Markup, html_table, items, joined
from spikejoule.report.page.plot import Plot, linear_energy_scale
from spikejoule.report.page.wording import amount_words, middle_pj, place_words, term_words

_VALIDATION = "validation accuracy after each epoch"


def training_figure(analysis: EnergyAnalysis) -> Markup:
    """Validation accuracy against the energy spent until then."""
    heading = "What training costs"
    priced = analysis.chosen_training
    if priced is None:
        return absent("training", heading, "The checkpoint does not record what training's energy "
                      "needs.")  # fmt: skip
    total = amount_words(priced.total)
    if not priced.epochs or priced.total.high_pj <= 0:
        return absent("training", heading, f"{total} in all; single epochs are not recorded.")
    curves = accuracy_curves(
        [epoch.epoch for epoch in priced.epochs],
        {_VALIDATION: [epoch.validation_accuracy_percent for epoch in priced.epochs]},
        None if analysis.training is None else analysis.training.best_epoch,
    )
    spent = [middle_pj(epoch.cumulative) for epoch in priced.epochs]
    plot = Plot(linear_energy_scale(1.02 * spent[-1]), curves.y)
    points = list(zip(spent, curves.errors_percent[_VALIDATION], strict=True))
    told = [
        f"epoch {epoch.epoch}: {epoch.validation_accuracy_percent:.2f} %, "
        f"{amount_words(epoch.cumulative)}"
        for epoch in priced.epochs
    ]
    marks = [plot.axes(), plot.line(points, "s1")]
    for epoch, point, words_of_epoch in zip(curves.epochs, points, told, strict=True):
        kept = epoch == curves.kept_epoch
        marks.append(plot.dot(point, "f2" if kept else "f1", words_of_epoch, 6 if kept else 3))
    shares = ", ".join(f"{phase} {amount_words(amount)}" for phase, amount in
                       priced.by_phase.items())  # fmt: skip
    bracket = "" if priced.total.value_pj is not None else " Drawn at the prices' upper ends."
    legend = [("line s1", _VALIDATION)]
    if curves.kept_epoch is not None:
        legend.append(("dot f2", curves.kept_words))
    words = Words(
        key="training",
        finding=f"Training costs {total}",
        description="; ".join(told[:: max(len(told) // 10, 1)]),
        y_title=ACCURACY_TITLE,
        x_title=f"Energy of training until then, under {analysis.chosen}",
        caption=f"{shares}.{bracket}",
        legend=legend,
    )
    return figure(words, marks, HEIGHT)


def training_table(analysis: EnergyAnalysis) -> Markup | None:
    """Training's terms under the chosen profile, and what its energy compares with."""
    priced, training = analysis.chosen_training, analysis.training
    if priced is None or training is None:
        return None
    amounts = {(item.phase, item.term, item.place): amount for item, amount in priced.by_term}
    rows = []
    for item in training.terms:
        amount = amounts.get((item.phase, item.term, item.place))
        status = "within another price" if item.term in priced.covered else "not included"
        rows.append(
            (
                item.phase,
                term_words(item.term),
                place_words(item.place),
                f"{item.count:,}",
                status if amount is None else amount_words(amount),
            )
        )
    facts = [f"{training.n_epochs} epochs, {training.samples:,} samples: "
             f"{amount_words(priced.total)}. {priced.contains}"]  # fmt: skip
    if priced.per_percentage_point is not None:
        facts.append(
            f"{amount_words(priced.per_percentage_point)} for each percentage point of validation "
            "accuracy above guessing."
        )
    if priced.inferences_of_the_same_energy is not None:
        facts.append(f"As much as {priced.inferences_of_the_same_energy:,.0f} inferences.")
    for name, inferences in priced.inferences_to_amortise.items():
        paid = "never" if inferences is None else f"after {inferences:,.0f} inferences"
        facts.append(f"The saving against {name} has paid for the training {paid}.")
    header = ("phase", "term", "layer", "operations", "energy")
    return joined(
        (
            items(facts),
            html_table(
                f"Terms of training, under {priced.profile.id}", header, rows, text_columns=3
            ),
        )
    )
