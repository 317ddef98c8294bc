"""Pages as files: what they hold, what they refuse, how large they are."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest

from fields.export.base import Progress, Source
from fields.export.page import write as page
from fields.export.request import ExportRequest
from scenes.errors import BadInput
from tests.export.page_fields import make_field

FOLDER = Path(page.__file__).parent
# Compressed bytes of the viewer.
MAX_VIEWER_BYTES = 250_000


def test_viewer_is_small():
    content = b"".join((FOLDER / name).read_bytes() for name in ("viewer.js", "viewer.css"))
    assert len(zlib.compress(content, 9)) < MAX_VIEWER_BYTES


def test_page_refers_to_nothing_outside():
    text = page.page_of(Source(None, make_field("hashgrid"), "image"), 16)
    assert not re.findall(r"(?:src|href)=[\"']?(?!data:)[^\"'>]+|https?://|@import|url\(", text)


def test_fewer_bits_give_smaller_pages(tmp_path):
    source = Source(None, make_field("frequency"), "image")
    sizes = []
    for bits in (8, 16, 32):
        report = page.write(source, tmp_path / "page.html", ExportRequest(bits=bits), Progress())
        sizes.append(report["bytes"])
        assert report["bytes"] == (tmp_path / "page.html").stat().st_size
    assert sizes[0] < sizes[1] < sizes[2]
    with pytest.raises(BadInput, match="`bits=4`"):
        page.write(source, tmp_path / "other.html", ExportRequest(bits=4), Progress())
    assert not (tmp_path / "other.html").exists()


def test_refuses_a_network_that_it_does_not_know():
    from torch import nn

    field = make_field("siren")
    field.network = nn.Bilinear(2, 2, 3)
    with pytest.raises(BadInput, match="Bilinear"):
        page.page_of(Source(None, field, "image"), 16)
