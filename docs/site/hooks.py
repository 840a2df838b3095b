"""What the site adds to the Markdown files: generated tables, the project's files, a
check.

mkdocs calls the functions by their names. A warning fails `make docs`, which builds
strictly.
"""

import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.site import commands, notebook, parameters, playground, speed

ROOT = Path(__file__).resolve().parents[2]

SHOWN = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "examples/*.py",
    "examples/*.ipynb",
    "figures/*.png",
    "reports/*.html",
    "studies/*/*.png",
    "studies/*/README.md",
)
"""Files outside of docs/ that pages link to."""

API_BOOST = 0.05
"""Weight of the API in a search: pages that explain a word come before objects of that
name.
"""

PLAYGROUND = "draw.html"
PLAYGROUND_FRAME = (
    f'<iframe class="playground" src="{PLAYGROUND}#embedded" title="Draw a digit">'
    f'</iframe>\n<p><a href="{PLAYGROUND}">Open this page alone</a>, with the reasons '
    "behind an answer and more test images.</p>"
)
"""GitHub shows no frame, so the page has a comment in its place."""

logger = logging.getLogger("mkdocs.hooks.spikejoule")

_GENERATED = re.compile(r"<!-- generated: (\w+) -->")
_DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
_OUTWARD = re.compile(
    r"(\]\((?:\.\./)*)\.\./(?=CHANGELOG\.md|CONTRIBUTING\.md|examples/|figures/|reports/|studies/)"
)


def _generated(what: str) -> str:
    makers = {
        "parameters": lambda: parameters.parameter_tables(ROOT / "params.yaml"),
        "profiles": parameters.profile_table,
        "commands": commands.spikejoule_commands,
        "make": lambda: commands.make_targets(ROOT / "Makefile"),
        "packages": lambda: commands.packages(ROOT / "dvc.yaml"),
        "graphs": lambda: speed.graphs(ROOT / "metrics" / "graphs.json"),
        "accelerate": lambda: speed.accelerate(ROOT / "metrics" / "accelerate.json"),
        "track": lambda: speed.track(ROOT / "metrics" / "track.json"),
        "pricing": lambda: speed.pricing(ROOT / "metrics" / "pricing.json"),
        "growth": lambda: speed.growth(ROOT / "metrics" / "growth.json"),
        "sampling": lambda: speed.sampling(ROOT / "metrics" / "sampling.csv"),
        "stages": lambda: commands.stages(ROOT / "dvc.yaml"),
        "playground": lambda: PLAYGROUND_FRAME,
    }
    return makers[what]()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the project's files that pages show or link to."""
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted(ROOT.glob("examples/*.ipynb")):
        page = path.relative_to(ROOT).with_suffix(".md").as_posix()
        files.append(File.generated(config, page, content=notebook.markdown(path)))
    files.append(File.generated(config, PLAYGROUND, content=playground.page()))
    return files


def on_page_markdown(
    markdown: str, page: Any, config: MkDocsConfig, files: Files
) -> str:
    """Put generated tables in their places, and make links out of docs/ links within
    the site.
    """
    if page.file.src_uri.startswith("reference/api/"):
        page.meta["search"] = {"boost": API_BOOST}
    if page.file.src_uri in ("CHANGELOG.md", "CONTRIBUTING.md"):
        return markdown.replace("](docs/", "](").replace("](README.md", "](index.md")
    if page.file.src_uri.startswith("studies/"):
        return markdown.replace("](../../docs/", "](../../")
    for identifier in _undocumented(markdown):
        logger.warning("%s: %s has no docstring", page.file.src_uri, identifier)
    markdown = _OUTWARD.sub(r"\1", markdown).replace(".ipynb)", ".md)")
    return _GENERATED.sub(lambda found: _generated(found[1]), markdown)


def _undocumented(markdown: str) -> list[str]:
    """The public classes and functions of a page's directives that have no
    docstring.
    """
    identifiers = _DIRECTIVE.findall(markdown)
    if not identifiers:
        return []
    return [
        name
        for identifier in identifiers
        for name in _without_docstring(
            _package()[identifier.removeprefix("spikejoule.")]
        )
    ]


@cache
def _package() -> Any:
    return griffe.load("spikejoule", search_paths=[str(ROOT / "src")])


def _without_docstring(documented: Any) -> list[str]:
    """Its name if it has none, and those of its public classes, functions and
    properties.
    """
    found = [] if documented.has_docstring else [str(documented.path)]
    if documented.is_class or documented.is_module:
        for name, member in documented.members.items():
            if name.startswith("_") or member.is_alias:
                continue
            if member.is_class or member.is_function or "property" in member.labels:
                found += _without_docstring(member)
    return found
