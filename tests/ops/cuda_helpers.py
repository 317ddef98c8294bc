"""Help for the tests of CUDA kernels: a mark for GPU tests, kernels compiled for the host, and the headers."""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import cuda_ext
from fields.ops import cuda_calls

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "cuda_ext" / "csrc"
HOST = torch.device("cpu", 0)
# Skips itself without a GPU (tests/conftest.py); `-m gpu` chooses these tests.
on_gpu = pytest.mark.gpu
C_TYPES = {"int": ctypes.c_int, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "const char*": ctypes.c_char_p}


# Definitions with which kernels are compiled for the host: atomic sums of vectors, and sorts of a few pairs at a time.
DEFINITIONS = {
    "hash_grid": ("-DFS_VECTOR_ATOMICS", "-DFS_PAIRS_SORTED_AT_ONCE=256"),
    "factor_grid": ("-DFS_VECTOR_ATOMICS", "-DFS_PAIRS_SORTED_AT_ONCE=1024"),
    "rbf": ("-DFS_RBF_PAIRS_AT_ONCE=128",),
}


def compiled_for_host(tmp_path_factory, name: str) -> ctypes.CDLL:
    """The library compiled from `cuda_on_host/NAME.cpp`; skips the test without a C++ compiler.

    Objects of an earlier run, or of another test's, come from ccache's store where there is one.
    """
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp(name)
    here = Path(__file__).parent / "cuda_on_host"
    launcher = [ccache] if (ccache := shutil.which("ccache")) else []
    options = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", *DEFINITIONS.get(name, ())]
    options += [f"-I{here}", f"-I{CSRC}"]
    command = [*launcher, compiler, *options, "-c", here / f"{name}.cpp", "-o", folder / "host.o"]
    environment = os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    subprocess.run([compiler, "-shared", folder / "host.o", "-o", folder / f"{name}_on_host.so"], check=True)
    return ctypes.CDLL(str(folder / f"{name}_on_host.so"))


def call_on_host(monkeypatch, library: ctypes.CDLL) -> None:
    """Send CUDA calls to the kernels that were compiled for the host, for the rest of the test."""
    monkeypatch.setattr(cuda_ext, "load", lambda device: library)
    monkeypatch.setattr(cuda_ext, "why_absent", lambda device: None)
    monkeypatch.setattr(cuda_calls, "stream", lambda device: 0)


class HostKernels:
    """Several libraries of kernels that were compiled for the host, as the one library that a GPU has."""

    def __init__(self, libraries: list[ctypes.CDLL]) -> None:
        self.libraries = libraries

    def __getattr__(self, name: str):
        for library in self.libraries:
            if hasattr(library, name):
                return getattr(library, name)
        raise AttributeError(name)


def c_type(text: str, types: dict = C_TYPES):
    """The ctypes type of a C type's name."""
    text = " ".join(text.split())
    return types.get(text) or (ctypes.c_void_p if text.endswith("*") else pytest.fail(f"unknown C type {text}"))


def declared_functions(header: str) -> dict:
    """{name: (result type, argument types)} of the functions in `csrc/cuda/HEADER`."""
    found = {}
    for result, name, arguments in re.findall(
        r"FS_API (.*?[ *])(fs_\w+)\(([^)]*)\);", (CSRC / "cuda" / header).read_text()
    ):
        types = [re.sub(r"\w+$", "", argument.strip()) for argument in arguments.split(",") if argument.strip()]
        found[name] = (c_type(result), [c_type(text) for text in types])
    return found


def struct_body(header: str, struct: str) -> str:
    """Text between the braces of `struct` in `csrc/common/HEADER`, without comments."""
    text = (CSRC / "common" / header).read_text()
    return re.sub(r"//.*", "", re.search(rf"struct {struct} \{{(.*?)\n\}};", text, re.S).group(1))


def declared_fields(header: str, struct: str) -> list:
    """Fields of a struct of numbers and pointers in `csrc/common/HEADER`, in the form of ctypes' `_fields_`."""
    fields = []
    for line in filter(None, (" ".join(part.split()) for part in struct_body(header, struct).split(";"))):
        kind, names = re.fullmatch(r"((?:const )?\w+[ *]+)(.*)", line).groups()
        fields += [(name.strip(), c_type(kind)) for name in names.split(",")]
    return fields
