"""A folder's name with dollar signs is a text of a figure, and no formula."""

from collections.abc import Callable

import numpy as np
import pytest

from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report import figures

# Two dollar signs enclose a formula for matplotlib, and this one has an unknown symbol.
FOLDER = r"digits of /data/$\broken$"


def front(label: str, source: str) -> bytes:
    point = FrontRow(
        name="run",
        early_exit=False,
        on_front=True,
        validation_accuracy_percent=97.0,
        test_accuracy_percent=96.5,
        synaptic_events_per_inference=5000.0,
        data_source="mnist5k",
        git_commit="c0ffee",
        run_id="a" * 32,
        **{"model.hidden": label},
    )
    return figures.accuracy_front([point], 95.0, source)


DRAWINGS: dict[str, Callable[[str], bytes]] = {
    "title": lambda text: figures.confusion_matrix(np.eye(10, dtype=np.int64), text),
    "title of the front": lambda text: front("hidden 100", text),
    "entry of the front": lambda text: front(text, "digits"),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_it_is_drawn_as_it_is(draw: Callable[[str], bytes]) -> None:
    assert draw(FOLDER) != draw(FOLDER.replace("$", ""))
