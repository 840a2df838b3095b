"""The table of terms, their counts, and the page that lists them."""

import ast
import re
from pathlib import Path

from spikejoule.energy.terms import TERMS
from spikejoule.network.surrogates import SURROGATES
from spikejoule.report.names import terms_in_words
from tests.energy import recount

REPOSITORY = Path(__file__).resolve().parents[2]
INFERENCE = [
    term
    for term in TERMS.values()
    if term.side not in ("training", "arithmetic", "route")
]


def literals(path: Path) -> set[str]:
    """Return every string in the code of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
    ]
    return {constant for constant in constants if isinstance(constant, str)}


def test_every_term_is_counted_and_those_of_inference_twice() -> None:
    counted: set[str] = set()
    energy = REPOSITORY / "src/spikejoule/energy"
    for path in (
        energy / "count.py",
        *energy.glob("training/*.py"),
    ):
        counted |= literals(path)
    # `step` counts the operations that a surrogate declares.
    counted |= {
        f"surrogate_{operation}"
        for surrogate in SURROGATES.values()
        for operation in surrogate.operations
    }
    training = {term.name for term in TERMS.values() if term.side == "training"}
    inference = {term.name for term in INFERENCE}
    assert not (inference | training) - counted
    assert not inference - literals(Path(recount.__file__))


def test_the_page_has_every_term_and_no_other() -> None:
    """The tables under "What is counted" name each term once in their first column."""
    page = (REPOSITORY / "docs/reference/energy-terms.md").read_text(encoding="utf-8")
    section = page.split("## What is counted\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    named = [name for cell in cells if cell != "term" for name in cell.split(", ")]
    counted = [t for t in TERMS.values() if t.side not in ("arithmetic", "route")]
    assert sorted(named) == sorted(terms_in_words(term.name) for term in counted)
