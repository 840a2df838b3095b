"""Where the spiking network stops winning, as a chart."""

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.analysis import ProfileInference
from spikejoule.energy.break_even import BreakEven
from spikejoule.energy.comparison import Comparison
from spikejoule.energy.estimates import joules
from spikejoule.report.charts.scales import decade_scale
from spikejoule.report.page.figure import HEIGHT, Words, absent, figure
from spikejoule.report.page.markup import Markup
from spikejoule.report.page.plot import Plot, energy_scale


def break_even_figure(analysis: EnergyAnalysis) -> Markup:
    """The spiking network's energy against the spikes of an input, and the baselines'."""
    heading = "Break-even"
    entry = _with_break_even(analysis)
    if entry is None:
        reason = "No profile prices both a multiply-accumulate and a synaptic event."
        if not analysis.inputs.baselines:
            reason = "No conventional network was counted."
        elif analysis.inputs.encoder.input_products is not None:
            reason = "The input is a constant current, without spikes that could be more or fewer."
        return absent("break-even", heading, reason)
    solved = [(item, item.break_even) for item in entry.comparisons if item.break_even is not None]
    _, widest = max(solved, key=lambda pair: pair[1].curve_spikes_per_input[-1])
    curve = list(zip(widest.curve_spikes_per_input, widest.curve_snn_pj, strict=True))
    plot = Plot(
        decade_scale([x for x, _ in curve]),
        energy_scale([*(y for _, y in curve), *(limit.ann_pj for _, limit in solved)]),
    )
    measured = widest.measured_spikes_per_input
    energy = next(item for item in (entry.total.value,) if item is not None).mean
    marks = [
        plot.axes(),
        *(plot.horizontal(limit.ann_pj, _line_style(place))
          for place, (_, limit) in enumerate(solved)),
        plot.line(curve, "s1"),
        *(plot.dot((limit.spikes_per_input, limit.ann_pj), f"f{3 + place // 2 % 2}",
                   _limit_words(item, limit.spikes_per_input), 5)
          for place, (item, limit) in enumerate(solved) if limit.spikes_per_input is not None),
        plot.dot((measured, energy), "f2", f"measured: {measured:.3g} spikes, {joules(energy)}", 6),
    ]  # fmt: skip
    words = Words(
        key="break-even",
        finding=_break_even_finding(entry, *solved[0]),
        description="; ".join(
            [f"measured {measured:.3g} spikes per input, {joules(energy)}"]
            + [_limit_words(item, limit.spikes_per_input) for item, limit in solved]
        ),
        y_title="Energy per inference, log scale",
        x_title="Spikes of an input unit over the window, mean, log scale",
        caption="The spiking network needs less to the left of where its line crosses a "
        "baseline's. All spikes are taken to grow in proportion to the input's, at the weights "
        "that were trained; leaks and biases stay.",
        legend=[
            ("line s1", "spiking network"),
            ("dot f2", "as measured"),
            *((f"line {_line_style(place)}", item.name)
              for place, (item, _) in enumerate(solved)),
        ],
    )  # fmt: skip
    return figure(words, marks, HEIGHT)


def _with_break_even(analysis: EnergyAnalysis) -> ProfileInference | None:
    """The chosen profile if it has a break-even, else the first that has."""
    for entry in (analysis.chosen_inference, *analysis.inference):
        if any(item.break_even is not None for item in entry.comparisons):
            return entry
    return None


def _line_style(place: int) -> str:
    """Dense and zero-skipping of a network look alike; those of the next lie in their gaps."""
    return "s4 dotted" if place // 2 % 2 else "s3 dashed"


def _break_even_finding(entry: ProfileInference, item: Comparison, limit: BreakEven) -> str:
    under = f"under {entry.profile.title}"
    if limit.spikes_per_input is None:
        return f"Break-even: {item.name} needs less at any number of spikes, {under}"
    return (
        f"Break-even: less energy than {item.name} up to {limit.spikes_per_input:.3g} spikes an "
        f"input, {under}"
    )


def _limit_words(item: Comparison, spikes: float | None) -> str:
    limit = "never below it" if spikes is None else f"up to {spikes:.3g} spikes per input"
    return f"against {item.name} {limit}"
