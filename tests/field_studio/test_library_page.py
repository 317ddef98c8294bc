"""The examples of docs/library.md and of the README run as they stand there."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", ["docs/library.md", "README.md"])
def test_examples_run(page, tmp_path, photograph, monkeypatch, capsys):
    text = (DOCS / page).read_text(encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(photograph.read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "example"}
    blocks = BLOCK.findall(text)
    assert blocks and "import field_studio as fs" in text
    for block in blocks:
        # Times for people are longer than a test can wait.
        exec(compile(re.sub(r"seconds=\d+", "seconds=1", block), page, "exec"), names)  # noqa: S102
    if page == "docs/library.md":
        assert len(blocks) > 5
        assert (tmp_path / "large.png").is_file() and (tmp_path / "runs" / "both" / "comparison.html").is_file()
