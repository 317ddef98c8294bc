"""The CUDA hash grid against the formula: on a GPU where there is one, and its kernels compiled for the CPU anywhere.

The second shows whether they compute and co-operate as they should, not that a GPU runs them (`cuda_on_host`).
"""

import ctypes
import re
import shutil
import struct
import subprocess
import sys

import pytest
import torch
from cuda_helpers import HOST, ROOT, call_on_host, compiled_for_host, declared_fields, declared_functions, on_gpu
from ops_helpers import INTERPOLATIONS, KINDS, all_orders, assert_close, inner_points, small_layout

import cuda_ext
from fields.ops import cuda_calls, factor_grid_cuda, grid_mlp_cuda, hash_grid_cuda, mlp_cuda, ray_kernels_cuda, rbf_cuda
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import GridCall, hash_grid

operation = sys.modules["fields.ops.hash_grid"]


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "hash_grid", "-DFS_VECTOR_ATOMICS", "-DFS_PAIRS_SORTED_AT_ONCE=256")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Where the tensors live. On the CPU, calls go to the kernels that were compiled for it."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(operation, "_run", lambda name, call, _: hash_grid_cuda.run(name, call, HOST))
    return "cpu"


def uniform(count, dimensions, seed=0):
    return torch.rand(count, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_equals_the_formula(layout, interpolation, coords, dtype=torch.float64, tolerance=1e-12):
    ours = all_orders(layout, interpolation, "native", dtype, coords)
    formula = all_orders(layout, interpolation, "torch", torch.float64, coords)
    for name in formula:
        assert_close(ours[name].double(), formula[name], tolerance, name)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_equals_the_formula(dimensions, features, kind, interpolation, device):
    # Some points lie outside, and their number is no multiple of a block or a warp.
    coords = uniform(100, dimensions).to(device) * 1.2 - 0.1
    assert_equals_the_formula(small_layout(dimensions, features, kind), interpolation, coords)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions, features", [(1, 1), (2, 2), (2, 4), (3, 2), (3, 8), (4, 2)])
def test_float32_against_float64(dimensions, features, interpolation, device):
    layout = GridLayout(dimensions, 4, features, 4, 1.5, 1 << 7)
    coords = inner_points(layout, 500, torch.Generator().manual_seed(0), margin=0.01, dtype=torch.float32).to(device)
    assert_equals_the_formula(layout, interpolation, coords, torch.float32, 2e-5)


@pytest.mark.parametrize("dtype, exactness", [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)])
@pytest.mark.parametrize("dimensions, features", [(1, 1), (2, 2), (3, 4), (3, 8)])
def test_narrow_tables_against_float64(dimensions, features, dtype, exactness, device):
    layout = small_layout(dimensions, features)
    coords = inner_points(layout, 300, torch.Generator().manual_seed(0), margin=0.01, dtype=torch.float32).to(device)
    narrow = all_orders(layout, "linear", "native", torch.float32, coords, rounded=dtype, narrow=True)
    exact = all_orders(layout, "linear", "torch", torch.float64, coords.double(), rounded=dtype)
    for name in exact:
        tolerance = 2e-5 if name in ("features", "grad coords") else exactness
        assert_close(narrow[name].double(), exact[name], tolerance, name)


def test_float32_finds_the_cells_of_the_formula(device):
    layout = GridLayout(2, 16, 2, 16, 1.38, 1 << 15)
    coords, table = uniform(20000, 2).float().to(device), torch.randn(layout.entries, 2).to(device)
    assert_close(
        hash_grid(coords, table, layout, backend="native"), hash_grid(coords, table, layout, backend="torch"), 1e-5
    )


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions", (1, 2, 3))
def test_gradcheck(dimensions, interpolation, device):
    layout = GridLayout(dimensions, 2, 2, 2, 1.7, 16)
    random = torch.Generator().manual_seed(0)
    coords = inner_points(layout, 5, random, margin=0.05).to(device).requires_grad_()
    table = torch.randn(layout.entries, 2, dtype=torch.float64, generator=random).to(device).requires_grad_()

    def function(coords, table):
        return hash_grid(coords, table, layout, interpolation, backend="native")

    # Atomic sums differ in their last bits from run to run.
    how = {"nondet_tol": 1e-12, "fast_mode": device == "cpu"}
    assert torch.autograd.gradcheck(function, (coords, table), **how)
    assert torch.autograd.gradgradcheck(function, (coords, table), **how)


@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_borders(dimensions, device):
    edges = torch.tensor([0.0, 1.0, -0.25, 1.25, float("inf"), 0.3], dtype=torch.float64)
    coords = torch.cartesian_prod(*[edges] * dimensions).reshape(-1, dimensions).to(device)
    assert_equals_the_formula(small_layout(dimensions), "smoothstep", coords)


def test_nan_is_kept_in_bounds_and_visible(device):
    layout = small_layout(2)
    coords = uniform(70, 2)
    coords[3, 0] = coords[66, 1] = float("nan")
    table = torch.randn(layout.entries, 2, dtype=torch.float64)
    features = hash_grid(coords.to(device), table.to(device), layout, backend="native")
    assert features.isnan().any(-1).nonzero().flatten().tolist() == [3, 66]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 3))
def test_points_in_a_row_share_cells(dimensions, features, dtype, tolerance, device):
    """Warps add up their runs of equal cells before they add atomically: in whole warps and in the last one."""
    line = torch.linspace(0, 1, 107, dtype=torch.float64).repeat_interleave(3)[:, None]
    coords = (line * torch.linspace(0.3, 0.9, dimensions, dtype=torch.float64) + 0.05).to(dtype).to(device)
    assert_equals_the_formula(small_layout(dimensions, features), "linear", coords, dtype, tolerance)


@pytest.fixture
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", (2, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_deterministic_equals_the_formula(dimensions, features, kind, device, deterministic):
    coords = uniform(100, dimensions).to(device)
    assert_equals_the_formula(small_layout(dimensions, features, kind), "smoothstep", coords)


@pytest.mark.parametrize("shape", [(0, 2), (3, 0, 2), (2,), (2, 3, 4, 2)])
def test_shapes(shape, device):
    layout = small_layout(2)
    coords = torch.rand(shape, device=device, requires_grad=True)
    table = torch.randn(layout.entries, 2, device=device, requires_grad=True)
    features = hash_grid(coords, table, layout, backend="native")
    assert features.shape == (*shape[:-1], layout.outputs)
    features.square().sum().backward()
    assert coords.grad.shape == coords.shape
    assert bool(table.grad.abs().sum() > 0) == bool(coords.numel())


# What only a GPU can show.


@on_gpu
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 1e-3)])
def test_many_points(dtype, tolerance):
    layout = GridLayout(3, 16, 2, 16, 1.38, 1 << 15)
    coords = uniform(1 << 17, 3).to(dtype).cuda()
    table = torch.randn(layout.entries, 2, dtype=dtype).cuda().requires_grad_()
    grad = torch.randn(len(coords), layout.outputs, dtype=dtype).cuda()
    ours, formula = (
        torch.autograd.grad(hash_grid(coords, table, layout, backend=backend), table, grad)[0]
        for backend in ("native", "torch")
    )
    assert_close(ours, formula, tolerance)


@on_gpu
@pytest.mark.parametrize("count", (1 << 12, (1 << 20) + 7))  # the second is sorted in two parts
def test_deterministic_repeats_bit_for_bit(count, deterministic):
    layout = GridLayout(3, 4, 2, 4, 2.0, 1 << 12)
    coords = uniform(count, 3).float().cuda()
    table = torch.randn(layout.entries, 2).cuda().requires_grad_()
    grad = torch.randn(count, layout.outputs).cuda()
    first, *others = (
        torch.autograd.grad(hash_grid(coords, table, layout, backend="native"), table, grad)[0] for _ in range(4)
    )
    assert all(torch.equal(first, other) for other in others)
    (formula,) = torch.autograd.grad(
        hash_grid(coords.double(), table.double(), layout, backend="torch"), table, grad.double()
    )
    assert_close(first.double(), formula.double(), 1e-4)


@on_gpu
def test_runs_in_the_current_stream_and_on_parts_of_tensors():
    layout = small_layout(2, features=4)
    numbers = torch.randn(1 + layout.parameters, device="cuda")
    table = numbers[1:].view(layout.entries, 4)  # not aligned for vector loads
    coords = uniform(5000, 2).float().cuda()
    expected = hash_grid(coords, table, layout, backend="torch")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        features = hash_grid(coords, table, layout, backend="native")
    torch.cuda.current_stream().wait_stream(stream)
    assert_close(features, expected, 1e-5)


# The library, on any machine.


@pytest.fixture(scope="module")
def library_path():
    places = [*cuda_ext.candidates("cuda"), ROOT / "build" / "cuda" / "lib" / "libfield_studio_cuda.so"]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        pytest.skip("the CUDA library was not built (`make cuda`)")
    return path


@pytest.fixture(scope="module")
def library(library_path):
    return hash_grid_cuda.functions.declare(ctypes.CDLL(str(library_path)))


def test_library_is_of_this_interface(library):
    assert library.fs_abi() == cuda_ext.ABI
    assert library.fs_error(1).decode() == "invalid argument"


def test_library_needs_nothing_but_the_system(library_path):
    """No driver's library, which this machine may lack; no CUDA runtime of a certain version."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("needs readelf")
    listing = subprocess.run([readelf, "-d", library_path], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"NEEDED.*\[(.*)]", listing)
    assert needed and not [name for name in needed if not re.match(r"lib(c|m|dl|rt|pthread)\.|ld-linux", name)]


def test_library_shows_the_c_functions_alone(library_path):
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm")
    command = [nm, "-D", "--defined-only", library_path]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    libraries = (hash_grid_cuda, factor_grid_cuda, grid_mlp_cuda, mlp_cuda, ray_kernels_cuda, rbf_cuda)
    expected = {"fs_abi", "fs_adam"}.union(*(library.SIGNATURES for library in libraries))
    assert {line.split()[-1] for line in listing.splitlines()} == expected


def device_code(path):
    """(kind, architecture) of every piece of device code in the file; kind 1 is PTX, 2 machine code.

    What `cuobjdump` would list, for machines without it. Fat binaries begin with a magic number, version 1 and a header
    of 16 bytes that ends with the length of what follows; each piece has its header's length at byte 4, its own at 8
    and the architecture at 28.
    """
    data, at, found = path.read_bytes(), 0, set()
    start = struct.pack("<IHH", 0xBA55ED50, 1, 16)
    while (at := data.find(start, at)) >= 0:
        at += 16
        end = at + struct.unpack_from("<Q", data, at - 8)[0]
        while at < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", data, at)
            found.add((kind, struct.unpack_from("<I", data, at + 28)[0]))
            at += header + size
    return found


def test_library_has_code_for_a100_h100_and_later(library_path):
    assert {(2, 80), (2, 90), (1, 90)} <= device_code(library_path)


def test_library_says_what_is_wrong(library):
    layout = small_layout(2)
    call = GridCall(dimensions=5, features=2, levels=4, points=1, level=layout.records.ctypes.data)
    assert library.fs_error(library.fs_hash_grid_forward(ctypes.addressof(call), 0, None)) == b"invalid argument"
    call = GridCall(dimensions=2, features=2, levels=4, points=1, level=layout.records.ctypes.data, table=4)
    assert library.fs_error(library.fs_hash_grid_forward(ctypes.addressof(call), 0, None)) == b"misaligned address"
    if not torch.cuda.is_available():
        call.table = 8
        status = library.fs_hash_grid_forward(ctypes.addressof(call), 0, None)
        with pytest.raises(RuntimeError, match="hash_grid failed on the GPU: .*(no CUDA-capable device|driver)"):
            cuda_calls.check(library, status, "hash_grid")
        assert library.fs_hash_grid_workspace(ctypes.addressof(call), 0) < 0
    call.points = 0
    assert library.fs_hash_grid_forward(ctypes.addressof(call), 0, None) == 0


# Python's picture of the C functions.


def test_signatures_are_those_of_the_header():
    assert declared_functions("hash_grid.h") == hash_grid_cuda.SIGNATURES


def test_the_call_is_that_of_the_header():
    assert declared_fields("grid.h", "GridCall") == list(GridCall._fields_)
