"""Open the studio: a page in the browser where fields are fitted, looked at, compared and exported.

It is served to this machine only, unless --host says otherwise; then it wants a --password, which travels unencrypted: put it behind
an HTTPS proxy on networks that others use. Runs lie in --runs, uploads in a hidden folder inside that.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from apps.cli import types
from scenes.errors import BadInput

HELP = "open the studio in the browser"
EPILOG = """\
examples:
  fit-a-scene studio
  fit-a-scene studio --port 8000 --runs /data/runs
  fit-a-scene studio --host 0.0.0.0 --password ...
"""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=types.count,
        default=7860,
        metavar="N",
        help="where it listens (default 7860, or the next that is free)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="the address it listens on (default 127.0.0.1: this machine only)",
    )
    parser.add_argument(
        "--password",
        metavar="P",
        help=f"what a browser is asked for; needed beyond this machine, at least {SHORTEST} characters",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="the folder of runs (default runs)"
    )


def run(options: argparse.Namespace) -> dict:
    if options.host not in LOOPBACK and not options.password:
        raise BadInput(f"--host {options.host} lets other machines in: give a --password too")
    if options.password and len(options.password) < SHORTEST:
        raise BadInput(f"--password: give at least {SHORTEST} characters")
    port = free_port(options.host, options.port)
    try:
        options.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"--runs {options.runs}: cannot be written ({error.strerror or error}); give another folder"
        ) from None
    try:
        from apps.studio.server import serve
    except ModuleNotFoundError as error:
        raise BadInput(f"the studio needs the package {error.name}: pip install 'field-studio[studio]'") from None

    shown = (
        "localhost"
        if options.host in ("127.0.0.1", "::1")
        else options.host
        if options.host != "0.0.0.0"
        else socket.gethostname()
    )
    address = f"http://{shown}:{port}"
    print(f"Field Studio   {address}   (Ctrl-C ends it; runs in {options.runs})", file=sys.stderr, flush=True)
    serve(options.host, port, options.password, options.runs)
    return {"address": address}


def free_port(host: str, wanted: int) -> int:
    """The port, or one of the next 20; BadInput where none is free or the address is not this machine's."""
    for port in range(wanted, min(wanted + 20, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except (OSError, OverflowError) as error:
                problem = error
                continue
            return port
    raise BadInput(
        f"cannot listen on {host}:{wanted} ({getattr(problem, 'strerror', None) or problem}); give another --host or --port"
    )
