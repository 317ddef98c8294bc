"""Small sound files of every format that is read: what the broken ones are made from.

Each maker writes into an empty folder and returns the path of the source, as bytes and names only: a format whose
optional package is missing is left out.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

RANDOM_SEED = 7
# Sides of the images, and number of views of a scene.
WIDTH, HEIGHT, VIEWS = 16, 12, 9
FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "runs"

Maker = Callable[[Path], Path]


def sound_files() -> dict[str, Maker]:
    """A maker for each format, by a name that begins with the kind: "image-png", "posed-colmap-binary" ..."""
    return {
        **{f"image-{name}": _with_pillow(name, options) for name, options in PILLOW.items()},
        "image-exr": _exr,
        "image-hdr": _bytes("a.hdr", _hdr()),
        "image-ppm": _bytes("a.ppm", b"P6 16 12 255\n" + _picture().tobytes()),
        "image-pgm16": _bytes("a.pgm", b"P5 16 12 65535\n" + bytes(16 * 12 * 2)),
        "image-pfm": _bytes("a.pfm", b"PF\n16 12\n-1.0\n" + np.float32(_picture()).tobytes()),
        "image-npy": _array("a.npy", _picture()),
        "image-png16": _png16,
        "image-tif-float": _tiff(_picture().astype(np.float32) / 255),
        **{f"audio-{name}": _sound(name) for name in ("wav", "flac", "ogg", "aiff", "mp3")},
        **{f"video-{name}": _film(name) for name in ("mp4", "webm", "mkv", "avi")},
        "video-gif": _animation,
        "video-frames": _frames,
        **{f"shape-{name}": maker for name, maker in _shapes().items()},
        "volume-npy": _array("a.npy", _volume()),
        "volume-npz": _arrays("a.npz", volume=_volume()),
        "volume-tif": _tiff(_volume()),
        "volume-nrrd": _bytes("a.nrrd", _nrrd()),
        "volume-nii": _bytes("a.nii", _nifti()),
        "volume-nii.gz": _bytes("a.nii.gz", gzip.compress(_nifti())),
        "volume-mha": _bytes("a.mha", _metaimage()),
        **{f"posed-{name}": maker for name, maker in _scenes().items()},
        **{f"run-{name}": _run(name) for name in ("image-siren-8bit", "shape-hashgrid", "radiance-hashgrid")},
        **{f"run-{name}": _run(name) for name in ("image-siren.fsq", "radiance-proposal.fsq")},
    }


def _picture() -> np.ndarray:
    return np.random.default_rng(RANDOM_SEED).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def _volume() -> np.ndarray:
    z, y, x = np.mgrid[:12, :10, :8]
    return np.hypot(np.hypot(z - 6, y - 5), x - 4).astype(np.float32)


def _bytes(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _array(name: str, array: np.ndarray) -> Maker:
    def make(folder: Path) -> Path:
        np.save(folder / name, array)
        return folder / name

    return make


def _arrays(name: str, **arrays: np.ndarray) -> Maker:
    def make(folder: Path) -> Path:
        np.savez(folder / name, **arrays)  # pyright: ignore[reportArgumentType]
        return folder / name

    return make


# Pictures

PILLOW: dict[str, dict] = {
    "png": {},
    "jpg": {},
    "webp": {"lossless": True},
    "gif": {},
    "bmp": {},
    "tif": {},
    "tga": {},
    "avif": {},
    "jp2": {},
    "dds": {},
}


def _with_pillow(ending: str, options: dict) -> Maker:
    def make(folder: Path) -> Path:
        from PIL import Image

        path = folder / f"a.{ending}"
        Image.fromarray(_picture()).save(path, **options)
        return path

    return make


def _png16(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 300).save(folder / "a.png")
    return folder / "a.png"


def _exr(folder: Path) -> Path:
    import OpenEXR

    pixels = _picture().astype(np.float32) / 255
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": pixels}).write(str(folder / "a.exr"))
    return folder / "a.exr"


def _hdr() -> bytes:
    pixels = np.concatenate([_picture(), np.full((HEIGHT, WIDTH, 1), 128, np.uint8)], axis=-1)
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 12 +X 16\n" + pixels.tobytes()


def _tiff(array: np.ndarray) -> Maker:
    def make(folder: Path) -> Path:
        import tifffile

        tifffile.imwrite(folder / "a.tif", array)
        return folder / "a.tif"

    return make


# Audio and video


def _sound(ending: str) -> Maker:
    def make(folder: Path) -> Path:
        import soundfile

        wave = 0.5 * np.sin(np.arange(4000) * 0.1)
        soundfile.write(folder / f"a.{ending}", wave, 8000)
        return folder / f"a.{ending}"

    return make


def _film(ending: str) -> Maker:
    def make(folder: Path) -> Path:
        import av
        from av.video.stream import VideoStream

        codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(ending, "libx264")
        with av.open(str(folder / f"a.{ending}"), "w") as file:
            stream = file.add_stream(codec, rate=10)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
            for index in range(6):
                pixels = np.full((24, 32, 3), 40 * index, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            file.mux(stream.encode(None))
        return folder / f"a.{ending}"

    return make


def _animation(folder: Path) -> Path:
    from PIL import Image

    frames = [Image.fromarray(np.roll(_picture(), shift, 0)) for shift in range(4)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    return folder / "a.gif"


def _frames(folder: Path) -> Path:
    from PIL import Image

    (folder / "frames").mkdir()
    for index in range(4):
        Image.fromarray(np.roll(_picture(), index, 0)).save(folder / "frames" / f"{index:03}.png")
    return folder / "frames"


# Shapes

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
TRIANGLES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)


def _shapes() -> dict[str, Maker]:
    points = np.random.default_rng(RANDOM_SEED).normal(size=(300, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    table = "".join(f"{x:.5f} {y:.5f} {z:.5f} {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in points)
    vertices = "".join(f"v {x} {y} {z}\n" for x, y, z in CORNERS.astype(int))
    faces = "".join(f"f {a} {b} {c}\n" for a, b, c in TRIANGLES + 1)
    triangles = CORNERS[TRIANGLES]
    stl = bytes(80) + struct.pack("<I", 12) + b"".join(bytes(12) + t.tobytes() + bytes(2) for t in triangles)
    off = "OFF\n8 12 0\n" + "".join(f"{x} {y} {z}\n" for x, y, z in CORNERS) + _counted(TRIANGLES)
    ply = "ply\nformat {} 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
    ply += "element face 12\nproperty list uchar int vertex_indices\nend_header\n"
    body = "".join(f"{x} {y} {z}\n" for x, y, z in CORNERS) + _counted(TRIANGLES)
    binary = CORNERS.tobytes() + b"".join(b"\x03" + np.int32(t).tobytes() for t in TRIANGLES)
    pcd = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 300\nHEIGHT 1\n"
    pcd += "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 300\nDATA "
    lines = "".join(f"{x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in points)
    return {
        "obj": _obj(f"mtllib a.mtl\n{vertices}usemtl m\n{faces}"),
        "ply": _bytes("a.ply", (ply.format("ascii") + body).encode()),
        "ply-binary": _bytes("a.ply", ply.format("binary_little_endian").encode() + binary),
        "stl": _bytes("a.stl", stl),
        "stl-text": _bytes("a.stl", _stl_text(triangles)),
        "off": _bytes("a.off", off.encode()),
        "gltf": _bytes("a.gltf", json.dumps(_gltf_tree(embedded=True)).encode()),
        "glb": _bytes("a.glb", _glb()),
        "dae": _bytes("a.dae", _collada().encode()),
        "3mf": _bytes("a.3mf", _threemf()),
        "usda": _bytes("a.usda", _usd().encode()),
        "xyz": _bytes("a.xyz", table.encode()),
        "csv": _bytes("a.csv", ("x,y,z,nx,ny,nz\n" + table.replace(" ", ",")).encode()),
        "pcd": _bytes("a.pcd", (pcd + "ascii\n" + lines).encode()),
        "pcd-binary": _bytes("a.pcd", (pcd + "binary\n").encode() + np.float32(points).tobytes()),
        "las": _scan,
    }


def _counted(triangles: np.ndarray) -> str:
    return "".join(f"3 {a} {b} {c}\n" for a, b, c in triangles)


def _obj(text: str) -> Maker:
    def make(folder: Path) -> Path:
        from PIL import Image

        (folder / "a.obj").write_text(text)
        (folder / "a.mtl").write_text("newmtl m\nKd 1 0 0\nmap_Kd a.png\n")
        Image.fromarray(_picture()).save(folder / "a.png")
        return folder / "a.obj"

    return make


def _stl_text(triangles: np.ndarray) -> bytes:
    lines = ["solid a"]
    for triangle in triangles:
        lines += ["facet normal 0 0 0", "outer loop", *(f"vertex {x} {y} {z}" for x, y, z in triangle)]
        lines += ["endloop", "endfacet"]
    return "\n".join([*lines, "endsolid a\n"]).encode()


def _gltf_buffer() -> bytes:
    return CORNERS.tobytes() + np.uint32(TRIANGLES).tobytes()


def _gltf_tree(embedded: bool) -> dict:
    import base64

    data = _gltf_buffer()
    buffer: dict = {"byteLength": len(data)}
    if embedded:
        buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    bounds = {"min": [0, 0, 0], "max": [1, 1, 1]}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [buffer],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": CORNERS.nbytes},
            {"buffer": 0, "byteOffset": CORNERS.nbytes, "byteLength": len(data) - CORNERS.nbytes},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3", **bounds},
            {"bufferView": 1, "componentType": 5125, "count": 36, "type": "SCALAR"},
        ],
    }


def glb_of(tree: dict, data: bytes) -> bytes:
    """A binary glTF file with this description and this buffer."""
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    data += bytes(-len(data) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _glb() -> bytes:
    return glb_of(_gltf_tree(embedded=False), _gltf_buffer())


def _collada() -> str:
    positions = " ".join(f"{value:g}" for value in CORNERS.reshape(-1))
    indices = " ".join(str(value) for value in TRIANGLES.reshape(-1))
    return f"""<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset><up_axis>Z_UP</up_axis></asset>
<library_geometries><geometry id="g"><mesh><source id="p"><float_array id="pa" count="24">{positions}</float_array>
<technique_common><accessor source="#pa" count="8" stride="3"><param name="X" type="float"/>
<param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION"
source="#p"/></vertices><triangles count="12"><input semantic="VERTEX" source="#v" offset="0"/><p>{indices}</p>
</triangles></mesh>
</geometry></library_geometries><library_visual_scenes><visual_scene id="s"><node><instance_geometry url="#g"/>
</node></visual_scene></library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>"""


def threemf_model(inside: str = "") -> str:
    """The model of a 3MF file: a cube, and what `inside` adds before it."""
    vertices = "".join(f'<vertex x="{x:g}" y="{y:g}" z="{z:g}"/>' for x, y, z in CORNERS)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in TRIANGLES)
    return f"""<?xml version="1.0"?>{inside}
<model unit="millimeter" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"><resources>
<object id="1" type="model"><mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles>
</mesh></object>
</resources><build><item objectid="1"/></build></model>"""


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive with these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return content.getvalue()


def _threemf() -> bytes:
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r" '
        'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel" Target="/3D/3dmodel.model"/>'
        "</Relationships>"
    )
    return zip_of({"_rels/.rels": relations.encode(), "3D/3dmodel.model": threemf_model().encode()})


def _usd() -> str:
    points = ", ".join(f"({x:g}, {y:g}, {z:g})" for x, y, z in CORNERS)
    indices = ", ".join(str(value) for value in TRIANGLES.reshape(-1))
    return f"""#usda 1.0
(
    upAxis = "Z"
)
def Mesh "cube"
{{
    int[] faceVertexCounts = [{", ".join(["3"] * 12)}]
    int[] faceVertexIndices = [{indices}]
    point3f[] points = [{points}]
}}
"""


def _scan(folder: Path) -> Path:
    import laspy

    scan = laspy.LasData(laspy.LasHeader(point_format=3, version="1.2"))
    points = np.random.default_rng(RANDOM_SEED).normal(size=(300, 3))
    scan.x, scan.y, scan.z = points.T
    scan.write(str(folder / "a.las"))
    return folder / "a.las"


# Volumes


def _nrrd() -> bytes:
    header = "NRRD0004\ntype: float\ndimension: 3\nsizes: 8 10 12\nendian: little\nencoding: raw\n\n"
    return header.encode() + _volume().tobytes()


def _nifti() -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 8, 10, 12, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return bytes(header) + _volume().tobytes()


def _metaimage() -> bytes:
    header = "ObjectType = Image\nNDims = 3\nDimSize = 8 10 12\nElementType = MET_FLOAT\nElementByteOrderMSB = False\n"
    return (header + "ElementDataFile = LOCAL\n").encode() + _volume().tobytes()


# Scenes


def poses() -> np.ndarray:
    """Camera to world `[VIEWS, 4, 4]`, OpenGL axes, on a ring around the origin that they look at."""
    found = []
    for angle in np.linspace(0, 2 * np.pi, VIEWS, endpoint=False):
        back = np.array([np.cos(angle), np.sin(angle), 0.5])
        back /= np.linalg.norm(back)
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(back, right), back, 3 * back], axis=1)
        found.append(pose)
    return np.stack(found)


def _scenes() -> dict[str, Maker]:
    return {
        "synthetic": _synthetic,
        "ngp": _whole_file({"fl_x": 20.0, "fl_y": 20.0, "cx": 8.0, "cy": 6.0, "w": WIDTH, "h": HEIGHT}),
        "nerfstudio": _whole_file(
            {"camera_model": "OPENCV", "w": WIDTH, "h": HEIGHT, "cx": 8.0, "cy": 6.0, "fl_x": 20.0, "fl_y": 20.0}
            | {"k1": 0.01, "train_filenames": [f"images/{i}.png" for i in range(1, VIEWS)]}
            | {"test_filenames": ["images/0.png"]},
        ),
        "llff": _llff,
        "colmap-text": _colmap_text,
        "colmap-binary": _colmap_binary,
        "npz": _arrays(
            "a.npz",
            images=np.random.default_rng(1).integers(0, 255, (VIEWS, HEIGHT, WIDTH, 3), np.uint8),
            poses=poses().astype(np.float32),
            focal=np.array(20.0, np.float32),
        ),
        "zip": _zipped,
    }


def _photographs(folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for index in range(VIEWS):
        Image.fromarray(np.roll(_picture(), index, 1)).save(folder / f"{index}.png")


def _whole_file(content: dict) -> Maker:
    def make(folder: Path) -> Path:
        _photographs(folder / "scene" / "images")
        frames = [{"file_path": f"images/{i}.png", "transform_matrix": p.tolist()} for i, p in enumerate(poses())]
        (folder / "scene" / "transforms.json").write_text(json.dumps(content | {"frames": frames}))
        return folder / "scene"

    return make


def _synthetic(folder: Path) -> Path:
    _photographs(folder / "scene" / "train")
    for split, chosen in (("train", range(1, VIEWS)), ("test", range(1))):
        frames = [{"file_path": f"./train/{i}", "transform_matrix": poses()[i].tolist()} for i in chosen]
        content = {"camera_angle_x": 0.8, "frames": frames}
        (folder / "scene" / f"transforms_{split}.json").write_text(json.dumps(content))
    return folder / "scene"


def _llff(folder: Path) -> Path:
    _photographs(folder / "scene" / "images")
    rows = []
    for pose in poses():
        right, up, back, position = pose[:3].T
        matrix = np.stack([-up, right, back, position, [HEIGHT, WIDTH, 20.0]], axis=1)
        rows.append([*matrix.reshape(-1), 1.0, 5.0])
    np.save(folder / "scene" / "poses_bounds.npy", np.array(rows))
    return folder / "scene"


def _world_to_camera() -> list[tuple[np.ndarray, np.ndarray]]:
    """Quaternion (w, x, y, z) and translation of each view, OpenCV axes, as COLMAP has them."""
    from scipy.spatial.transform import Rotation

    found = []
    for pose in poses():
        rotation = (pose[:3, :3] * [1, -1, -1]).T
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        found.append((np.array([w, x, y, z]), -rotation @ pose[:3, 3]))
    return found


def _colmap_text(folder: Path) -> Path:
    _photographs(folder / "scene" / "images")
    model = folder / "scene" / "sparse" / "0"
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text(f"# cameras\n1 PINHOLE {WIDTH} {HEIGHT} 20 20 8 6\n")
    lines = []
    for index, (quaternion, translation) in enumerate(_world_to_camera()):
        numbers = " ".join(f"{value:.9f}" for value in (*quaternion, *translation))
        lines += [f"{index + 1} {numbers} 1 {index}.png", "5 5 1"]
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    (model / "points3D.txt").write_text("1 0 0 0 255 0 0 0.5 1 0\n2 0.2 0.1 0 255 0 0 0.5 1 0\n")
    return folder / "scene"


def _colmap_binary(folder: Path) -> Path:
    _photographs(folder / "scene" / "images")
    model = folder / "scene" / "sparse" / "0"
    model.mkdir(parents=True)
    camera = struct.pack("<QiiQQ4d", 1, 1, 1, WIDTH, HEIGHT, 20, 20, 8, 6)
    (model / "cameras.bin").write_bytes(camera)
    images = struct.pack("<Q", VIEWS)
    for index, (quaternion, translation) in enumerate(_world_to_camera()):
        images += struct.pack("<i7di", index + 1, *quaternion, *translation, 1) + f"{index}.png".encode() + b"\0"
        images += struct.pack("<QddQ", 1, 5.0, 5.0, 1)
    (model / "images.bin").write_bytes(images)
    point = struct.pack("<Q3d3BdQii", 1, 0, 0, 0, 255, 0, 0, 0.5, 1, 1, 0)
    (model / "points3D.bin").write_bytes(struct.pack("<Q", 1) + point)
    return folder / "scene"


def _zipped(folder: Path) -> Path:
    scene = _synthetic(folder)
    shutil.make_archive(str(folder / "scene"), "zip", scene)
    shutil.rmtree(scene)
    return folder / "scene.zip"


# Runs


def _run(name: str) -> Maker:
    def make(folder: Path) -> Path:
        source = FIXTURES / name
        return Path(shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name))

    return make
