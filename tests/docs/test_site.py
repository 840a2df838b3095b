"""The pages: their links, and the tables and pictures that are made from the
sources.
"""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from docs.site import outcome, parameters, pipeline
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
    """The targets of a page's links and pictures within the repository."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            yield target


@pytest.mark.parametrize(
    "page", sorted(PAGES), ids=lambda page: page.relative_to(REPOSITORY).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        name, _, anchor = target.partition("#")
        aim = (page.parent / name).resolve() if name else page
        assert aim.is_file(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(aim), f"{page.name} links to {target}"


def test_what_packages_export_is_on_their_pages_of_the_api() -> None:
    listed: set[str] = set()
    for page in (REPOSITORY / "docs/reference/api").glob("*.md"):
        found = re.findall(
            r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), flags=re.M
        )
        packages = {name.split(".")[1].replace("params", "core") for name in found}
        assert packages == {page.stem}
        listed.update(found)
    for path in (REPOSITORY / "src/spikejoule").glob("*/__init__.py"):
        package = import_module(f"spikejoule.{path.parent.name}")
        for name in getattr(package, "__all__", ()):
            exported = getattr(package, name)
            if inspect.isclass(exported) or inspect.isfunction(exported):
                assert f"{exported.__module__}.{exported.__qualname__}" in listed


def test_a_picture_is_that_of_its_files(committed: Path) -> None:
    drawn = pipeline.PICTURE.read_text(encoding="utf-8")
    assert drawn == pipeline.drawing(), "run: python -m docs.site.pipeline"
    drawn = outcome.PICTURE.read_text(encoding="utf-8")
    assert drawn == outcome.drawing(committed), "run: python -m docs.site.outcome"


def test_each_parameter_with_its_default_and_what_is_allowed(committed: Path) -> None:
    table = parameters.parameter_tables(committed / "params.yaml")
    cells = (
        re.split(r" (?<!\\)\| ", line.strip("| "))
        for line in table.splitlines()
        if line.startswith("| `")
    )
    rows = {row[0].strip("`"): row[1:] for row in cells}
    for key, value in committed_params().flattened().items():
        default, allowed, meaning = rows[key]
        assert value in (written := yaml.safe_load(default.strip("`")), [written])
        assert allowed
        assert meaning
    for key, kinds in parameters.choices().items():
        section = table.split(f"### Choices of {key}\n")[1].split("\n#")[0]
        assert all(f"| `{name}` |" in section for name in kinds)
