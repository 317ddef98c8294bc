"""Uploads: unknown, huge and malicious files are refused; nothing outside their folder is read or written."""

import io
import json
import os
import stat
import zipfile

import numpy as np
import pytest

from apps.studio import uploads
from scenes.errors import BadInput
from scenes.io.unpack import ZipLimits
from scenes.recognise import recognise


def kept(folders, name, content=b"something"):
    folders.arriving.mkdir(exist_ok=True)
    file = folders.arriving / name
    file.write_bytes(content)
    return uploads.keep_upload(file, folders)


def left(folders):
    return [path for path in folders.uploads.rglob("*") if path.is_file() and not path.is_relative_to(folders.arriving)]


def test_refuses_files_that_did_not_arrive_as_uploads(folders, tmp_path):
    folders.arriving.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    os.symlink(tmp_path / "secret.png", folders.arriving / "link.png")
    os.symlink(tmp_path, folders.arriving / "folder")
    for path in (
        tmp_path / "secret.png",
        folders.arriving / "link.png",
        folders.arriving / "folder" / "secret.png",
        folders.arriving / ".." / ".." / ".." / "secret.png",
    ):
        with pytest.raises(BadInput, match="only files that were uploaded"):
            uploads.keep_upload(path, folders)
    assert not left(folders)


def test_keeps_a_file_under_a_clean_name(folders):
    path = kept(folders, "my <photo>.PNG")
    assert path.name == "my -photo.png" and path.read_bytes() == b"something" and folders.holds(path)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("run.sh", b"#!", "are not taken"),
        ("model.pkl", b"x", "are not taken"),
        ("nothing", b"x", "are not taken"),
        ("empty.png", b"", "is empty"),
        ("page.html", b"<script>", "are not taken"),
        ("broken.zip", b"PK\x03\x04xx", "is damaged"),
    ],
)
def test_refuses_unknown_empty_and_damaged_files(folders, name, content, message):
    with pytest.raises(BadInput, match=message):
        kept(folders, name, content)
    assert not left(folders)


def test_refuses_a_large_file(folders, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 5)
    with pytest.raises(BadInput, match="at most"):
        kept(folders, "large.png")


def archive(*entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for entry, content in entries:
            made.writestr(entry, content)
    return buffer.getvalue()


def test_unpacks_an_archive_to_its_only_folder(folders):
    path = kept(
        folders,
        "scene.zip",
        archive(("duck/transforms.json", b"{}"), ("duck/images/1.png", b"x"), ("__MACOSX/._1.png", b"y")),
    )
    assert path.name == "duck" and sorted(p.name for p in path.rglob("*")) == ["1.png", "images", "transforms.json"]


def test_leaves_out_what_lies_beside_the_photographs(folders):
    """A licence, notes and programs beside a scene are no reason to refuse it, and are not kept."""
    beside = [
        ("LICENSE.md", b"x"),
        ("README", b"x"),
        ("readme.txt", b"x"),
        ("duck/notes.docx", b"x"),
        ("duck/run.py", b"x"),
    ]
    path = kept(folders, "scene.zip", archive(*beside, ("duck/transforms.json", b"{}"), ("duck/images/1.PNG", b"x")))
    assert path.name == "duck" and sorted(p.name for p in path.rglob("*")) == ["1.PNG", "images", "transforms.json"]


@pytest.mark.parametrize("name", ["cloud.csv", "cloud.txt", "cloud.asc", "cloud.xyz", "cloud.pts"])
def test_texts_are_taken_where_they_are_points(folders, name):
    path = kept(folders, name, b"x,y,z\n" + b"".join(b"%d,%d,1.5\n" % (i, i * i) for i in range(9)))
    assert recognise(path) == ("shape", "a list of points")
    if not name.endswith((".xyz", ".pts")):
        with pytest.raises(BadInput, match=f"{name}: is no list of points"):
            kept(folders, name, b"once upon a time\n" * 9)


def test_a_mesh_in_an_archive_is_kept_with_its_textures(folders):
    entries = [
        ("m/source/a.obj", b"v 0 0 0\n"),
        ("m/source/a.mtl", b"x"),
        ("m/textures/b.png", b"x"),
        ("m/notes.docx", b"x"),
    ]
    path = kept(folders, "model.zip", archive(*entries))
    assert recognise(path) == ("shape", "a folder with a.obj")
    assert sorted(p.name for p in path.rglob("*.*")) == ["a.mtl", "a.obj", "b.png"]


def photographs(*cameras, sizes=((8, 6),)):
    """Entries of an archive of JPEG files; `cameras`: what wrote its name into each."""
    from PIL import Image

    for index, camera in enumerate(cameras):
        exif, content = Image.Exif(), io.BytesIO()
        if camera:
            exif[0x0110] = camera
        Image.new("RGB", sizes[index % len(sizes)], (9, 9, 9)).save(content, "jpeg", exif=exif)
        yield f"pictures/{index:03}.jpg", content.getvalue()


def test_a_zip_of_photographs_is_not_taken_for_a_film(folders):
    film = kept(folders, "frames.zip", archive(*photographs("", "", "")))
    uploads.refuse_photographs(film)
    beside = ("LICENSE.md", b"free")
    for index, entries in enumerate((photographs("X100", "X100", ""), photographs("", "", "", sizes=((8, 6), (9, 6))))):
        folder = kept(folders, f"photographs{index}.zip", archive(*entries, beside))
        with pytest.raises(BadInput, match="3 photographs without cameras: drop them under “Photographs to 3-D”"):
            uploads.refuse_photographs(folder)
    # The same size, turned: some cameras write that into the file, others turn the pixels.
    uploads.refuse_photographs(kept(folders, "t.zip", archive(*photographs("", "", sizes=((8, 6), (6, 8))))))
    uploads.refuse_photographs(kept(folders, "one.png"))


def link(name="images/a.png"):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "entries, message",
    [
        ([("../climb.png", b"x")], "leads out"),
        ([("a/../../climb.png", b"x")], "leads out"),
        ([("/etc/climb.png", b"x")], "leads out"),
        ([("..\\climb.png", b"x")], "leads out"),
        ([("C:/climb.png", b"x")], "leads out"),
        ([(link(), "/etc/passwd")], "is a link"),
        ([("a.png", b"x"), ("../run.py", b"x")], "leads out"),
        ([("run.json/field.safetensors", b"x")], "no images"),
        ([], "no images"),
    ],
)
def test_refuses_malicious_archives_and_leaves_nothing(folders, entries, message):
    with pytest.raises(BadInput, match=message):
        kept(folders, "malicious.zip", archive(*entries))
    assert not left(folders) and not list(folders.runs.parent.glob("climb*"))


def test_refuses_an_archive_that_unpacks_to_too_much(folders, monkeypatch):
    monkeypatch.setattr(uploads, "ARCHIVE_LIMITS", ZipLimits(2, 1 << 20, uploads.ARCHIVE_ENDINGS))
    with pytest.raises(BadInput, match="at most 2 files and 1 MB"):
        kept(folders, "bomb.zip", archive(("a.png", bytes(3 << 20))))
    with pytest.raises(BadInput, match="holds 3 files"):
        kept(folders, "many.zip", archive(*((f"{i}.png", b"x") for i in range(3))))
    assert not left(folders)


def test_refuses_an_archive_that_states_a_wrong_size(folders, monkeypatch):
    content = archive(("a.png", bytes(3 << 20)))
    # The size in the directory at the end, 3 MB, becomes one byte.
    stated = (3 << 20).to_bytes(4, "little")
    where = content.rindex(stated, content.index(b"PK\x01\x02"))
    monkeypatch.setattr(uploads, "ARCHIVE_LIMITS", ZipLimits(2, 1 << 20, uploads.ARCHIVE_ENDINGS))
    with pytest.raises(BadInput, match="bomb.zip"):
        kept(folders, "bomb.zip", content[:where] + (1).to_bytes(4, "little") + content[where + 4 :])
    assert not left(folders)


def test_unpacks_paths_of_windows_and_folders_in_folders(folders):
    path = kept(
        folders, "scene.zip", archive(("a\\b\\transforms.json", b"{}"), ("a\\b\\images\\1.png", b"x"), ("a\\", b""))
    )
    assert path.name == "b" and (path / "images" / "1.png").read_bytes() == b"x"


def test_refuses_an_entry_that_is_there_twice(folders):
    with pytest.warns(UserWarning, match="Duplicate"):
        content = archive(("a.png", b"x"), ("a.png", b"y"))
    with pytest.raises(BadInput, match="cannot be unpacked: File exists"):
        kept(folders, "twice.zip", content)
    assert not left(folders)


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"


@pytest.fixture
def secret(folders):
    """A red image beside the folders of uploads, where `../../secret.png` leads to from inside one of them."""
    from PIL import Image

    Image.new("RGB", (4, 4), (255, 0, 0)).save(folders.uploads / "secret.png")
    return folders.uploads / "secret.png"


@pytest.mark.parametrize("name", ["{up}/secret.png", "{absolute}"])
def test_a_mesh_does_not_read_files_elsewhere(folders, secret, name):
    """References to images that lead out of the upload's folder are not followed."""
    from scenes.shape.read import read_shape

    def colors_of(reference):
        entries = [
            ("m/ball.obj", f"mtllib ball.mtl\n{TRIANGLE}usemtl a\nf 1/1 2/2 3/3\n"),
            ("m/ball.mtl", f"newmtl a\nmap_Kd {reference}\n"),
        ]
        return read_shape(
            kept(folders, "mesh.zip", archive(*entries, ("m/own.png", secret.read_bytes()))) / "ball.obj"
        ).colors

    assert (colors_of("own.png").textures[0].image[0, 0] == (255, 0, 0)).all()
    elsewhere = name.format(up="../..", absolute=secret)
    try:
        colors = colors_of(elsewhere)
    except BadInput:
        colors = None
    assert colors is None or not colors.textures


def test_a_gltf_does_not_read_files_elsewhere(folders):
    from scenes.shape.read import read_shape

    values = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes() + np.array([0, 1, 2], "<u4").tobytes()
    (folders.uploads / "secret.bin").write_bytes(values)

    def read(reference):
        gltf = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
            "buffers": [{"uri": reference, "byteLength": len(values)}],
            "bufferViews": [
                {"buffer": 0, "byteOffset": 0, "byteLength": 36},
                {"buffer": 0, "byteOffset": 36, "byteLength": 12},
            ],
            "accessors": [
                {
                    "bufferView": 0,
                    "componentType": 5126,
                    "count": 3,
                    "type": "VEC3",
                    "min": [0, 0, 0],
                    "max": [1, 1, 0],
                },
                {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"},
            ],
        }
        return read_shape(
            kept(folders, "mesh.zip", archive(("m/ball.gltf", json.dumps(gltf)), ("m/own.bin", values))) / "ball.gltf"
        )

    assert len(read("own.bin").faces) == 1
    for reference in (
        "../../secret.bin",
        str(folders.uploads / "secret.bin"),
        f"file://{folders.uploads / 'secret.bin'}",
    ):
        with pytest.raises(BadInput, match="cannot be read as a shape"):
            read(reference)
