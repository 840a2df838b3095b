"""The table of published conventional networks is read strictly."""

import csv
import io
from importlib.resources import files
from pathlib import Path

import pytest

from spikejoule.compare.published import PublishedTable
from tests.tools.refusals import refusal

TABLE = (files("spikejoule.compare") / "conventional.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("column", ["lemaire-complete:pj", "weight_bits"])
@pytest.mark.parametrize("cell", ["x", "\0", "nan", "inf", "1_0", "١٢", " 12", "-1"])
def test_a_cell_that_is_no_plain_number_is_refused(
    column: str, cell: str, tmp_path: Path
) -> None:
    header, *rows = csv.reader(TABLE.splitlines())
    rows[3][header.index(column)] = cell
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path = tmp_path / "conventional.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    assert "row 5" in refusal(PublishedTable.read, path) or cell == "\0"
