"""The pictures of the documentation: there, small, and without any other host in them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = sorted(
    {page.parent / name for page in PAGES for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())}
)


def test_every_picture_is_shown_somewhere() -> None:
    assert sorted((ROOT / "docs").glob("*.svg")) == SHOWN


@pytest.mark.parametrize("picture", SHOWN, ids=lambda path: path.name)
def test_a_picture_fetches_nothing_and_fits_any_width(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert len(text.encode()) < 200_000
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"@font-face|@import|url\((?!#)|<image|<script", text)
    root = ElementTree.fromstring(text)
    assert root.get("viewBox")
    assert root.get("width") is None
