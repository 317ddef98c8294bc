"""Uploads to a served studio that are too large, cut off, or larger than they look."""

import io
import json
import logging
import os
import secrets
import socket
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("gradio")

from apps.studio import cleanup, uploads  # noqa: E402

BOUNDARY = "part"


@pytest.fixture
def errors():
    """What the server writes into its log during a test."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    log = logging.getLogger("uvicorn.error")
    log.addHandler(handler)
    yield records
    log.removeHandler(handler)


def head(name):
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()


END = f"\r\n--{BOUNDARY}--\r\n".encode()


def sent(address, body, length):
    """A connection on which a body of a stated length has begun to arrive."""
    host = urlsplit(address)
    connection = socket.create_connection((host.hostname, host.port), timeout=60)
    lines = (
        "POST /gradio_api/upload HTTP/1.1",
        f"Host: {host.netloc}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {length}",
    )
    connection.sendall("\r\n".join((*lines, "", "")).encode() + body)
    return connection


def answer(connection):
    """Status and text of an answer."""
    with connection, connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, stream.read(length).decode()


def arrived(studio):
    folder = studio.folders.arriving
    return {path for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()


def wait(condition):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 60, "it did not happen"
        time.sleep(0.02)


def test_a_file_of_two_gigabytes_is_refused_while_it_arrives(studio, address, errors, monkeypatch):
    """Of which three megabytes are sent where one is taken: the answer does not wait for the others."""
    monkeypatch.setattr(uploads, "MAX_BYTES", 1 << 20)
    before = arrived(studio)
    status, text = answer(sent(address, head("large.png") + bytes(3 << 20), length=2 << 30))
    assert (status, text) == (413, "1 MB are the maximum allowed size of a file here; the command line takes more.")
    # A body that says at once that it is larger than everything that is taken is not read at all.
    status, text = answer(sent(address, head("large.png"), length=3 << 30))
    assert status == 413 and "2112 MB" in text
    assert arrived(studio) == before and not errors


def test_an_upload_that_is_cut_off_leaves_nothing(studio, address, errors):
    before = arrived(studio)
    begun = sent(address, head("photo.png") + bytes(1 << 20), length=2 << 20)
    wait(lambda: arrived(studio) != before)
    begun.close()
    wait(lambda: arrived(studio) == before)
    # A body that ends, with a file that does not.
    body = head("photo.png") + bytes(1 << 16)
    assert answer(sent(address, body, len(body))) == (400, "The upload was cut off; send the file again.")
    # Nothing that arrived whole is lost, and a visitor who leaves is no error of the studio's.
    body = head("photo.png") + secrets.token_bytes(1 << 16) + END
    status, text = answer(sent(address, body, len(body)))
    assert status == 200 and arrived(studio) - before == {Path(json.loads(text)[0])}
    assert not errors


def test_parts_that_a_killed_studio_left_are_deleted(folders):
    folders.arriving.mkdir()
    old, new = folders.arriving / "tmpold", folders.arriving / "tmpnew"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * cleanup.PART_SECONDS,) * 2)
    assert cleanup.delete_unused(folders) == 1 and not old.exists() and new.exists()


@pytest.mark.slow
def test_a_zip_bomb_is_refused_by_the_page(studio, address, errors, monkeypatch):
    """96 MB of zeros in 0.1 MB, where 64 are taken."""
    monkeypatch.setattr(uploads, "ARCHIVE_LIMITS", replace(uploads.ARCHIVE_LIMITS, max_bytes=64 << 20))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for index in range(3):
            archive.writestr(f"{index}.png", bytes(32 << 20))
    kept = {path for path in studio.folders.uploads.rglob("*") if not path.is_relative_to(studio.folders.arriving)}
    body = head("bomb.zip") + bomb.getvalue() + END
    status, text = answer(sent(address, body, len(body)))
    assert status == 200
    shown = event(address, "upload", [None, {"path": json.loads(text)[0], "meta": {"_type": "gradio.FileData"}}])
    assert "bomb.zip: holds 3 files, 101 MB once unpacked; at most 5,000 files and 67 MB are taken" in shown
    now = {path for path in studio.folders.uploads.rglob("*") if not path.is_relative_to(studio.folders.arriving)}
    assert now == kept and not errors


def event(address, element, values):
    """What the page is told after an event of one of its elements, as text."""
    config = json.load(urlopen(f"{address}/config", timeout=60))
    number = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == element)
    chosen = next(known for known in config["dependencies"] if [number, "upload"] in known["targets"])
    session = secrets.token_hex(6)
    wish = {"data": values, "fn_index": chosen["id"], "session_hash": session}
    headers = {"Content-Type": "application/json"}
    urlopen(Request(f"{address}/gradio_api/queue/join", json.dumps(wish).encode(), headers), timeout=60).close()
    told = []
    with urlopen(f"{address}/gradio_api/queue/data?session_hash={session}", timeout=60) as stream:
        for line in stream:
            told.append(line.decode())
            if "process_completed" in told[-1]:
                return "".join(told)
    raise AssertionError("the page was told nothing")
