"""A front whose rows name no runs yet: `publish --rev` records its revision all the same."""

from pathlib import Path

import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import write_csv
from spikejoule.evaluation.front_rows import FRONT_COLUMNS
from spikejoule.tracking import front_citations

EARLIER_COLUMNS = tuple(name for name in FRONT_COLUMNS if name != "run_id")
ROW = ("beaky-ship", 1, 1, 97.65, 97.88, 6148.6, "mnist", "60ce7be", "0.95")


def test_it_cites_no_run(tmp_path: Path) -> None:
    path = tmp_path / "front.csv"
    write_csv(path, (*EARLIER_COLUMNS, "train.pruned_fraction"), [ROW])
    assert front_citations(path) == []


@pytest.mark.parametrize("text", ["", "name,run_id\nbeaky-ship,1\n"])
def test_a_damaged_one_is_still_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "front.csv"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=r"front\.csv"):
        front_citations(path)


def test_a_missing_one_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        front_citations(tmp_path / "front.csv")
