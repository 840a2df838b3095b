"""A metric is one change of one file, a term one of two, and each has its test: as the pages say.

That the changes can be made, and that the tests pass then, is seen when the pages are run.
"""

from pathlib import Path

import pytest

from tests.tools.pages import blocks_of


@pytest.mark.parametrize(
    ("page", "others", "n_files"),
    [
        ("add-a-metric", [], 1),
        ("log-a-number-per-epoch", [], 3),
        ("add-a-term", ["tests/energy/recount.py", "docs/explanation/energy-ledger.md"], 2),
    ],
)
def test_what_the_page_adds(page: str, others: list[str], n_files: int, repository: Path) -> None:
    *diffs, test, command = blocks_of(repository / "docs" / "how-to" / f"{page}.md")
    changed = [line[6:] for diff in diffs for line in diff.text.splitlines() if "+++ b/" in line]
    assert [name.startswith("src/") for name in changed[:n_files]] == [True] * n_files
    assert changed[n_files:] == others
    assert test.title.startswith("tests/")
    assert command.text.startswith("python -m pytest ")
    assert test.title in command.text.split()
