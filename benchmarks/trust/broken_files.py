"""Files that are broken on purpose, made from sound ones: the same corpus every time.

A case is a name and a maker, which writes into an empty folder and returns the source that a person would name. What
comes of it is right if it is either refused by one line, or read as a signal of finite values.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trust.sound_files import Maker, glb_of, poses, sound_files, threemf_model, zip_of

# Endings of files that carry what a source means, the rest of a folder being photographs.
TOLD_BY = (".json", ".npy", ".txt", ".bin", ".safetensors")
# Bytes of zeros in a bomb: packed a thousandth of that.
BOMB_BYTES = 3 << 30
# The file of some sources that is JSON, whose values are replaced one by one.
JSON_FILES = {"shape-gltf": "a.gltf", "posed-ngp": "transforms.json", "run-image-siren-8bit": "run.json"}
# Stands for a value that is taken out.
MISSING = object()
# Brackets that are opened and never closed.
DEPTH = 200_000


@dataclass(frozen=True)
class Case:
    """A broken source. `make` writes it into an empty folder and returns it."""

    name: str
    make: Maker


def corpus() -> list[Case]:
    """All cases, in a fixed order; names are unique."""
    sound = sound_files()
    cases = [Case(f"{name}/sound", make) for name, make in sound.items()]
    for name, make in sound.items():
        cases += [Case(f"{name}/{damage}", _damaged(make, change)) for damage, change in _damages(name)]
    cases += _swapped(sound)
    for name, file in JSON_FILES.items():
        cases += [Case(f"{name}/{change}", make) for change, make in _other_values(sound[name], file)]
    cases += [Case(f"lying/{name}", make) for name, make in _lying().items()]
    cases += [Case(f"posed/{name}", make) for name, make in _bad_scenes(sound).items()]
    cases += [Case(f"archive/{name}", make) for name, make in _archives(sound).items()]
    return cases


# Damage to bytes

Change = Callable[[bytes, np.random.Generator], bytes]


def _damages(name: str) -> Iterator[tuple[str, Change]]:
    for part in (0.0, 0.02, 0.5, 0.98):
        yield f"cut-{part:g}", lambda data, random, part=part: data[: int(len(data) * part)]
    yield "one-byte-short", lambda data, random: data[:-1]
    yield "flipped-head", lambda data, random: _flipped(data, random, 4, len(data) if len(data) < 64 else 64)
    yield "flipped-anywhere", lambda data, random: _flipped(data, random, 16, len(data))
    yield "ones", lambda data, random: data[:16] + b"\xff" * (len(data) - 16)
    if name.startswith(("shape", "volume", "posed", "run")):
        yield "nan", lambda data, random: re.sub(rb"(?<![\w.])-?\d+\.\d+", b"nan", data, count=4)


def _flipped(data: bytes, random: np.random.Generator, count: int, end: int) -> bytes:
    changed = bytearray(data)
    for place in random.integers(0, max(1, end), count):
        if place < len(changed):
            changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _damaged(make: Maker, change: Change) -> Maker:
    def damaged(folder: Path) -> Path:
        source = make(folder)
        target = told_by(source)
        random = np.random.default_rng(len(target.name))
        target.write_bytes(change(target.read_bytes(), random))
        return source

    return damaged


def told_by(source: Path) -> Path:
    """The file that says what a source is: itself, or of a folder the one with the cameras or the header."""
    if source.is_file():
        return source
    files = sorted(path for path in source.rglob("*") if path.is_file())
    return next((path for path in files if path.suffix in TOLD_BY), files[0])


def _swapped(sound: dict[str, Maker]) -> list[Case]:
    """Contents under the ending of another format, and beginnings of one format before the rest of another."""
    single = [name for name in sound if not name.startswith(("posed", "run", "video-frames"))]
    cases = []
    for index, name in enumerate(single):
        other = single[(index * 7 + 5) % len(single)]
        cases.append(Case(f"{name}/named-as-{other}", _renamed(sound[name], sound[other])))
        cases.append(Case(f"{name}/begins-as-{other}", _grafted(sound[name], sound[other])))
    return cases


def _renamed(make: Maker, other: Maker) -> Maker:
    def renamed(folder: Path) -> Path:
        (folder / "other").mkdir()
        source, named = make(folder), other(folder / "other")
        return source.rename(folder / f"renamed{''.join(named.suffixes)}")

    return renamed


def _grafted(make: Maker, other: Maker) -> Maker:
    def grafted(folder: Path) -> Path:
        (folder / "other").mkdir()
        source, head = make(folder), other(folder / "other").read_bytes()
        source.write_bytes(head[:48] + source.read_bytes()[48:])
        return source

    return grafted


# JSON with other values than it should have


def _other_values(make: Maker, file: str) -> Iterator[tuple[str, Maker]]:
    """Cases in which one value of a JSON file is another, for each value, and in which it is missing."""
    with tempfile.TemporaryDirectory() as folder:
        source = make(Path(folder))
        target = source if source.name == file else source / file
        tree = json.loads(target.read_text())
    others = ("x", -1, None, [], {}, 1e300, [[]])
    for number, path in enumerate(_paths(tree)):
        for other in (others[number % len(others)], others[(number + 3) % len(others)]):
            yield f"{'.'.join(map(str, path))}={json.dumps(other)}", _with_value(make, file, path, other)
        yield f"{'.'.join(map(str, path))}-missing", _with_value(make, file, path, MISSING)


def _paths(tree: Any, above: tuple = ()) -> Iterator[tuple]:
    """Paths of all values of a tree; of lists the first item's only."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from _paths(value, (*above, key))


def _with_value(make: Maker, file: str, path: tuple, value: object) -> Maker:
    def changed(folder: Path) -> Path:
        source = make(folder)
        target = source if source.name == file else source / file
        tree = json.loads(target.read_text())
        inner = tree
        for key in path[:-1]:
            inner = inner[key]
        if value is MISSING:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        target.write_text(json.dumps(tree))
        return source

    return changed


# Headers that promise more than there is


def _lying() -> dict[str, Maker]:
    huge = 4_000_000_000
    png = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))
    ply = "ply\nformat {} 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
    faces = "element face {}\nproperty list uchar int vertex_indices\nend_header\n"
    nrrd = b"NRRD0004\ntype: float\ndimension: 3\nsizes: 9 9 9\n"
    mha = b"NDims = 3\nDimSize = 9 9 9\nElementType = MET_UCHAR\n"
    pcd = b"VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
    contents: dict[str, bytes | Callable[[], bytes]] = {
        "huge.png": png,
        "huge.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**30, 2**30, 1, 24, *[0] * 6),
        "huge.ppm": b"P6 900000 900000 255\n" + bytes(30),
        "zero.ppm": b"P6 0 5 255\n",
        "huge.pfm": b"PF\n900000 900000\n-1.0\n" + bytes(30),
        "huge.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 900000 +X 900000\n" + bytes(30),
        "huge.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b"\x2c" + bytes(20),
        "huge.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 65535, 65535, 24, 0),
        "huge.wav": b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 60000, 2**31, 2**31, 4, 16)
        + b"data\xff\xff\xff\x7f" + bytes(40),
        "huge.npy": _npy((huge, 3), "<f4"),
        "overflowing.npy": _npy((2**62, 2**62), "<f8"),
        "negative.npy": _npy((-3, 4), "<f4"),
        "pickled.npy": _pickled(),
        "objects.npz": zip_of({"volume.npy": _pickled()}),
        "huge.npz": zip_of({"volume.npy": _npy((4000, 4000, 4000), "<f4")}),
        "nan.npy": _saved(np.full((6, 7, 8), np.nan, np.float32)),
        "infinite.npy": _saved(np.full((6, 7, 8), np.inf, np.float32)),
        "empty.npy": _saved(np.zeros((0, 4, 4), np.float32)),
        "complex.npy": _saved(np.zeros((4, 4, 4), np.complex64)),
        "text.npy": _saved(np.array([["a", "b"], ["c", "d"]])),
        "huge.nrrd": b"NRRD0004\ntype: float\ndimension: 3\nsizes: 90000 90000 90000\nencoding: raw\n\n" + bytes(64),
        "bomb.nrrd": lambda: nrrd + b"encoding: gzip\n\n" + _gzip_bomb(),
        "elsewhere.nrrd": nrrd + b"encoding: raw\ndata file: ../../../../etc/passwd\n",
        "list.nrrd": nrrd + b"encoding: raw\ndata file: %d.raw 1 9999999 1\n",
        "huge.mha": b"NDims = 3\nDimSize = 90000 90000 90000\nElementType = MET_FLOAT\nElementDataFile = LOCAL\n",
        "elsewhere.mhd": mha + b"ElementDataFile = ../../../etc/passwd\n",
        "negative.mha": b"NDims = -3\nDimSize = 9 9 9\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
        "bomb.nii.gz": _gzip_bomb,
        "huge.nii": _nifti_of(32767, 32767, 32767),
        "negative.nii": _nifti_of(-5, 10, 12),
        "huge.ply": (ply.format("binary_little_endian", huge) + faces.format(huge)).encode() + bytes(64),
        "huge-text.ply": (ply.format("ascii", huge) + faces.format(huge)).encode() + b"0 0 0\n",
        "list.ply": (ply.format("binary_little_endian", 1) + "element face 1\nproperty list uint int vertex_indices\n"
        "end_header\n").encode() + bytes(12) + b"\xff\xff\xff\x7f" + bytes(16),
        "beyond.ply": (ply.format("ascii", 3) + faces.format(1) + "0 0 0\n1 0 0\n0 1 0\n3 0 1 99\n").encode(),
        "nan.ply": (ply.format("ascii", 3) + faces.format(1) + "nan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n").encode(),
        "negative.ply": (ply.format("ascii", -3) + faces.format(1)).encode(),
        "unending.ply": b"ply\n" + b"comment x\n" * 200_000,
        "huge.stl": bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(100),
        "nan.stl": bytes(80) + struct.pack("<I", 1) + struct.pack("<12f", *[float("nan")] * 12) + bytes(2),
        "huge.off": b"OFF\n4000000000 4000000000 0\n0 0 0\n",
        "beyond.off": b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 77\n",
        "beyond.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 999999999999\n",
        "negative.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -99\n",
        "zero.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 0 0\n",
        "nan.obj": b"v nan nan nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "large.obj": b"v 1e300 0 0\nv 1e308 1e308 0\nv 0 1e308 0\nf 1 2 3\n",
        "wide.obj": b"v 0 0 0\n" + b"f" + b" 1" * 400_000 + b"\n",
        "elsewhere.obj": b"mtllib ../../../../../etc/passwd\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 4 2\n",
        "huge.pcd": pcd + b"WIDTH 4000000000\nHEIGHT 4000000000\n"
        b"POINTS 4000000000\nDATA binary\n" + bytes(64),
        "compressed.pcd": pcd + b"WIDTH 9\nHEIGHT 1\nPOINTS 9\n"
        b"DATA binary_compressed\n" + struct.pack("<II", 20, 2**32 - 1) + bytes(20),
        "nan.xyz": b"nan nan nan\n" * 50,
        "huge-number.xyz": b"1e999 0 0\n" * 50,
        "one-line.xyz": b"1 " * 2_000_000,
        "deep.gltf": b'{"asset":' + b"[" * DEPTH,
        "elsewhere.gltf": _gltf_with(uri="../../../../etc/passwd"),
        "absolute.gltf": _gltf_with(uri="/etc/passwd"),
        "remote.gltf": _gltf_with(uri="http://127.0.0.1:9/a.bin"),
        "huge.gltf": _gltf_with(uri="data:application/octet-stream;base64,AAAA", count=huge),
        "negative.gltf": _gltf_with(uri="data:application/octet-stream;base64,AAAA", count=-1),
        "circle.gltf": json.dumps({"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"children": [1]}, {"children": [0]}]}).encode(),
        "deep-nodes.gltf": json.dumps({"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"children": [i + 1]} for i in range(20_000)] + [{}]}).encode(),
        "lying.glb": struct.pack("<4sIII4s", b"glTF", 2, 2**32 - 1, 2**32 - 1, b"JSON") + b"{}",
        "deep.glb": glb_of({"asset": {"version": "2.0"}, "extras": _nested(900)}, b""),
        "bomb.dae": _laughs() + b"<COLLADA>&a9;</COLLADA>",
        "entity.dae": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><COLLADA>&e;</COLLADA>',
        "deep.dae": b"<COLLADA>" + b"<node>" * DEPTH,
        "bomb.3mf": zip_of({"3D/3dmodel.model": threemf_model(_laughs(declaration=False).decode()).encode()}),
        "zeros.3mf": lambda: _zip_bomb("3D/3dmodel.model"),
        "deep.usda": b"#usda 1.0\n" + b'def Xform "a" {\n' * 20_000,
        "elsewhere.usda": b'#usda 1.0\ndef "a" (references = @/etc/passwd@) {}\n',
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "page.jpg": b"<html><script>alert(1)</script></html>",
        "program.png": b"\x7fELF" + bytes(200),
        "random.bin": np.random.default_rng(0).bytes(5000),
        "random.fsq": b"FSQ1" + np.random.default_rng(0).bytes(5000),
        "bomb.fsq": lambda: _compressed_bomb(),
        "huge.fsq": b"FSQ1" + b"\xff" * 64,
        "spaces.csv": b" \n" * 50_000,
        "quotes.csv": b'"' * 100_000,
    }  # fmt: skip
    return {name: _file(name, content) for name, content in contents.items()} | _odd_names()


def _file(name: str, content: bytes | Callable[[], bytes]) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content())
        return folder / name

    return make


def _odd_names() -> dict[str, Maker]:
    """Names that are no files, and files that are no regular ones."""

    def link_to_itself(folder: Path) -> Path:
        (folder / "a.png").symlink_to(folder / "a.png")
        return folder / "a.png"

    def pipe(folder: Path) -> Path:
        os.mkfifo(folder / "a.png")
        return folder / "a.png"

    def unreadable(folder: Path) -> Path:
        (folder / "a.png").mkdir()
        return folder / "a.png"

    return {
        "missing": lambda folder: folder / "missing.png",
        "long-name": lambda folder: folder / ("a" * 5000 + ".png"),
        "zero-byte-in-name": lambda folder: folder / "a\0b.png",
        "empty-name": lambda folder: Path(""),
        "link-to-itself": link_to_itself,
        "pipe": pipe,
        "folder-named-as-a-picture": unreadable,
        "no-such-photograph": lambda folder: Path("skimage:nothing"),
        "climbing-photograph": lambda folder: Path("skimage:../../etc/passwd"),
        "no-such-scene": lambda folder: Path("procedural:nothing"),
    }


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _npy(shape: tuple[int, ...], dtype: str) -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)


def _saved(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _pickled() -> bytes:
    """An array of objects whose pickle would create a file, if anything unpickled it."""

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, ("pickle-was-run",)

    content = io.BytesIO()
    np.save(content, np.array([Evil()], dtype=object), allow_pickle=True)
    return content.getvalue()


def _nested(depth: int) -> list:
    found: list = []
    for _ in range(depth):
        found = [found]
    return found


def _gzip_bomb() -> bytes:
    """A gigabyte of zeros, packed; every file of a bomb is made of the same block."""
    block = gzip.compress(bytes(1 << 24), 9)
    return block * 64


def _compressed_bomb() -> bytes:
    """A compressed field whose header is a gigabyte of spaces, packed."""
    import zlib

    from fields.runs.small_file import MAGIC, SIZES

    packer = zlib.compressobj(9)
    header = b"".join(packer.compress(b" " * (1 << 24)) for _ in range(64)) + packer.flush()
    sizes = [len(header), *[0] * (SIZES.size // struct.calcsize(SIZES.format.lstrip("<")[-1]) - 1)]
    return MAGIC + SIZES.pack(*sizes) + header


def _laughs(declaration: bool = True) -> bytes:
    lines = ['<!ENTITY a0 "ha">', *(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))]
    return (b'<?xml version="1.0"?>' if declaration else b"") + f"<!DOCTYPE x [{''.join(lines)}]>".encode()


def _nifti_of(*sizes: int) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *sizes, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 16, 32)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return bytes(header) + bytes(64)


def _gltf_with(uri: str, count: int = 3) -> bytes:
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "buffers": [{"uri": uri, "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3"}],
    }
    return json.dumps(tree).encode()


# Scenes that contradict themselves


def _bad_scenes(sound: dict[str, Maker]) -> dict[str, Maker]:
    nan, infinite = float("nan"), float("inf")
    matrices = {
        "nan": np.full((4, 4), nan).tolist(),
        "infinite": np.full((4, 4), infinite).tolist(),
        "huge": (np.eye(4) * 1e300).tolist(),
        "zero": np.zeros((4, 4)).tolist(),
        "text": [["a"] * 4] * 4,
        "flat": list(range(16)),
        "empty": [],
        "none": None,
        "sheared": [[1, 5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    }
    found: dict[str, Maker] = {}
    for dialect in ("ngp", "nerfstudio", "synthetic"):
        make = sound[f"posed-{dialect}"]
        for name, matrix in matrices.items():
            found[f"{dialect}-matrix-{name}"] = _first_frame(make, transform_matrix=matrix)
        for name, path in {
            "climbing": "../../../../../etc/passwd",
            "absolute": "/etc/passwd",
            "missing": "images/none.png",
            "number": 5,
            "list": ["a"],
            "zero-byte": "a\0b.png",
            "long": "a" * 5000,
        }.items():
            found[f"{dialect}-path-{name}"] = _first_frame(make, file_path=path)
        for name, changes in {
            "no-frames": {"frames": []},
            "frames-number": {"frames": 5},
            "frames-of-numbers": {"frames": [1, 2, 3]},
            "frames-null": {"frames": None},
            "angle-nan": {"camera_angle_x": nan, "fl_x": nan, "fl_y": nan},
            "angle-zero": {"camera_angle_x": 0, "fl_x": 0, "fl_y": 0},
            "angle-text": {"camera_angle_x": "wide", "fl_x": "long"},
            "size-huge": {"w": 10**9, "h": 10**9},
            "size-negative": {"w": -5, "h": -5},
            "size-text": {"w": "large"},
            "scale-infinite": {"aabb_scale": 1e400},
            "scale-text": {"aabb_scale": "big"},
            "distorted": {"k1": 1e9, "k2": -1e9, "p1": 1e9},
            "box-inside-out": {"box": [[1, 1, 1], [0, 0, 0]]},
            "points-elsewhere": {"ply_file_path": "../../../etc/passwd"},
            "lists-of-numbers": {"train_filenames": [1, 2], "test_filenames": 7},
            "all-for-testing": {"test_filenames": [f"images/{i}.png" for i in range(9)]},
            "model-unknown": {"camera_model": "KALEIDOSCOPE"},
        }.items():
            found[f"{dialect}-{name}"] = _rewritten(make, changes)
        found[f"{dialect}-deep"] = _replaced(make, "transforms*.json", b'{"frames":' + b"[" * DEPTH)
        found[f"{dialect}-array"] = _replaced(make, "transforms*.json", b"[1, 2]")
        found[f"{dialect}-utf16"] = _replaced(make, "transforms*.json", '{"frames": []}'.encode("utf-16"))
        found[f"{dialect}-large-number"] = _replaced(make, "transforms*.json", b'{"w": ' + b"9" * 100_000 + b"}")
    llff, text, binary = sound["posed-llff"], sound["posed-colmap-text"], sound["posed-colmap-binary"]
    for name, content in {
        "huge": _npy((10**9, 17), "<f8"),
        "nan": _saved(np.full((9, 17), nan)),
        "pickled": _pickled(),
        "few": _saved(np.zeros((3, 17))),
        "narrow": _saved(np.zeros((9, 5))),
        "zeros": _saved(np.zeros((9, 17))),
        "infinite": _saved(np.full((9, 17), infinite)),
    }.items():
        found[f"llff-{name}"] = _replaced(llff, "poses_bounds.npy", content)
    for name, (file, content) in {
        "cameras-huge": ("cameras.txt", b"1 PINHOLE 99999999999 99999999999 20 20 8 6\n"),
        "cameras-nan": ("cameras.txt", b"1 PINHOLE 16 12 nan nan nan nan\n"),
        "cameras-short": ("cameras.txt", b"1 PINHOLE 16\n"),
        "cameras-unknown": ("cameras.txt", b"1 KALEIDOSCOPE 16 12 20 20 8 6\n"),
        "cameras-text": ("cameras.txt", b"one two three four five\n"),
        "images-nan": ("images.txt", b"1 nan nan nan nan nan nan nan 1 0.png\n\n2 1 0 0 0 0 0 1 1 1.png\n\n"),
        "images-zero": ("images.txt", b"1 0 0 0 0 0 0 0 1 0.png\n\n2 1 0 0 0 0 0 1 1 1.png\n\n"),
        "images-climbing": ("images.txt", b"1 1 0 0 0 0 0 1 1 ../../../etc/passwd\n\n2 1 0 0 0 0 0 1 1 1.png\n\n"),
        "images-other-camera": ("images.txt", b"1 1 0 0 0 0 0 1 77 0.png\n\n2 1 0 0 0 0 0 1 77 1.png\n\n"),
        "points-nan": ("points3D.txt", b"1 nan nan nan 0 0 0 1 1 0\n"),
        "points-text": ("points3D.txt", b"a b c d e f g h\n"),
    }.items():
        found[f"colmap-{name}"] = _replaced(text, file, content)
    for file in ("cameras.bin", "images.bin", "points3D.bin"):
        found[f"colmap-{file}-huge"] = _replaced(binary, file, struct.pack("<Q", 2**63) + bytes(100))
        found[f"colmap-{file}-many"] = _replaced(binary, file, struct.pack("<Q", 10**7) + bytes(100))
        found[f"colmap-{file}-empty"] = _replaced(binary, file, b"")
        found[f"colmap-{file}-ones"] = _replaced(binary, file, b"\xff" * 500)
    bundle = {
        "images": np.zeros((9, 12, 16, 3), np.uint8),
        "poses": poses().astype(np.float32),
        "focal": np.float32(20),
    }
    for name, changes in {
        "poses-nan": {"poses": np.full((9, 4, 4), nan)},
        "poses-few": {"poses": np.float32(poses()[:3])},
        "focal-nan": {"focal": np.float32(nan)},
        "focal-negative": {"focal": np.float32(-5)},
        "images-float": {"images": np.full((9, 12, 16, 3), nan, np.float32)},
        "images-flat": {"images": np.zeros((9, 12), np.uint8)},
        "times-nan": {"times": np.full(9, nan)},
        "text": {"poses": np.array(["a"] * 9)},
    }.items():
        found[f"npz-{name}"] = _bundle(bundle | changes)
    return found


def _bundle(arrays: dict[str, np.ndarray]) -> Maker:
    def make(folder: Path) -> Path:
        np.savez(folder / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
        return folder / "a.npz"

    return make


def _rewritten(make: Maker, changes: dict) -> Maker:
    """A scene whose transforms files have other entries."""

    def rewritten(folder: Path) -> Path:
        source = make(folder)
        for path in source.glob("transforms*.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return source

    return rewritten


def _first_frame(make: Maker, **changes: object) -> Maker:
    def rewritten(folder: Path) -> Path:
        source = make(folder)
        for path in source.glob("transforms*.json"):
            content = json.loads(path.read_text())
            content["frames"][0] |= changes
            path.write_text(json.dumps(content))
        return source

    return rewritten


def _replaced(make: Maker, pattern: str, content: bytes) -> Maker:
    """A scene of which some files have another content."""

    def replaced(folder: Path) -> Path:
        source = make(folder)
        for path in [*source.rglob(pattern)]:
            path.write_bytes(content)
        return source

    return replaced


# Archives


def _zip_bomb(name: str) -> bytes:
    """A zip of one file of zeros that is a thousand times as large as itself."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as opened,
        opened.open(name, "w", force_zip64=True) as file,
    ):
        block = bytes(1 << 24)
        for _ in range(BOMB_BYTES // len(block) // 16):
            file.write(block)
    return content.getvalue()


def _archives(sound: dict[str, Maker]) -> dict[str, Maker]:
    def scene(folder: Path) -> dict[str, bytes]:
        (folder / "made").mkdir()
        path = sound["posed-ngp"](folder / "made")
        return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}

    def with_files(*others: tuple[str, bytes]) -> Maker:
        def make(folder: Path) -> Path:
            (folder / "a.zip").write_bytes(zip_of(scene(folder) | dict(others)))
            return folder / "a.zip"

        return make

    def linked(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as opened:
            for name, data in scene(folder).items():
                opened.writestr(name, data)
            entry = zipfile.ZipInfo("images/link.png")
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            opened.writestr(entry, "/etc/passwd")
        return folder / "a.zip"

    def bomb(name: str) -> Maker:
        def make(folder: Path) -> Path:
            (folder / "a.zip").write_bytes(_zip_bomb(name))
            return folder / "a.zip"

        return make

    def many(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as opened:
            for index in range(60_000):
                opened.writestr(f"{index}.png", b"")
            opened.writestr("transforms.json", "{}")
        return folder / "a.zip"

    def lying(folder: Path) -> Path:
        data = bytearray(zip_of(scene(folder)))
        for found in re.finditer(b"PK\x01\x02", bytes(data)):
            struct.pack_into("<I", data, found.start() + 24, 5)
        (folder / "a.zip").write_bytes(data)
        return folder / "a.zip"

    return {
        "climbing": with_files(("../../climbed.png", b"x")),
        "climbing-windows": with_files(("..\\..\\climbed.png", b"x")),
        "absolute": with_files(("/tmp/climbed.png", b"x")),
        "drive": with_files(("C:\\climbed.png", b"x")),
        "long-name": with_files(("a" * 4000 + ".png", b"x")),
        "zero-byte-name": with_files(("a\0b.png", b"x")),
        "file-below-file": with_files(("images/0.png/x.png", b"x")),
        "inner-zip": with_files(("inner.zip", zip_of({"a.txt": b"a"}))),
        "link": linked,
        "bomb": bomb("images/0.png"),
        "bomb-transforms": bomb("transforms.json"),
        "many-files": many,
        "lying-sizes": lying,
        "empty": _file("a.zip", zip_of({})),
        "nothing-in-it": _file("a.zip", zip_of({"readme.md": b"a"})),
    }
