"""Attack a studio, look for outgoing connections, and list packages with their licences and known faults.

    python -m benchmarks.trust.security [--only TEXT] [--json] [--store]
    python -m benchmarks.trust.security --packages      licences, and pip-audit where it is installed

The studio is served by this process, with a run and a secret file beside its folder.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.trust.attacks import ATTACKS, SECRET, Attacker
from benchmarks.trust.page import finish
from benchmarks.trust.sound_files import FIXTURES

# Seconds in which the studio begins to answer.
START_SECONDS = 180.0
# What a licence may not be for the wheel to be given away under ours.
COPYLEFT = ("GPL", "GENERAL PUBLIC LICENSE")


def put_targets(folder: Path) -> tuple[Path, Path]:
    """Put a run called photo, and a secret beside the folder of runs. Returns both places."""
    runs, secret = folder / "runs", folder / "secret.txt"
    runs.mkdir(exist_ok=True)
    if not (runs / "photo").is_dir():
        shutil.copytree(FIXTURES / "image-hashgrid", runs / "photo")
    secret.write_text(SECRET)
    return runs, secret


@contextmanager
def served(folder: Path) -> Iterator[Attacker]:
    """A studio in a folder, and who attacks it."""
    import uvicorn

    from apps.studio.server import Studio, make_app

    runs, secret = put_targets(folder)
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    config = uvicorn.Config(
        make_app(Studio.at(runs)), host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    begun = time.monotonic()
    while not server.started:
        if time.monotonic() - begun > START_SECONDS:
            raise TimeoutError("the studio did not start")
        time.sleep(0.05)
    try:
        yield Attacker(f"http://localhost:{port}", secret, runs.resolve())
    finally:
        server.should_exit = True
        thread.join(30)


def outgoing(arguments: list[list[str]], folder: Path) -> list[str]:
    """Connections that commands try to make to anywhere else than this machine."""
    found: list[str] = []
    for command in arguments:
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, *command],
            capture_output=True,
            text=True,
            cwd=folder,
            env=None,
        )
        found += [f"{' '.join(command[:2])}: {line}" for line in done.stderr.splitlines() if line.startswith("OUT ")]
        if done.returncode:
            found.append(f"{' '.join(command[:2])}: {done.stderr.strip().splitlines()[-1:]}")
    return found


# A program that says what it connects to, or whose name it asks for, besides this machine.
WATCHED = """
import sys
def hook(event, values):
    if event in ("socket.connect", "socket.sendto") and isinstance(values[1], tuple):
        host = str(values[1][0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = str(values[0])
    else:
        return
    if host not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "None"):
        print("OUT", event, host, file=sys.stderr, flush=True)
        raise OSError("no connections here")
sys.addaudithook(hook)
from apps.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def licences() -> list[dict]:
    """Name, version and licence of every installed package, and whether ours may stand beside it."""
    rows = []
    for package in distributions():
        data = package.metadata
        told = next((data[name] for name in ("License-Expression", "License") if name in data and data[name]), "")
        classifiers = [
            text.rpartition("::")[2].strip() for text in data.get_all("Classifier") or () if "License" in text
        ]
        # Some have the whole text where the name belongs.
        licence = told if 0 < len(told) < 80 else "; ".join(classifiers) or told[:80].partition("\n")[0]
        loud = licence.upper()
        strict = any(word in loud for word in COPYLEFT) and not any(word in loud for word in ("LESSER", "LGPL"))
        row = {"name": data["Name"], "version": package.version, "licence": licence or "not said", "copyleft": strict}
        rows.append(row)
    return sorted(rows, key=lambda row: row["name"].lower())


def audit() -> str:
    """What pip-audit says of the installed packages, or why it could not be asked."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--timeout", "15"],
            capture_output=True,
            text=True,
            timeout=240,
        )
    except subprocess.TimeoutExpired:
        return "pip-audit did not answer within 240 s"
    if "No module named" in done.stderr:
        return "pip-audit is not installed: python -m pip install pip-audit"
    lines = done.stdout.strip().splitlines()
    skipped = sum("could not be audited" in line for line in lines)
    about = [line for line in lines if line and not line.startswith(("Name", "-"))]
    found = [line for line in about if "could not be audited" not in line]
    if skipped > len(found):
        return f"pip-audit could not ask about {skipped} of them: there is no connection to its data here"
    return "; ".join(found[:40]) or "pip-audit knows of no fault in them"


def attack(only: str = "") -> dict:
    """Try all attacks. Returns the report."""
    begun = time.perf_counter()
    rows, faults = [], []
    with tempfile.TemporaryDirectory(prefix="trust-security-") as folder:
        with served(Path(folder)) as attacker:
            for one in ATTACKS:
                if only in one.__name__:
                    found = list(dict.fromkeys(one(attacker)))
                    rows.append({"id": one.__name__, "faults": len(found)})
                    faults += [f"{one.__name__}: {fault}" for fault in found]
        if only in "outgoing":
            commands = [
                ["fit", "skimage:camera", "--steps", "3", "--set", "levels=4", "--out", "run"],
                ["export", "run", "out.png"],
                ["export", "run", "page.html"],
                ["info", "run"],
                ["doctor"],
            ]
            found = outgoing(commands, Path(folder))
            rows.append({"id": "outgoing connections", "faults": len(found)})
            faults += found
    seconds = round(time.perf_counter() - begun, 1)
    return {"benchmark": "trust-security", "rows": rows, "faults": faults, "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="only attacks with this in their name")
    parser.add_argument("--packages", action="store_true", help="licences and known faults of the installed packages")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--store", action="store_true", help="keep the report for docs/results/trust.md")
    options = parser.parse_args()
    if options.packages:
        rows = licences()
        for row in rows:
            note = "   <-- copyleft" if row["copyleft"] else ""
            print(f"{row['name']:32} {row['version']:18} {row['licence']}{note}")
        text = audit()
        print(text)
        report = {"benchmark": "trust-packages", "rows": rows, "audit": text, "faults": []}
    else:
        report = attack(options.only)
        for fault in report["faults"]:
            print(fault)
        print(f"{len(report['rows'])} kinds of attacks, {len(report['faults'])} faults; {report['seconds']:.0f} s")
    finish(report, options)
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
