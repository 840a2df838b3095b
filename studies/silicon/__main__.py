"""Predict every measured chip, and write tables, picture and page.

`python -m studies.silicon` prints the answer. The exit status is 0 for success, and 1
for an error (one sentence on standard error).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import write_csv, write_text
from spikejoule.core.terminal import wrapped
from spikejoule.energy.estimates import rounded
from studies.silicon.page import PAGE, answer, written
from studies.silicon.picture import write_picture
from studies.silicon.predictions import Prediction, predictions, price_lists
from studies.silicon.references import FOLDER, READ, chips
from studies.silicon.systems import SYSTEMS, SystemRow, under_systems

TABLE: Final = FOLDER / "silicon.csv"

COLUMNS: Final = (
    "chip",
    "process",
    "point",
    "per",
    "role",
    "conditions",
    "profile",
    "measured_low_nj",
    "measured_high_nj",
    "measures",
    "boundary",
    "predicted_low_nj",
    "predicted_nj",
    "predicted_high_nj",
    "ratio_low",
    "ratio",
    "ratio_high",
    "static_share",
    "leakage_share",
    "latency_us",
    "given_nj",
    "measured_beyond_given_nj",
    "predicted_beyond_given_nj",
    "rounding_nj",
    "ratio_of_one_price",
    "reason",
    "source",
    "read",
)
"""Columns of the table; empty where there is nothing to say."""


def cells(row: Prediction) -> dict[str, Any]:
    """Return a row of the table."""
    low, high = row.point.measured_nj
    energy = row.predicted_nj
    ratio = row.ratio
    beyond = row.beyond
    values = {
        "chip": row.chip.name,
        "process": row.chip.process,
        "point": row.point.name,
        "per": row.point.per,
        "role": row.point.role,
        "conditions": row.point.conditions,
        "profile": row.point.profile,
        "measured_low_nj": low,
        "measured_high_nj": high,
        "measures": row.point.measures,
        "boundary": row.point.boundary,
        "predicted_low_nj": energy and energy.low,
        "predicted_nj": energy and energy.middle,
        "predicted_high_nj": energy and energy.high,
        "ratio_low": ratio and ratio.low,
        "ratio": ratio and ratio.middle,
        "ratio_high": ratio and ratio.high,
        "static_share": row.static_share,
        "leakage_share": row.leakage_share,
        "latency_us": row.timed and row.timed.latency_us.middle,
        "given_nj": beyond and beyond.given,
        "measured_beyond_given_nj": beyond and beyond.measured,
        "predicted_beyond_given_nj": beyond and beyond.predicted,
        "rounding_nj": beyond and beyond.rounding,
        "ratio_of_one_price": row.headline_ratio,
        "reason": row.point.reason,
        "source": row.point.source or row.chip.source,
        "read": READ[row.point.read],
    }
    return {name: rounded(value, 6) for name, value in values.items()}


def write_tables(
    rows: Sequence[Prediction], systems: Sequence[SystemRow], folder: Path
) -> None:
    """Write both tables as CSV."""
    write_csv(folder / TABLE.name, COLUMNS, [list(cells(row).values()) for row in rows])
    write_csv(
        folder / SYSTEMS.name,
        (
            "chip",
            "point",
            "measures",
            "profile",
            "process",
            "predicted_nj",
            "ratio_low",
            "ratio_high",
        ),
        [
            [
                row.chip.name,
                row.point.name,
                row.point.measures,
                row.profile,
                row.process,
                rounded(row.predicted_nj, 6),
                rounded(row.ratio_low, 6),
                rounded(row.ratio_high, 6),
            ]
            for row in systems
        ],
    )


def main() -> int:
    """Predict and write everything; returns the exit status."""
    try:
        found = chips()
        rows = predictions(found, price_lists())
        systems = under_systems(found)
        write_tables(rows, systems, FOLDER)
        write_picture(rows)
        write_text(PAGE, written(rows, systems))
    except (OSError, SpikejouleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sys.stdout.write(wrapped(answer(rows).replace("**", "") + "\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
