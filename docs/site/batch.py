"""The picture of a batch on its way: `python -m docs.site.batch` writes it.

The table `WAY` says where it goes; a test holds the table to the code and its imports.
"""

from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Final, NamedTuple

from docs.site.pipeline import HEAD

PICTURE: Final = Path(__file__).resolve().parents[1] / "explanation" / "batch.svg"


class Stop(NamedTuple):
    """A package that a batch enters.

    Attributes:
        source: the package that it comes from.
        takes: what takes it, `module:function`; the first name of the module is the package.
        carried: the classes that hold it here, `module:class`, in the order in which they are made.
        words: what is done.
    """

    source: str
    takes: str
    carried: tuple[str, ...]
    words: str

    @property
    def package(self) -> str:
        """Its name."""
        return self.takes.partition(".")[0]


WAY: Final = (
    Stop("", "encoding.encoded_files:encode_samples", ("encoding.events:EventList",),
         "Samples become lists of events: which input spikes in which step"),
    Stop("encoding", "engine.choice:run_network", ("encoding.events:EventList",),
         "The network runs on them: a list of events for each layer"),
    Stop("engine", "evaluation.inference:measure_network",
         ("counts.measurement:Measurement",),
         "Spikes, synaptic events and updates are counted, once"),
    Stop("evaluation", "energy.spiking:count_operations",
         ("energy.operations:OperationCounts", "energy.ledger:Ledger",
          "energy.analysis:EnergyAnalysis"),
         "Operations by term, priced in one long table, compared"),
    Stop("energy", "report.page:energy_page", ("report.page:PageContent",),
         "The table is shown: page, card, charts, text"),
)  # fmt: skip
"""From the encoder to the ledger, and to those who read it."""

_WIDTH, _HEIGHT, _STEP, _TOP = 168, 132, 206, 14


def drawing() -> str:
    """The picture as SVG."""
    columns: dict[str, int] = {}
    corners: dict[str, tuple[int, int]] = {}
    for stop in WAY:
        column = columns[stop.source] + 1 if stop.source else 0
        columns[stop.package] = column
        corners[stop.package] = 10 + _STEP * column, _TOP
    width, height = 10 + _STEP * (1 + max(columns.values())), _HEIGHT + 2 * _TOP
    title = "A batch on its way through the packages, from the encoder to the ledger"
    parts = [HEAD.format(title=title, width=width, height=height)]
    for stop in WAY:
        x, y = corners[stop.package]
        if stop.source:
            from_x, from_y = corners[stop.source][0] + _WIDTH, corners[stop.source][1] + 46
            parts.append(f'<path d="M{from_x} {from_y} C{from_x + 18} {from_y} {x - 20} {y + 46} '
                         f'{x - 1} {y + 46}" marker-end="url(#arrow)"/>')  # fmt: skip
        parts.append(f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}"/>')
        parts.append(f'<text class="name" x="{x + 8}" y="{y + 19}">{stop.package}</text>')
        lines = [("file", f"{stop.takes.partition(':')[2]}()")]
        lines += [("", escape(line)) for line in wrap(stop.words, 25)]
        lines += [("file", name.partition(":")[2]) for name in stop.carried]
        for place, (kind, line) in enumerate(lines):
            below = y + 35 + 13 * place
            parts.append(f'<text class="{kind}" x="{x + 8}" y="{below}">{line}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
