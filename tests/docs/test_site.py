"""Pages: their links, and the tables and pictures that are made from the sources."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.site import growth, outcome, parameters, playground, training_step
from tests.tools.committed import committed_params

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
    *(REPOSITORY / "studies").rglob("*.md"),
]


def prose(page: Path) -> str:
    """A page's text without its blocks of code."""
    return re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as git hosts and the site derive them."""
    headings = re.findall(r"^#+ +(.*?)\s*$", prose(page), flags=re.M)
    bare = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s", "-", heading) for heading in bare}


def links(page: Path) -> Iterator[str]:
    """The targets, within the repository, of a page's links and pictures."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            yield target


@pytest.mark.parametrize(
    "page", sorted(PAGES), ids=lambda page: page.relative_to(REPOSITORY).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_the_playground_is_small() -> None:
    """On the first page, which everybody loads; and its picture."""
    assert len(playground.page().encode()) <= 200_000
    assert (playground.ROOT / "docs" / "draw.png").stat().st_size <= 60_000


def test_pictures_are_up_to_date(committed: Path) -> None:
    drawn = outcome.PICTURE.read_text(encoding="utf-8")
    assert drawn == outcome.drawing(committed), "run: python -m docs.site.outcome"
    drawn = training_step.PICTURE.read_text(encoding="utf-8")
    expected = training_step.drawing(committed)
    assert drawn == expected, "run: python -m docs.site.training_step"
    drawn = growth.PICTURE.read_text(encoding="utf-8")
    assert drawn == growth.drawing(committed), "run: python -m docs.site.growth"


def test_the_table_has_each_parameter(committed: Path) -> None:
    table = parameters.parameter_tables(committed / "params.yaml")
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in lines]
    cells_of = {row[0].strip("`"): row[1:] for row in rows}
    for key, value in committed_params().flattened().items():
        default, meaning = cells_of[key]
        written = yaml.safe_load(default.strip("`"))
        assert value in (written, [written])
        assert meaning
    for key, kinds in parameters.choices().items():
        section = table.split(f"### Choices of {key}\n")[1].split("\n#")[0]
        assert all(f"| `{name}` |" in section for name in kinds)
