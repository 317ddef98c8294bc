"""Open the studio: a page in the browser where fields are fitted, inspected, compared and exported.

It is served to this machine only, unless --host says otherwise. Then it needs a --password, which travels unencrypted:
put it behind an HTTPS proxy on networks that others use. Runs are in --runs, and uploads in a hidden folder inside it.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from apps.cli.flags import argument_type
from fields.options import count
from scenes.errors import BadInput

HELP = "open the studio in the browser"
EPILOG = """\
examples:
  fit-a-scene studio
  fit-a-scene studio --port 8000 --runs /data/runs
  fit-a-scene studio --host 0.0.0.0 --password ...
"""
# Names of this machine for itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 7860
# Ports that are tried, from the one that was asked for.
NUM_PORTS = 20
MIN_PASSWORD_LENGTH = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=argument_type(count),
        default=DEFAULT_PORT,
        metavar="N",
        help=f"port it listens on (default {DEFAULT_PORT}, or the next that is free)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="address it listens on (default 127.0.0.1: this machine only)",
    )
    parser.add_argument(
        "--password",
        metavar="P",
        help="password that a browser has to give; needed for other machines, with at least "
        f"{MIN_PASSWORD_LENGTH} characters",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="the folder of runs (default runs)"
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
    serve(host, port, password=password, runs=options.runs, hosts=LOOPBACK if host in LOOPBACK else None)
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


def _shown_host(host: str) -> str:
    """The name under which a browser finds the studio."""
    if host in ("127.0.0.1", "::1"):
        return "localhost"
    return socket.gethostname() if host == "0.0.0.0" else host
