"""Photographs and frames as they are given to COLMAP: upright, small, masked, with what is unusable left out."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed import find_pictures
from scenes.posed.find_film import SharpestFrames
from scenes.posed.find_pictures import EXIF_CAMERA, EXIF_FOCAL_LENGTH_35MM, Gathered, gather, is_numbered


@pytest.fixture
def photos(tmp_path, astronaut):
    """A folder with four photographs that differ."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(astronaut[20 * index :, 15 * index :][:400, :440]).save(folder / f"IMG 1{index}.jpg")
    return folder


def test_photographs_of_a_folder_are_saved_small_and_renamed(photos, tmp_path):
    fractions = []
    found = gather(photos, tmp_path / "work", longest=220, frames=9, progress=fractions.append)
    assert [picture.name for picture in found.pictures] == [f"IMG 1{i}.jpg" for i in range(4)]
    assert [picture.file for picture in found.pictures] == [f"IMG_1{i}.jpg" for i in range(4)]
    assert found.order == "numbered" and not found.left_out and fractions == [0.25, 0.5, 0.75, 1.0]
    assert Image.open(tmp_path / "work/images/IMG_10.jpg").size == (220, 200)
    # Small images are enlarged for COLMAP.
    assert Image.open(tmp_path / "work/features/IMG_10.jpg").size == (440, 400)
    assert not (tmp_path / "work/masks").exists() and not (tmp_path / "work/feature_masks").exists()
    assert Gathered.from_json(found.to_json()) == found


def test_a_zip_gives_what_its_folder_gives(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        for file in sorted(photos.iterdir()):
            packed.write(file, f"holiday/pictures/{file.name}")
        packed.writestr("holiday/readme.txt", "hello")
    found = gather(tmp_path / "photos.zip", tmp_path / "work", longest=400, frames=9)
    assert len(found.pictures) == 4 and found.pictures[0].name == "IMG 10.jpg"


def test_unreadable_photographs_and_doubles_are_left_out_with_reasons(photos, tmp_path):
    (photos / "IMG 11.jpg").write_bytes((photos / "IMG 11.jpg").read_bytes()[:900])
    (photos / "IMG 12.jpg").unlink()
    (photos / "IMG 12.jpg").symlink_to(tmp_path / "nothing.jpg")
    (photos / "IMG 20.jpg").write_bytes((photos / "IMG 10.jpg").read_bytes())
    found = gather(photos, tmp_path / "work", longest=400, frames=9)
    reasons = dict(found.left_out)
    assert set(reasons) == {"IMG 11.jpg", "IMG 12.jpg", "IMG 20.jpg"}
    assert str(tmp_path) not in " ".join(reasons.values())
    assert reasons["IMG 12.jpg"].startswith("cannot be opened") and reasons["IMG 20.jpg"].startswith("nearly the same")
    kept = {picture.file for picture in found.pictures}
    assert {file.name for file in (tmp_path / "work/images").iterdir()} == kept == {"IMG_10.jpg", "IMG_13.jpg"}


def test_alpha_is_masked_out_of_the_features_and_stays_in_the_scene(photos, tmp_path, astronaut, monkeypatch):
    monkeypatch.setattr(find_pictures, "MAX_ENLARGED", 1.0)
    pixels = np.dstack([astronaut, np.zeros(astronaut.shape[:2], np.uint8)])
    pixels[100:300, 100:400, 3] = 255
    Image.fromarray(pixels).save(photos / "cut.png")
    gather(photos, tmp_path / "work", longest=512, frames=9)
    assert Image.open(tmp_path / "work/images/cut.png").mode == "RGBA"
    seen = np.asarray(Image.open(tmp_path / "work/features/cut.png"))
    mask = np.asarray(Image.open(tmp_path / "work/feature_masks/cut.png.png"))
    assert (seen[0, 0] == 128).all() and (seen[200, 200] == astronaut[200, 200]).all()
    assert mask[200, 200] and not mask[99, 200] and not mask[101, 200] and mask[103, 200]
    assert [file.name for file in (tmp_path / "work/feature_masks").iterdir()] == ["cut.png.png"]
    assert not (tmp_path / "work/masks").exists()


@pytest.mark.parametrize("name", ["IMG 12.png", "IMG 12.jpg.png"])
def test_a_mask_file_goes_to_features_and_scene(photos, tmp_path, name):
    mask = np.zeros((200, 220), np.uint8)
    mask[:100] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / name)
    gather(photos, tmp_path / "work", longest=330, frames=9)
    kept = np.asarray(Image.open(tmp_path / "work/masks/IMG_12.png"))
    assert kept.shape == (300, 330) and kept[0, 0] == 255 and kept[299, 0] == 0
    assert np.asarray(Image.open(tmp_path / "work/feature_masks/IMG_12.jpg.png")).mean() == pytest.approx(127, abs=3)


def test_masks_that_fit_no_photograph_leave_it_out(photos, tmp_path):
    (photos / "masks").mkdir()
    Image.new("L", (90, 20), 255).save(photos / "masks" / "IMG 10.png")
    Image.new("L", (440, 400)).save(photos / "masks" / "IMG 11.png")
    found = gather(photos, tmp_path / "work", longest=330, frames=9)
    assert dict(found.left_out) == {
        "IMG 10.jpg": "its mask IMG 10.png is 90 x 20, which is another shape",
        "IMG 11.jpg": "its mask IMG 11.png masks out all of it",
    }


def test_lenses_and_sizes_are_told_apart(photos, tmp_path):
    image = Image.open(photos / "IMG 11.jpg")
    exif = Image.Exif()
    exif.get_ifd(EXIF_CAMERA)[EXIF_FOCAL_LENGTH_35MM] = 28
    image.save(photos / "IMG 11.jpg", exif=exif)
    Image.open(photos / "IMG 12.jpg").rotate(90, expand=True).save(photos / "IMG 12.jpg")
    found = gather(photos, tmp_path / "work", longest=400, frames=9)
    cameras = [picture.camera for picture in found.pictures]
    assert cameras[0] == cameras[3] and len(set(cameras)) == 3
    saved = Image.open(tmp_path / "work/features/IMG_11.jpg").getexif().get_ifd(EXIF_CAMERA)
    assert saved[EXIF_FOCAL_LENGTH_35MM] == 28


def test_a_film_becomes_its_sharpest_frames(tmp_path, astronaut):
    from scipy.ndimage import uniform_filter1d

    from scenes.video.write import write_video

    frames = [np.ascontiguousarray(astronaut[:256, 3 * i : 3 * i + 256]) for i in range(60)]
    blurred = [i for i in range(60) if i % 4 != 1 or 28 <= i < 32]
    for i in blurred:
        frames[i] = uniform_filter1d(frames[i], 9, axis=1)
    write_video(tmp_path / "film.mp4", frames, 10.0)
    found = gather(tmp_path / "film.mp4", tmp_path / "work", longest=256, frames=15)
    assert found.order == "film"
    assert [picture.name for picture in found.pictures] == [f"frame {i:05}" for i in range(1, 60, 4) if i != 29]
    assert len(found.left_out) == 1 and found.left_out[0][1].startswith("blurred")


def test_the_sharpest_frame_of_each_stretch_is_kept(astronaut):
    from scipy.ndimage import gaussian_filter

    saved, counts = [], []
    chosen = SharpestFrames(4, lambda frame, index: saved.append((index, frame.mean())), counts.append)
    for index in range(10):
        sigma = 0.0 if index in (2, 5, 9) else 2.0
        chosen.add(gaussian_filter(astronaut[::4, ::4], (sigma, sigma, 0)) // 2 + index)
    chosen.frames()
    assert [index for index, _ in saved] == [2, 5, 9] and counts == list(range(1, 11))


def test_sources_without_pictures_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no images"):
        gather(tmp_path / "empty", tmp_path / "a", longest=9, frames=9)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as packed:
        packed.writestr("readme.txt", "hello")
    with pytest.raises(BadInput, match="holds no images"):
        gather(tmp_path / "empty.zip", tmp_path / "b", longest=9, frames=9)
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(BadInput, match="is neither a film"):
        gather(tmp_path / "text.mp4", tmp_path / "c", longest=9, frames=9)
    (tmp_path / "sound.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(BadInput, match="is neither a film"):
        gather(tmp_path / "sound.wav", tmp_path / "d", longest=9, frames=9)
    (tmp_path / "empty" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    with pytest.raises(BadInput, match="none of its photographs can be read"):
        gather(tmp_path / "empty", tmp_path / "e", longest=9, frames=9)


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        (["IMG_1", "IMG_2", "IMG_4"], True),
        (["0001", "0002", "0003"], True),
        (["IMG_1", "IMG_200", "IMG_900"], False),
        (["a", "b", "c"], False),
        (["front1", "back2", "left3"], False),
    ],
)
def test_numbered_names_are_known(stems, expected):
    assert is_numbered(stems) is expected
