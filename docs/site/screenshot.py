"""The picture of the page to draw on: `python -m docs.site.screenshot` writes it.

Needs Chromium and the extra `dev`. The page is that of the documentation, with a drawn
three.
"""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

from docs.site import playground

PICTURE: Final = playground.ROOT / "docs" / "draw.png"

THREE: Final = (
    (0.30, 0.20),
    (0.55, 0.14),
    (0.70, 0.28),
    (0.58, 0.44),
    (0.42, 0.48),
    (0.62, 0.52),
    (0.74, 0.70),
    (0.60, 0.86),
    (0.28, 0.82),
)
"""A stroke, in widths of the canvas."""

WIDTH: Final = 1000
COLOURS: Final = 32
"""A page of text and few colours needs no more, and is a third as large."""


def screenshot(page: Path) -> bytes:
    """The page's answer to the stroke, as on the documentation's first page."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": WIDTH, "height": 1200})
        opened.goto(f"{page.as_uri()}#embedded")
        opened.wait_for_function("window.spikejoule !== undefined")
        opened.evaluate(
            "stroke => spikejoule.page.drawing.setStrokes([stroke])",
            [{"x": x, "y": y} for x, y in THREE],
        )
        picture = opened.locator("main").screenshot()
        browser.close()
    return picture


def compressed(png: bytes) -> bytes:
    """The picture in few colours."""
    written = io.BytesIO()
    few = (
        Image.open(io.BytesIO(png))
        .convert("RGB")
        .quantize(COLOURS, Image.Quantize.FASTOCTREE)
    )
    few.save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "draw.html"
        path.write_text(playground.page(), encoding="utf-8")
        PICTURE.write_bytes(compressed(screenshot(path)))
