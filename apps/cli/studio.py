"""Open the studio: a page in the browser where fields are fitted, inspected, compared and exported.

It is served to this machine only, unless --host says otherwise. Then it needs a --password, which travels unencrypted:
put it behind an HTTPS proxy on networks that others use. Runs are in --runs, and uploads in a hidden folder inside it.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from apps.cli.flags import OUTPUT, argument_type, group
from apps.cli.runs import RUNS
from apps.cli.terminal import has_display, show
from fields.options import count
from scenes.errors import BadInput

HELP = "open the studio in the browser"
EPILOG = """\
examples:
  fit-a-scene studio
  fit-a-scene studio --port 8000 --runs /data/runs --no-browser
  fit-a-scene studio --host 0.0.0.0 --password ...
"""
# Names of this machine for itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 7860
# Ports that are tried, from the one that was asked for.
NUM_PORTS = 20
MIN_PASSWORD_LENGTH = 8
# Seconds within which the studio answers, on slow machines too, and between looks whether it does.
START_SECONDS, POLL_SECONDS = 120.0, 0.25


def arguments(parser: argparse.ArgumentParser) -> None:
    place = group(parser, "address")
    place.add_argument(
        "--port",
        type=argument_type(count),
        default=DEFAULT_PORT,
        metavar="N",
        help=f"Port it listens on (default {DEFAULT_PORT}, or the next that is free).",
    )
    place.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="Address it listens on (default 127.0.0.1: this machine only).",
    )
    place.add_argument(
        "--password",
        metavar="P",
        help="Password that a browser has to give; needed for other machines, with at least "
        f"{MIN_PASSWORD_LENGTH} characters.",
    )
    group(parser, "source").add_argument(
        "--runs", type=Path, default=RUNS, metavar="DIR", help="The folder of runs (default runs)."
    )
    group(parser, OUTPUT).add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help="Do not open the page in the browser. Without a display it is not opened either.",
    )


def run(options: argparse.Namespace) -> dict:
    host, password = options.host, options.password
    if host not in LOOPBACK and not password:
        raise BadInput(f"`host={host}` lets other machines in: give a `password` too")
    if password and len(password) < MIN_PASSWORD_LENGTH:
        raise BadInput(f"`password`: give at least {MIN_PASSWORD_LENGTH} characters")
    port = free_port(host, options.port)
    try:
        options.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"`runs={options.runs}`: cannot be written ({reason}); give another folder") from None
    try:
        from apps.studio.server import serve
    except ModuleNotFoundError as error:
        raise BadInput(f"the studio needs the package {error.name}: pip install 'field-studio[studio]'") from None

    address = f"http://{_shown_host(host)}:{port}"
    print(f"Field Studio   {address}   (stop it with Ctrl-C; runs in {options.runs})", file=sys.stderr, flush=True)
    if options.browser and has_display():
        Thread(target=_show_when_served, args=(address, host, port), daemon=True).start()

    def show_owner(path: str) -> None:
        print(f"Owner’s view   {address}{path}   (everybody’s jobs)", file=sys.stderr, flush=True)

    hosts = LOOPBACK if host in LOOPBACK else None
    serve(host, port, password=password, runs=options.runs, hosts=hosts, show_owner=show_owner)
    return {"address": address}


def free_port(host: str, wanted: int) -> int:
    """The port `wanted`, or the first free one of the next 20.

    Raises BadInput where none is free, or the address is not this machine's.
    """
    reason: object = "there is no such port"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(wanted, min(wanted + NUM_PORTS, 1 << 16)):
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except OSError as error:
                reason = error.strerror or error
                continue
            return port
    raise BadInput(f"cannot listen on {host}:{wanted} ({reason}); give another `host` or `port`")


def _show_when_served(address: str, host: str, port: int) -> None:
    """Open the page once the port answers. It gives up where that takes longer than a start ever took."""
    reachable = "127.0.0.1" if host == "0.0.0.0" else host
    for _ in range(int(START_SECONDS / POLL_SECONDS)):
        with suppress(OSError), socket.create_connection((reachable, port), timeout=POLL_SECONDS):
            show(address)
            return
        time.sleep(POLL_SECONDS)


def _shown_host(host: str) -> str:
    """The name under which a browser finds the studio."""
    if host in ("127.0.0.1", "::1"):
        return "localhost"
    return socket.gethostname() if host == "0.0.0.0" else host
