"""CUDA hash grid against the reference: on a GPU if there is one, and always with kernels compiled for the CPU.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic and the cooperation of threads are right, not
that a GPU runs them.
"""

import ctypes
import importlib
import pkgutil
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
import fields.ops
from fields.ops import cuda_calls, hash_grid_cuda
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import GridCall, hash_grid

operation = sys.modules["fields.ops.hash_grid"]


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "hash_grid")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(operation, "_run", lambda name, call, _: hash_grid_cuda.run(name, call, HOST))
    return "cpu"


def uniform(count, dimensions, seed=0):
    return torch.rand(count, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_matches_reference(layout, interpolation, coords, dtype=torch.float64, tolerance=1e-12):
    ours = all_orders(layout, interpolation, "native", dtype, coords)
    reference = all_orders(layout, interpolation, "torch", torch.float64, coords)
    for name in reference:
        assert_close(ours[name].double(), reference[name], tolerance, name)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_hash_grid_and_gradients_match_reference(dimensions, features, kind, interpolation, device):
    # Some points lie outside the unit cube, and their number is not a multiple of a block or a warp.
    coords = uniform(100, dimensions).to(device) * 1.2 - 0.1
    assert_matches_reference(small_layout(dimensions, features, kind), interpolation, coords)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions, features", [(1, 1), (2, 2), (2, 4), (3, 2), (3, 8), (4, 2)])
def test_float32_matches_float64_reference(dimensions, features, interpolation, device):
    layout = GridLayout(dimensions, levels=4, features=features, base_resolution=4, growth=1.5, table_size=1 << 7)
    coords = inner_points(layout, 500, torch.Generator().manual_seed(0), margin=0.01, dtype=torch.float32).to(device)
    assert_matches_reference(layout, interpolation, coords, torch.float32, 2e-5)


@pytest.mark.parametrize("dtype, rounding", [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)])
@pytest.mark.parametrize("dimensions, features", [(1, 1), (2, 2), (3, 4), (3, 8)])
def test_tables_of_reduced_precision_match_float64_reference(dimensions, features, dtype, rounding, device):
    layout = small_layout(dimensions, features)
    coords = inner_points(layout, 300, torch.Generator().manual_seed(0), margin=0.01, dtype=torch.float32).to(device)
    reduced = all_orders(layout, "linear", "native", torch.float32, coords, rounded=dtype, reduced=True)
    exact = all_orders(layout, "linear", "torch", torch.float64, coords.double(), rounded=dtype)
    for name in exact:
        tolerance = 2e-5 if name in ("features", "grad coords") else rounding
        assert_close(reduced[name].double(), exact[name], tolerance, name)


def test_float32_finds_the_same_cells_as_reference(device):
    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    coords, table = uniform(20000, 2).float().to(device), torch.randn(layout.entries, 2).to(device)
    assert_close(
        hash_grid(coords, table, layout, backend="native"), hash_grid(coords, table, layout, backend="torch"), 1e-5
    )


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dimensions", (1, 2, 3))
def test_gradients_of_both_orders_match_differences(dimensions, interpolation, device):
    layout = GridLayout(dimensions, levels=2, features=2, base_resolution=2, growth=1.7, table_size=16)
    random = torch.Generator().manual_seed(0)
    coords = inner_points(layout, 5, random, margin=0.05).to(device).requires_grad_()
    table = torch.randn(layout.entries, 2, dtype=torch.float64, generator=random).to(device).requires_grad_()

    def function(coords, table):
        return hash_grid(coords, table, layout, interpolation, backend="native")

    # Atomic sums differ in their last bits from run to run.
    options = {"nondet_tol": 1e-12, "fast_mode": device == "cpu"}
    assert torch.autograd.gradcheck(function, (coords, table), **options)
    assert torch.autograd.gradgradcheck(function, (coords, table), **options)


@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_coords_outside_match_reference(dimensions, device):
    edges = torch.tensor([0.0, 1.0, -0.25, 1.25, float("inf"), 0.3], dtype=torch.float64)
    coords = torch.cartesian_prod(*[edges] * dimensions).reshape(-1, dimensions).to(device)
    assert_matches_reference(small_layout(dimensions), "smoothstep", coords)


def test_nan_coords_give_nan_features_at_those_points_only(device):
    layout = small_layout(2)
    coords = uniform(70, 2)
    coords[3, 0] = coords[66, 1] = float("nan")
    table = torch.randn(layout.entries, 2, dtype=torch.float64)
    features = hash_grid(coords.to(device), table.to(device), layout, backend="native")
    assert features.isnan().any(-1).nonzero().flatten().tolist() == [3, 66]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("features", (1, 2, 4, 8))
@pytest.mark.parametrize("dimensions", (1, 3))
def test_gradients_of_neighbouring_points_in_one_cell_match_reference(dimensions, features, dtype, tolerance, device):
    """Warps sum runs of equal cells before they add atomically, in whole warps and in the last partial one."""
    line = torch.linspace(0, 1, 107, dtype=torch.float64).repeat_interleave(3)[:, None]
    coords = (line * torch.linspace(0.3, 0.9, dimensions, dtype=torch.float64) + 0.05).to(dtype).to(device)
    assert_matches_reference(small_layout(dimensions, features), "linear", coords, dtype, tolerance)


@pytest.fixture
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", (2, 8))
@pytest.mark.parametrize("dimensions", (1, 2, 3, 4))
def test_deterministic_gradients_match_reference(dimensions, features, kind, device, deterministic):
    coords = uniform(100, dimensions).to(device)
    assert_matches_reference(small_layout(dimensions, features, kind), "smoothstep", coords)


@pytest.mark.parametrize("shape", [(0, 2), (3, 0, 2), (2,), (2, 3, 4, 2)])
def test_leading_shape_is_kept_and_may_be_empty(shape, device):
    layout = small_layout(2)
    coords = torch.rand(shape, device=device, requires_grad=True)
    table = torch.randn(layout.entries, 2, device=device, requires_grad=True)
    features = hash_grid(coords, table, layout, backend="native")
    assert features.shape == (*shape[:-1], layout.outputs)
    features.square().sum().backward()
    assert coords.grad.shape == coords.shape
    assert bool(table.grad.abs().sum() > 0) == bool(coords.numel())


# Tests that only a GPU can run.


@on_gpu
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 1e-3)])
def test_gradient_of_many_points_matches_reference(dtype, tolerance):
    layout = GridLayout(3, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    coords = uniform(1 << 17, 3).to(dtype).cuda()
    table = torch.randn(layout.entries, 2, dtype=dtype).cuda().requires_grad_()
    grad = torch.randn(len(coords), layout.outputs, dtype=dtype).cuda()
    ours, reference = (
        torch.autograd.grad(hash_grid(coords, table, layout, backend=backend), table, grad)[0]
        for backend in ("native", "torch")
    )
    assert_close(ours, reference, tolerance)


@on_gpu
# The second count is sorted in two parts.
@pytest.mark.parametrize("count", (1 << 12, (1 << 20) + 7))
def test_deterministic_gradients_repeat_bit_for_bit(count, deterministic):
    layout = GridLayout(3, levels=4, features=2, base_resolution=4, growth=2.0, table_size=1 << 12)
    coords = uniform(count, 3).float().cuda()
    table = torch.randn(layout.entries, 2).cuda().requires_grad_()
    grad = torch.randn(count, layout.outputs).cuda()
    first, *others = (
        torch.autograd.grad(hash_grid(coords, table, layout, backend="native"), table, grad)[0] for _ in range(4)
    )
    assert all(torch.equal(first, other) for other in others)
    (reference,) = torch.autograd.grad(
        hash_grid(coords.double(), table.double(), layout, backend="torch"), table, grad.double()
    )
    assert_close(first.double(), reference.double(), 1e-4)


@on_gpu
def test_runs_in_the_current_stream_and_on_unaligned_slices():
    layout = small_layout(2, features=4)
    values = torch.randn(1 + layout.num_parameters, device="cuda")
    # A slice that is not aligned for vector loads.
    table = values[1:].view(layout.entries, 4)
    coords = uniform(5000, 2).float().cuda()
    expected = hash_grid(coords, table, layout, backend="torch")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        features = hash_grid(coords, table, layout, backend="native")
    torch.cuda.current_stream().wait_stream(stream)
    assert_close(features, expected, 1e-5)


# Tests of the library file, on any machine.


@pytest.fixture(scope="module")
def library_path():
    candidates = [*cuda_ext.candidates("cuda"), ROOT / "build" / "cuda" / "lib" / "libfield_studio_cuda.so"]
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        pytest.skip("the CUDA library was not built (`make cuda`)")
    return path


@pytest.fixture(scope="module")
def library(library_path):
    return hash_grid_cuda.functions.declare(ctypes.CDLL(str(library_path)))


def test_library_has_the_expected_interface_version(library):
    assert library.fs_abi() == cuda_ext.ABI
    assert library.fs_error(1).decode() == "invalid argument"


def test_library_links_only_system_libraries(library_path):
    """It links neither the driver, which a machine may lack, nor a CUDA runtime of a certain version."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("needs readelf")
    listing = subprocess.run([readelf, "-d", library_path], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"NEEDED.*\[(.*)]", listing)
    assert needed and not [name for name in needed if not re.match(r"lib(c|m|dl|rt|pthread)\.|ld-linux", name)]


def test_library_exports_only_the_c_functions(library_path):
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm")
    command = [nm, "-D", "--defined-only", library_path]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = [module.name for module in pkgutil.iter_modules(fields.ops.__path__) if module.name.endswith("_cuda")]
    modules = [importlib.import_module(f"fields.ops.{name}") for name in names]
    expected = {"fs_abi", "fs_adam"}.union(cuda_calls.INTERFACE, *(module.SIGNATURES for module in modules))
    assert {line.split()[-1] for line in listing.splitlines()} == expected


def device_code(path):
    """(kind, architecture) of every piece of device code in the file; kind 1 is PTX, kind 2 machine code.

    `cuobjdump` lists the same; this is for machines without it. A fat binary begins with a magic number, version 1 and
    a header of 16 bytes that ends with the length of the rest. Each piece has the length of its header at byte 4, its
    own length at byte 8 and the architecture at byte 28.
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


def test_library_returns_errors_for_wrong_calls(library):
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


# The ctypes declarations against the C headers.


def test_signatures_match_the_header():
    assert declared_functions("hash_grid.h") == hash_grid_cuda.SIGNATURES
    assert cuda_calls.INTERFACE.items() <= declared_functions("interface.h").items()


def test_call_structure_matches_the_header():
    assert declared_fields("grid.h", "GridCall") == list(GridCall._fields_)
