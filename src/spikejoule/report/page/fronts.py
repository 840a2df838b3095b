"""Both fronts on one chart: accuracy against energy of spiking and of conventional networks."""

from collections.abc import Sequence

from spikejoule.energy.contenders import CONVENTIONAL, SPIKING
from spikejoule.energy.estimates import joules
from spikejoule.energy.fronts import FrontsRow
from spikejoule.report.charts.scales import ACCURACY_TITLE, accuracy_scale, error_percent
from spikejoule.report.page.figure import HEIGHT, Words, figure
from spikejoule.report.page.markup import Markup
from spikejoule.report.page.plot import Plot, energy_scale

_STYLES = {SPIKING: "1", CONVENTIONAL: "2"}


def fronts_figure(rows: Sequence[FrontsRow], profile_id: str) -> Markup | None:
    """The fronts of the recorded runs under one profile; None where it has none."""
    shown = [row for row in rows if row.profile == profile_id]
    if not shown:
        return None
    plot = Plot(
        energy_scale([row.middle_pj for row in shown]),
        accuracy_scale(
            value for row in shown for value in (row.validation_percent, row.test_percent)
        ),
    )
    dearest = max(row.middle_pj for row in shown)
    marks = [plot.axes()]
    for side, colour in _STYLES.items():
        front = [row for row in shown if row.side == side]
        points = [(row.middle_pj, error_percent(row.validation_percent)) for row in front]
        ends = [(dearest, y) for _, y in points[-1:]]
        marks.append(plot.line(points + ends, f"s{colour}", stairs=True))
        for row, point in zip(front, points, strict=True):
            tested = (row.middle_pj, error_percent(row.test_percent))
            marks.append(plot.dot(point, f"f{colour}", _words(row)))
            told = f"{row.network}, test: {row.test_percent:.2f} %"
            marks.append(plot.dot(tested, f"hollow s{colour}", told, 5))
    words = Words(
        key="fronts",
        finding=f"Both fronts under {profile_id}: what an accuracy costs either side",
        description="; ".join(f"{row.side}: {_words(row)}" for row in shown),
        y_title=ACCURACY_TITLE,
        x_title="Energy per inference, log scale",
        caption="Networks of the recorded runs that none of their side beats; validation accuracy "
        "decides, rings show the test accuracy of the same networks.",
        legend=[
            ("dot f1", "spiking, validation"),
            ("dot f2", "conventional, validation"),
            ("dot hollow s0", "test, of the same"),
        ],
    )
    return figure(words, marks, HEIGHT)


def _words(row: FrontsRow) -> str:
    return f"{row.network}: {row.validation_percent:.2f} % for {joules(row.middle_pj, 3)}"
