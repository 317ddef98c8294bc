"""Pages in the system's Chromium: from disk, without a network, and silent."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# Milliseconds that a page is waited for; machines that do other things as well are slow.
TIMEOUT = 60_000
# Parts of warnings that software rendering gives in Chromium, which say nothing of a page.
HARMLESS = ("GPU stall due to ReadPixels",)


class OpenPage:
    """A page that is open in the browser, and what it said or asked for beside its own file."""

    def __init__(self, context, path: Path, fragment: str) -> None:
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        self.page.goto(f"{path.as_uri()}#{fragment}")
        self.wait()

    def _said(self, message) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in HARMLESS):
            self.complaints.append(message.text)

    def _asked(self, request) -> None:
        if not request.url.startswith(("file:", "blob:", "data:")):
            self.complaints.append(f"asks for {request.url}")

    def wait(self) -> None:
        """Until the sharp picture stands."""
        self.page.wait_for_function("document.documentElement.dataset.state != 'loading'")

    @property
    def state(self) -> str:
        return self.page.evaluate("document.documentElement.dataset.state")

    @property
    def message(self) -> str:
        return self.page.inner_text("#message")

    def picture(self) -> np.ndarray:
        """The canvas, `[H, W, 4]` uint8."""
        from PIL import Image

        assert self.state == "ready", self.message
        url = self.page.evaluate("document.querySelector('canvas#view').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))


@pytest.fixture(scope="session")
def offline(chromium) -> Iterator:
    """A window of the browser without a network."""
    context = chromium.new_context(offline=True)
    yield context
    context.close()


@pytest.fixture
def open_page(offline) -> Iterator:
    """Opens a file; in the end no page may have complained."""
    opened: list[OpenPage] = []

    def make(path: Path, fragment: str = "") -> OpenPage:
        opened.append(OpenPage(offline, path, fragment))
        return opened[-1]

    yield make
    for one in opened:
        one.page.close()
    assert [one.complaints for one in opened] == [[] for _ in opened]
