"""Access control of the studio: ASGI middleware around everything that is served."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Names of this machine for itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Content security policy of every response: nothing is fetched from another host, even if a library asks for it.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'; form-action 'self'"
)
# Methods that change nothing.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Wrong passwords that an address may try in so many seconds, and addresses that are remembered.
MAX_GUESSES, GUESS_SECONDS, MAX_ADDRESSES = 10, 60.0, 4096
# Bytes of the body of a request: of uploads, which the tabs limit further, and of all others.
UPLOADS = "/gradio_api/upload"
MAX_UPLOAD_BYTES, MAX_BODY_BYTES = (2 << 30) + (64 << 20), 16 << 20
# Seconds in which the next part of a body arrives.
BODY_SECONDS = 30.0
Headers = list[tuple[bytes, bytes]]
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class AccessControl:
    """Answer only requests that name this host, come from the studio's own pages and bring the password.

    Another site's page that is open in the same browser can send requests here. They carry its Origin and are refused.
    So are requests under another site's name that was made to point to this machine (DNS rebinding). Bodies that are
    too large or too slow are cut off.

    `password`: None where none is needed. `hosts`: the names that are answered to; None: any.
    """

    def __init__(self, app: ASGIApp, password: str | None, hosts: tuple[str, ...] | None) -> None:
        self.app = app
        self.password = password
        self.hosts = hosts
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        host = headers.get("host", "")
        if self.hosts is not None and urlsplit(f"//{host}").hostname not in self.hosts:
            await _refuse(scope, send, 403, f"this studio answers to {', '.join(self.hosts)}")
        elif not _from_here(scope, headers, host):
            await _refuse(scope, send, 403, "requests from other sites are not answered")
        elif self.password is not None and (seconds := self._guesses.locked(_address(scope))):
            text = f"too many wrong passwords; try again in {seconds:.0f} s"
            await _refuse(scope, send, 429, text, [(b"retry-after", f"{seconds:.0f}".encode())])
        elif not self._has_password(headers.get("authorization", "")):
            if headers.get("authorization"):
                self._guesses.add(_address(scope), headers["authorization"])
            text = "this studio needs its password (any user name)"
            await _refuse(scope, send, 401, text, [(b"www-authenticate", b'Basic realm="studio"')])
        else:

            async def send_securely(message: Message) -> None:
                await send(_with_security_headers(message))

            await self.app(scope, _limited(scope, headers, receive), send_securely)

    def _has_password(self, authorization: str) -> bool:
        if self.password is None:
            return True
        scheme, _, value = authorization.partition(" ")
        try:
            given = base64.b64decode(value, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        # Digests have one length, so that the time tells nothing of the password's.
        return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(self.password.encode()).digest())


class Guesses:
    """Counts the different wrong passwords of each address, so that trying many takes long.

    The same one again is no new guess: a browser sends it with every request of a page.
    """

    def __init__(self) -> None:
        self._tried: OrderedDict[str, dict[bytes, float]] = OrderedDict()

    def add(self, address: str, authorization: str) -> None:
        """Note a wrong password."""
        tried = self._tried.setdefault(address, {})
        self._tried.move_to_end(address)
        tried[hashlib.sha256(authorization.encode()).digest()] = time.monotonic()
        while len(self._tried) > MAX_ADDRESSES:
            self._tried.popitem(last=False)

    def locked(self, address: str) -> float:
        """Seconds until the address may try again; 0 where it may now."""
        now = time.monotonic()
        recent = {key: when for key, when in self._tried.get(address, {}).items() if now - when < GUESS_SECONDS}
        if address in self._tried:
            self._tried[address] = recent
        return GUESS_SECONDS - (now - min(recent.values())) if len(recent) >= MAX_GUESSES else 0.0


def _address(scope: Scope) -> str:
    """Who asks: the address, and of the sixth version of the protocol the network, all of which is one person's."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


def _from_here(scope: Scope, headers: dict[str, str], host: str) -> bool:
    """Whether a request comes from one of our pages, from a program, or is a link that somebody followed to here."""
    safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
    site = headers.get("sec-fetch-site")
    if site == "cross-site" and not (safe and headers.get("sec-fetch-mode") == "navigate"):
        return False
    origin = headers.get("origin")
    if origin == "null":
        # Of pages that must not say where they are from, such as frames in a sandbox of another site.
        return safe or site in ("same-origin", "none")
    return origin in (None, f"http://{host}", f"https://{host}")


def _limited(scope: Scope, headers: dict[str, str], receive: Receive) -> Receive:
    """`receive`, which raises HTTPException where the body of a request is too large or comes too slowly."""
    if scope["type"] != "http":
        return receive
    most = MAX_UPLOAD_BYTES if scope["path"] == UPLOADS else MAX_BODY_BYTES
    stated = headers.get("content-length", "")
    arrived, whole = 0, False

    async def limited() -> Message:
        nonlocal arrived, whole
        if whole:
            # What comes now is that the browser has gone, at any time.
            return await receive()
        if stated.isdecimal() and int(stated) > most:
            raise HTTPException(413, f"at most {most >> 20} MB are taken")
        try:
            message = await asyncio.wait_for(receive(), BODY_SECONDS)
        except TimeoutError:
            raise HTTPException(408, "the rest of the request did not come") from None
        if message["type"] == "http.request":
            arrived += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if arrived > most:
                raise HTTPException(413, f"at most {most >> 20} MB are taken")
        return message

    return limited


def _with_security_headers(message: Message) -> Message:
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*message.get("headers", []), *SECURITY_HEADERS]}


async def _refuse(scope: Scope, send: Send, status: int, text: str, headers: Headers | None = None) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    plain = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *(headers or [])]})
    await send({"type": "http.response.body", "body": text.encode()})
