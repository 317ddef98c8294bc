"""Use an installed package as its users do, outside of the repository: fit, export, the studio; nothing is stubbed.

`python tools/try_wheel.py` with the Python of the environment that the wheel was installed into.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

# Seconds until the studio answers.
PATIENCE = 120
RUNTIMES = """
import re, torch, fields.ops.mlp, cuda_ext
library = cuda_ext.load()
torch.ones(2048, 2048) @ torch.ones(2048, 2048)
maps = open("/proc/self/maps").read()
runtimes = sorted(set(re.findall(r"\\S*/lib(?:gomp|iomp5|omp)[^/\\s]*\\.so\\S*", maps)))
print(len(runtimes), library.fs_shares_openmp(), cuda_ext.__file__)
"""


def command() -> Path:
    """The command `fit-a-scene` of this environment."""
    return Path(sysconfig.get_path("scripts")) / ("fit-a-scene.exe" if os.name == "nt" else "fit-a-scene")


def run(*arguments: str, folder: str) -> dict:
    """Run the command with --json and return what it reports."""
    done = subprocess.run([command(), *arguments, "--json"], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def check_one_openmp(folder: str) -> None:
    """torch and the native library share one OpenMP runtime, and the library is the installed one."""
    done = subprocess.run([sys.executable, "-c", RUNTIMES], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    count, shares, path = done.stdout.split(maxsplit=2)
    assert (count, shares) == ("1", "1"), f"{count} OpenMP runtimes, of which the native library shares {shares}"
    assert Path(path.strip()).is_relative_to(sysconfig.get_path("platlib")), f"the package is that of {path}"


def check_studio(folder: str) -> None:
    """The studio answers with its page."""
    said = Path(folder) / "studio.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            [command(), "studio", "--port", "17860", "--no-browser"],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE:
            assert process.poll() is None, f"the studio ended: {said.read_text()}"
            address = re.search(r"http://\S+", said.read_text())
            with suppress(OSError):
                if address and b"Field Studio" in urllib.request.urlopen(address[0], timeout=PATIENCE).read():
                    return
            time.sleep(0.5)
        raise AssertionError(f"the studio did not answer: {said.read_text()}")
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    """Try everything; the first failure ends it with a traceback."""
    with tempfile.TemporaryDirectory() as folder:
        if sys.platform == "linux":
            check_one_openmp(folder)
        report = run("fit", "skimage:astronaut", "--steps", "60", "--out", "run", folder=folder)
        assert report["backend"] == "native-cpu", report
        assert report["metrics"]["psnr"] > 18, report
        exported = Path(folder) / "out.png"
        run("export", "run", str(exported), folder=folder)
        assert exported.read_bytes().startswith(b"\x89PNG"), "no picture was exported"
        with_studio = "--no-studio" not in sys.argv
        if with_studio:
            check_studio(folder)
    works = "fit, export and studio work" if with_studio else "fit and export work"
    print(f"{works}: {report['metrics']['psnr']:.1f} dB in {report['steps']} steps")


if __name__ == "__main__":
    main()
