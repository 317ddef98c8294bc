"""Attacks on a studio that is served on this machine: what a page of another site, a visitor or a file may try.

Each attack is a function of an `Attacker` that yields what went wrong, in a sentence. `python -m
benchmarks.trust.security` serves a studio with a secret beside it and tries all of them.
"""

from __future__ import annotations

import io
import json
import socket
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx

# What no answer may hold: the content of a file beside the studio's folder.
SECRET = "the-secret-beside-the-runs"
# Requests at once, and seconds in which the studio answers; machines that do other things as well are slow.
AT_ONCE, ANSWER_SECONDS = 40, 120.0
# What a path may be written as, to lead out of a folder.
CLIMBS = (
    "../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e/secret.txt",
    "..%252fsecret.txt",
    "....//secret.txt",
    "..\\secret.txt",
    "..%5csecret.txt",
    "%00../secret.txt",
    "photo/../../secret.txt",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "../../../../../../etc/passwd",
)
ODD_NAMES = (
    "",
    ".",
    "..",
    "a\x00b",
    "a\r\nSet-Cookie: x=1",
    "\x1b[31mred",
    "a" * 5000,
    "\u202egnp.exe",
    "-rf",
    "photo ",
)


@dataclass
class Attacker:
    """`address`: of the studio. `secret`: a file that nobody may read. `runs`: the studio's folder of runs."""

    address: str
    secret: Path
    runs: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.address, timeout=ANSWER_SECONDS, trust_env=False)

    def leaks(self, answer: httpx.Response) -> bool:
        """Whether an answer holds what nobody may read."""
        return SECRET in answer.text or "root:x:0" in answer.text

    def judge(self, what: str, answer: httpx.Response, *, refused: bool = True) -> Iterator[str]:
        """What is wrong with an answer to an attack: it leaks, fails, shows a traceback, or was not refused."""
        if self.leaks(answer):
            yield f"{what}: the answer holds the secret"
        if answer.status_code >= 500 and not answer.text.startswith('{"error":'):
            # (Gradio says 500 where a function refuses what it is given.)
            yield f"{what}: fails with {answer.status_code}"
        if "Traceback" in answer.text or (str(self.runs) in answer.text and not what.startswith("upload")):
            # (Gradio tells a browser where its own upload lies.)
            yield f"{what}: the answer tells of the server's insides"
        if refused and answer.status_code < 400:
            yield f"{what}: answered with {answer.status_code}"


Attack = Callable[[Attacker], Iterator[str]]


def traversal(by: Attacker) -> Iterator[str]:
    """Paths that climb, in every route with a name."""
    for route in ("/studio/runs/{}/facts", "/studio/runs/{}", "/studio/runs/photo/{}", "/studio/static/{}", "/run/{}"):
        for climb in CLIMBS:
            path = route.format(climb)
            # A client would resolve the dots; the bytes are sent as they are.
            yield from by.judge(path, by.client.send(_raw(by, path)), refused=False)
    for route in ("file={}", "file/{}", "proxy={}", "download_hf_space={}"):
        for target in (
            str(by.secret),
            "http://a.example/a.png",
            "/etc/passwd",
            f"file://{by.secret}",
            by.address + "/studio/runs",
            *CLIMBS[:3],
        ):
            path = "/gradio_api/" + route.format(quote(target, safe="/:"))
            answer = by.client.get(path)
            yield from by.judge(path, answer, refused="proxy" in route or target.startswith("/"))
    for name in ODD_NAMES:
        answer = by.client.get(f"/studio/runs/{quote(name)}/facts")
        yield from by.judge(f"name {name[:20]!r}", answer, refused=bool(name.strip(".")))
        if "set-cookie" in answer.headers and "x=1" in answer.headers["set-cookie"]:
            yield f"name {name[:20]!r}: writes a header"


def forged_uploads(by: Attacker) -> Iterator[str]:
    """Calls of the page's functions that name a file of the server as what was uploaded."""
    config = by.client.get("/config").json()
    functions = [entry for entry in config["dependencies"] if entry.get("api_visibility") != "private"]
    forged = {"path": str(by.secret), "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    other = {"path": "/etc/passwd", "url": f"file://{by.secret}", "meta": {"_type": "gradio.FileData"}}
    elsewhere = {"path": "http://198.51.100.7/a.png", "url": "http://a.example/a.png", "meta": forged["meta"]}
    for entry in functions:
        for value in (forged, other, elsewhere, [forged], str(by.secret), {"a": [[]] * 9}, None):
            data = [value] * len(entry.get("inputs", []))
            answer = by.client.post(
                "/gradio_api/queue/join",
                json={"data": data, "fn_index": entry["id"], "session_hash": "attack", "trigger_id": None},
            )
            yield from by.judge(f"function {entry['id']}", answer, refused=False)
            if by.client.get("/studio/runs").status_code != 200:
                yield f"function {entry['id']}: the studio no longer answers"
                return
    for entry in functions[:5]:
        answer = by.client.post(f"/gradio_api/run/{entry.get('api_name') or entry['id']}", json={"data": [forged]})
        yield from by.judge(f"direct call {entry['id']}", answer, refused=False)


def other_sites(by: Attacker) -> Iterator[str]:
    """Requests that a page of another site makes a browser send, also from a sandbox and by a form."""
    post = "/studio/runs/photo/delete"
    evil = {"origin": "http://evil.example"}
    cross = {"sec-fetch-site": "cross-site"}
    for headers in (
        evil,
        {"origin": "null"},
        {"origin": "null", **cross, "sec-fetch-mode": "navigate"},
        {**cross, "sec-fetch-mode": "navigate", "content-type": "text/plain"},
        {**cross, "sec-fetch-mode": "no-cors"},
        {"origin": by.address.replace("http", "https") + ".evil.example"},
        {"host": "evil.example"},
    ):
        yield from by.judge(f"delete with {headers}", by.client.post(post, content="{}", headers=headers))
    for headers in (evil, {"host": "evil.example"}, {**cross, "sec-fetch-mode": "cors"}):
        yield from by.judge(f"read with {headers}", by.client.get("/studio/runs", headers=headers))
    allowed = by.client.options("/studio/runs", headers={**evil, "access-control-request-method": "POST"})
    if "access-control-allow-origin" in allowed.headers:
        yield "another site is allowed to read"
    page = by.client.get("/")
    if "frame-ancestors 'self'" not in page.headers.get("content-security-policy", ""):
        yield "the page can be framed"
    if not (by.runs / "photo").is_dir():
        yield "the run was deleted by another site"


def bodies(by: Attacker) -> Iterator[str]:
    """Bodies that are too large, too slow, no JSON, or JSON of other types."""
    for route in ("/studio/runs/photo/rename", "/studio/runs/photo/exports", "/studio/runs/photo/describe"):
        for body in (b"", b"{", b"[]", b"5", b"null", b"[" * 100_000, b'{"tags": 5}', b"\xff\xfe",
                     b'{"scale": "x"}', b'{"cells": 1e999}', b'{"scale": NaN}', b'{"label": {}}', b'{"to": "../x"}',
                     b'{"to": "a\\u0000b"}', b'{"to": "<script>alert(1)</script>"}', b'{"options": 5}'):  # fmt: skip
            yield from by.judge(f"{route} {body[:24]!r}", by.client.post(route, content=body), refused=False)
    for name, body in (("at once", bytes(20 << 20)), ("in chunks", (bytes(1 << 20) for _ in range(20)))):
        # The connection may be closed before all of it has gone.
        with suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            yield from by.judge(f"20 MB {name}", by.client.post("/studio/runs/photo/rename", content=body))
    with socket.create_connection(_place(by), ANSWER_SECONDS) as one:
        one.sendall(b"POST /studio/runs/photo/rename HTTP/1.1\r\nHost: localhost\r\n")
        one.sendall(b"Content-Length: %d\r\n\r\n{}" % (1 << 50))
        if not one.recv(64).startswith(b"HTTP/1.1 413"):
            yield "a petabyte is waited for"
    slow = [socket.create_connection(_place(by), ANSWER_SECONDS) for _ in range(AT_ONCE)]
    try:
        for one in slow:
            one.sendall(b"POST /studio/runs/photo/rename HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
        if by.client.get("/studio/runs").status_code != 200:
            yield "slow bodies stop the studio"
    finally:
        for one in slow:
            one.close()


def at_once(by: Attacker) -> Iterator[str]:
    """Many visitors who ask for the same costly things."""
    asked = [
        "/studio/runs",
        "/studio/jobs",
        "/studio/view/photo?x0=0&y0=0&x1=1&y1=1&w=64&h=64",
        "/studio/view/photo?x0=0&y0=0&x1=1&y1=1&w=100000&h=100000",
        "/studio/runs/photo/facts",
        "/studio/runs/photo/thumbnail.webp",
        "/studio/orbit/photo?azimuth=1e400&elevation=0&distance=1&side=64",
        "/compare?run=photo&run=photo",
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(by.client.get, asked * 5))
    for path, answer in zip(asked * 5, answers):
        yield from by.judge(path, answer, refused="100000" in path)


def uploads(by: Attacker) -> Iterator[str]:
    """Uploads of scripts, of names that climb, and of bombs. What is handed out again must not run."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for name, content in (
        ("a.svg", svg),
        ("a.html", b"<script>alert(1)</script>"),
        ("../../../climbed.png", b"x"),
        ("/etc/climbed.png", b"x"),
        ("a\r\nb.png", b"x"),
        ("\x1b[31m.png", b"x"),
        ("a" * 4000 + ".png", b"x"),
        ("bomb.zip", _bomb()),
    ):
        answer = by.client.post("/gradio_api/upload", files={"files": (name, io.BytesIO(content))})
        yield from by.judge(f"upload of {name[:20]!r}", answer, refused=False)
        for path in answer.json() if answer.status_code == 200 else []:
            if not Path(path).resolve().is_relative_to(by.runs / ".uploads"):
                yield f"upload of {name[:20]!r} lies at {path}"
            shown = by.client.get(f"/gradio_api/file={quote(path)}")
            kind = shown.headers.get("content-type", "")
            runs = kind.startswith(("text/html", "image/svg", "application/xhtml", "text/xml"))
            if shown.status_code == 200 and runs and "attachment" not in shown.headers.get("content-disposition", ""):
                yield f"upload of {name[:20]!r} is shown as {kind}"
    for place in (by.runs.parent, by.runs, Path("/etc")):
        if (place / "climbed.png").exists():
            yield f"an upload climbed to {place}"


def headers(by: Attacker) -> Iterator[str]:
    """Requests whose headers are broken, doubled or endless."""
    for lines in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /studio/runs HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /studio/runs HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"studio_visitor=\x00\xff;" * 50 + b"\r\n\r\n",
    ):
        with socket.create_connection(_place(by), ANSWER_SECONDS) as one:
            answer = b""
            # Some are cut off in the middle of what they say.
            with suppress(ConnectionError):
                one.sendall(lines)
                one.shutdown(socket.SHUT_WR)
                answer = one.makefile("rb").read(1 << 16)
        status = answer.split(b" ", 2)[1:2]
        if status and status[0].startswith(b"5"):
            yield f"{lines[:40]!r}: fails with {status[0].decode()}"
        if b"evil.example" in lines and status == [b"200"]:
            yield f"{lines[:40]!r}: answered under another name"


ATTACKS: tuple[Attack, ...] = (traversal, forged_uploads, other_sites, bodies, at_once, uploads, headers)


def _place(by: Attacker) -> tuple[str, int]:
    url = httpx.URL(by.address)
    return "127.0.0.1", url.port or 80


def _raw(by: Attacker, path: str) -> httpx.Request:
    request = by.client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode("latin-1", "replace"))
    return request


def _bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.png", bytes(30 << 20))
        opened.writestr("../../climbed.png", b"x")
        opened.writestr("transforms.json", json.dumps({"frames": []}))
    return content.getvalue()
