"""README's badges, of what the project states: `python -m docs.site.badges` writes them."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "badges"

_LETTER, _MARGIN = 6.6, 8
_BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">
<title>{name}: {value}</title>
<rect width="{width}" height="20" rx="4" fill="#3b4a86"/>
<path d="M0 4a4 4 0 0 1 4-4h{inner}v20H4a4 4 0 0 1-4-4z" fill="#4a4f5c"/>
<g fill="#fff" text-anchor="middle">
<text x="{name_at}" y="14" textLength="{name_length}">{name}</text>
<text x="{value_at}" y="14" textLength="{value_length}">{value}</text>
</g>
</svg>
"""


def stated() -> dict[str, str]:
    """What each badge says: licence and versions of Python from pyproject.toml, when tests run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"])
    assert found is not None
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    events = workflow[True]  # YAML 1.1 reads the key `on` so
    assert "push" in events
    return {
        "licence": project["license"],
        "python": f"3.{found[1]} to 3.{int(found[2]) - 1}",
        "tests": "on every push",
    }


def drawings() -> dict[str, str]:
    """Each badge as SVG, by its name."""
    return {name: _drawing(name, value) for name, value in stated().items()}


def _drawing(name: str, value: str) -> str:
    name_length, value_length = (round(_LETTER * len(text)) for text in (name, value))
    split = name_length + 2 * _MARGIN
    width = split + value_length + 2 * _MARGIN
    return _BADGE.format(
        name=name,
        value=value,
        width=width,
        inner=split - 4,
        name_length=name_length,
        value_length=value_length,
        name_at=split / 2,
        value_at=(split + width) / 2,
    )


if __name__ == "__main__":
    for badge, drawn in drawings().items():
        (FOLDER / f"{badge}.svg").write_text(drawn, encoding="utf-8")
