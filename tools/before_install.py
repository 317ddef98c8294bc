"""What would stop an installation, said in one line before it starts.

`make` runs this with the system's Python, so that it needs the standard library alone and parses on Python 3.6.
"""

import os
import re
import shutil
import subprocess
import sys

OLDEST_PYTHON = (3, 11)
# Of the compilers that have vectors with shuffles by index.
OLDEST_COMPILERS = {"gcc": 12, "clang": 14}
MODERN = " or ".join(f"{name} {version}" for name, version in OLDEST_COMPILERS.items())
# Bytes that .venv and build need: torch for the CPU has 0.9 GB, everything else 1.2 GB, pip's downloads 0.7 GB.
NEEDED_BYTES = 3000000000
# A package manager and how it installs a compiler.
COMPILER_PACKAGES = {
    "apt-get": "apt install g++ make",
    "dnf": "dnf install gcc-c++ make",
    "zypper": "zypper install gcc-c++ make",
    "pacman": "pacman -S gcc make",
    "apk": "apk add g++ make",
    "brew": "xcode-select --install",
}
WHEEL = "or install a wheel, which needs no compiler (docs/install.md)"


def install_hint():
    """How this system installs a compiler."""
    for manager, command in COMPILER_PACKAGES.items():
        if shutil.which(manager):
            return command
    return f"install {MODERN}"


def compiler_version(compiler):
    """Name and major version of a compiler, or None where it does not run or is neither gcc nor clang."""
    try:
        said = subprocess.run([compiler, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    except OSError:
        return None
    found = re.search(r"clang version (\d+)", said)
    if found:
        # Apple counts its own versions, which are never below those of LLVM that they were made of.
        return "clang", int(found.group(1))
    found = re.search(r"\) (\d+)\.\d+", said)
    return ("gcc", int(found.group(1))) if found else None


def wrong_python(version=sys.version_info):
    """Python is too old."""
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return None
    return (
        f"Python {version[0]}.{version[1]} is too old: Field Studio needs 3.11 or newer. Name another one: "
        "make fit PYTHON=python3.12"
    )


def missing_venv(folder=".venv"):
    """Debian's Python comes without what makes virtual environments."""
    if os.path.exists(os.path.join(folder, "bin", "pip")) or shutil.which("uv"):
        return None
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return f"this Python has no venv module: apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return None


def wrong_compiler(compiler=None):
    """There is no compiler, or an old one."""
    names = [compiler or os.environ.get("CXX", "")] if compiler or os.environ.get("CXX") else ["c++", "g++", "clang++"]
    found = next((name for name in names if shutil.which(name.split()[0])), None)
    if found is None:
        return f"no C++ compiler (looked for {', '.join(names)}): {install_hint()}; {WHEEL}"
    known = compiler_version(found.split()[-1] if "ccache" in found else found.split()[0])
    if known and known[1] < OLDEST_COMPILERS[known[0]]:
        name, version = known
        return f"{name} {version} is too old: the kernels need {MODERN}. Set CXX to a newer one, {WHEEL}"
    return None


def bytes_in(folder):
    """Bytes of the files in a folder, 0 where there is none."""
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_size for file in files)


def no_room(folder=".", needed=NEEDED_BYTES):
    """The folder cannot be written to, or its disk is nearly full."""
    if not os.access(folder, os.W_OK):
        return f"{os.path.abspath(folder)} cannot be written to: clone the repository into a folder of your own"
    if os.path.exists(os.path.join(folder, ".venv", "installed")):
        return None
    free = shutil.disk_usage(folder).free
    # What an interrupted installation has left is not needed again, but for downloads and what is being unpacked.
    needed = max(needed - bytes_in(os.path.join(folder, ".venv")), needed // 3)
    if free < needed:
        return (
            f"{os.path.abspath(folder)} has {free / 1e9:.1f} GB free, and an installation needs about "
            f"{needed / 1e9:.1f} GB"
        )
    return None


def main():
    """Print the first obstacle and end with status 2, or print nothing."""
    for obstacle in (wrong_python, missing_venv, wrong_compiler, no_room):
        message = obstacle()
        if message:
            sys.stderr.write("error: " + message + "\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
