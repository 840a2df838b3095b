"""Notebooks of examples/: run without Jupyter, and shown as pages of the site.

`python -m docs.site.notebook examples/first-hour.ipynb` runs the cells in order, in one
process, and writes what they print and draw into the file.
"""

import base64
import io
import json
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


def run(cells: list[Cell]) -> None:
    """Run the cells of code, and put what each prints and draws into its outputs."""
    import matplotlib

    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
    from matplotlib import pyplot

    names: dict[str, Any] = {"__name__": "__main__"}
    number = 0
    for place, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        number += 1
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile("".join(cell["source"]), f"cell {place}", "exec"), names)  # noqa: S102
        cell["execution_count"] = number
        cell["outputs"] = [_printed(printed.getvalue())] if printed.getvalue() else []
        for figure in map(pyplot.figure, pyplot.get_fignums()):
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=80, metadata={"Software": None})
            cell["outputs"].append(_drawn(drawn.getvalue()))
        pyplot.close("all")


def _printed(text: str) -> Cell:
    return {
        "name": "stdout",
        "output_type": "stream",
        "text": text.splitlines(keepends=True),
    }


def _drawn(png: bytes) -> Cell:
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": ["<Figure>"]}
    return {"data": data, "metadata": {}, "output_type": "display_data"}


def printed(cells: list[Cell]) -> list[str]:
    """What each cell of code printed when it was run last."""
    return [
        "".join(text for output in cell["outputs"] for text in output.get("text", ()))
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def markdown(path: Path) -> str:
    """A notebook as the Markdown of a page: code, and below it what it printed and
    drew.
    """
    parts = []
    for cell in read(path)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../docs/", "](../"))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text'])}```")
            else:
                png = output["data"]["image/png"]
                parts.append(f"![What this cell draws](data:image/png;base64,{png})")
    return "\n\n".join(parts) + "\n"


def read(path: Path) -> Cell:
    """A notebook's content."""
    content: Cell = json.loads(path.read_text(encoding="utf-8"))
    return content


def main(paths: list[str]) -> None:
    for path in map(Path, paths):
        content = read(path)
        run(content["cells"])
        text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
