"""README is short."""

from pathlib import Path


def test_it_is_short(repository: Path) -> None:
    assert len((repository / "README.md").read_text(encoding="utf-8").split()) <= 600
