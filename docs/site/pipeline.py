"""The picture of the pipeline, drawn from dvc.yaml: `python -m docs.site.pipeline`
writes it.

A stage stands in the column after the last stage whose outputs it needs. Arrows that
others imply are left out.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pipeline.svg"

# Of a stage and the grid of stages, in pixels; files shown below a stage
_COLUMN = 198
_WIDTH = 168
_HEIGHT = 96
_TOP = 16
_ROW = 158
_FILES = 3
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
role="img" font-family="system-ui, sans-serif" font-size="11">
<title>{title}</title>
<style>
svg {{ background: #fff; color: #1c2a4a; }}
rect {{ fill: #eef1fb; stroke: #5567a8; rx: 7px; }}
path {{ fill: none; stroke: #5567a8; stroke-width: 1.6; }}
text {{ fill: currentColor; }}
.name {{ font-weight: 700; font-size: 13px; }}
.file {{ font-family: ui-monospace, monospace; font-size: 10px; fill: #5b6478; }}
@media (prefers-color-scheme: dark) {{
svg {{ background: #14171f; color: #e6e9f2; }}
rect {{ fill: #232a40; }}
.file {{ fill: #a4adc2; }}
}}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" \
markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8" style="fill:#5567a8"/></marker></defs>"""


def _written(stage: Mapping[str, Any]) -> list[str]:
    """The variables of a stage's outputs, in their order."""
    outputs = [
        *stage.get("outs", ()),
        *stage.get("metrics", ()),
        *stage.get("plots", ()),
    ]
    return [next(iter(out)) if isinstance(out, dict) else out for out in outputs]


def needs(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """The stages whose outputs each stage reads, without those that another of them
    needs.
    """
    makers = {
        output: name for name, stage in stages.items() for output in _written(stage)
    }
    direct = {
        name: {makers[path] for path in stage["deps"] if path in makers}
        for name, stage in stages.items()
    }
    earlier: dict[str, set[str]] = {}
    for (
        name,
        sources,
    ) in direct.items():  # dvc.yaml lists a stage after those that it needs
        earlier[name] = sources.union(*(earlier[source] for source in sources))
    return {
        name: {
            stage
            for stage in sources
            if not any(stage in earlier[other] for other in sources)
        }
        for name, sources in direct.items()
    }


def drawing(pipeline: Path = ROOT / "dvc.yaml") -> str:
    """The picture as SVG."""
    definition = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    stages = definition["stages"]
    paths = definition["vars"][0]["paths"]
    sources = needs(stages)
    columns: dict[str, int] = {}
    rows: dict[str, int] = {}
    for name in stages:
        column = 1 + max((columns[source] for source in sources[name]), default=-1)
        rows[name] = list(columns.values()).count(column)
        columns[name] = column
    width = _COLUMN * (1 + max(columns.values()))
    height = _TOP + _ROW * (1 + max(rows.values()))
    title = "The stages of the pipeline, and the files that they hand on"
    parts = [HEAD.format(title=title, width=width, height=height)]
    corner = {
        name: (10 + _COLUMN * columns[name], _TOP + _ROW * rows[name])
        for name in stages
    }
    for name, stage in stages.items():
        x, y = corner[name]
        for source in sorted(sources[name]):
            from_x = corner[source][0] + _WIDTH
            from_y = corner[source][1] + _HEIGHT // 2
            to_y = y + _HEIGHT // 2
            curve = (
                f"M{from_x} {from_y} C{from_x + 18} {from_y} {x - 22} {to_y} "
                f"{x - 1} {to_y}"
            )
            parts.append(f'<path d="{curve}" marker-end="url(#arrow)"/>')
        parts.append(f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}"/>')
        parts.append(f'<text class="name" x="{x + 8}" y="{y + 19}">{name}</text>')
        for line, words in enumerate(wrap(stage["desc"], 24)):
            parts.append(
                f'<text x="{x + 8}" y="{y + 37 + 14 * line}">{escape(words)}</text>'
            )
        files = [Path(paths[variable[8:-1]]).name for variable in _written(stage)]
        shown = (
            files
            if len(files) <= _FILES
            else [*files[: _FILES - 1], f"+ {len(files) - 2}"]
        )
        for line, file in enumerate(shown):
            below = y + _HEIGHT + 16 + 13 * line
            parts.append(
                f'<text class="file" x="{x + 8}" y="{below}">{escape(file)}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
