"""What every test may use: the shared data where it is there, real photographs, and CI's rule about skipping."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

# WebGL by software.
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    # Two cores serve everything; a test that depends on the number of threads sets it itself.
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.addaudithook(_note_connections)
    config.addinivalue_line("markers", "gpu: runs CUDA kernels on a GPU, and skips itself without one")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := why_no_gpu()):
        pytest.skip(f"needs a GPU and the CUDA library: {reason}")


@cache
def why_no_gpu() -> str | None:
    """Why the tests marked `gpu` cannot run here, or None if they can."""
    import torch

    import cuda_ext

    return (None if torch.cuda.is_available() else "no GPU that torch can use") or cuda_ext.why_absent("cuda")


# Connections to other machines that this process tried to make. None is.
CONNECTIONS: list[str] = []
LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "testserver", "")


def _note_connections(event: str, values: tuple) -> None:
    if event == "socket.connect" and isinstance(values[1], tuple) and values[0].type == socket.SOCK_STREAM:
        host = str(values[1][0])
    elif event == "socket.getaddrinfo":
        host = str(values[0] or "")
    else:
        return
    if host not in (*LOCAL, "None") and host not in _own_addresses():
        CONNECTIONS.append(f"{event} {host}")


def _own_addresses() -> set[str]:
    import psutil

    found = {address.address for many in psutil.net_if_addrs().values() for address in many}
    return found | {socket.gethostname()}


@pytest.fixture(autouse=True)
def no_outgoing_connections():
    """Fails a test that connects to another machine, or asks for its address."""
    before = len(CONNECTIONS)
    yield
    assert CONNECTIONS[before:] == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """In CI everything is installed: a test that skips because a package or a program is missing fails."""
    outcome = yield
    report = outcome.get_result()
    if (
        os.environ.get("CI")
        and report.skipped
        and any(why in str(report.longrepr) for why in ("could not import", "apt install"))
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI for a missing package: {report.longrepr}"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is not beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A real photograph, `[512, 512, 3]` uint8."""
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture
def photograph(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A small crop of it as a PNG file, 96 x 64."""
    from PIL import Image

    path = tmp_path / "photo.png"
    Image.fromarray(astronaut[60:124, 180:276]).save(path)
    return path


@pytest.fixture(scope="session")
def chromium():
    """The system's browser. It is a system package, so that tests are skipped without it."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("the system has no chromium: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def parts_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the fields of 32 shapes of 8 classes, barely fitted."""
    from fields.batch.batch import Batch
    from fields.batch.request import BatchRequest

    out = tmp_path_factory.mktemp("fields") / "parts"
    settings = {"resolution": 8, "features": 4, "width": 16}
    request = BatchRequest(
        source="procedural:parts", items=32, out=out, steps=2, stack=32, points=64, samples=512, settings=settings
    )
    assert Batch.create(request).run()
    return out
