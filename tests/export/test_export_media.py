"""Images, audio, videos and compressed files from the command line, read by other libraries."""

import json

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from apps.cli.main import main
from fields.render.raster import evaluate_image
from fields.runs.run import Run, load_field
from scenes.video.write import write_video

SMALL = ["--set", "batch=1024", "table_size=1024", "levels=4", "width=16"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory, astronaut):
    folder = tmp_path_factory.mktemp("photo")
    Image.fromarray(astronaut[60:108, 180:244]).save(folder / "a.png")
    assert main(["fit", str(folder / "a.png"), "--out", str(folder / "run"), "--steps", "60", *SMALL]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    time = np.arange(4000) / 8000
    soundfile.write(folder / "a.wav", 0.4 * np.sin(2 * np.pi * 300 * time), 8000)
    assert (
        main(["fit", str(folder / "a.wav"), "--out", str(folder / "run"), "--steps", "300", "--set", "batch=1024"]) == 0
    )
    return folder / "run"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    y, x = np.mgrid[:24, :32]
    write_video(
        folder / "a", np.stack([np.stack([x * 6, y * 8, 20 * t + 0 * x], -1) for t in range(6)]).astype(np.uint8), 6.0
    )
    assert main(["fit", str(folder / "a"), "--rate", "6", "--out", str(folder / "run"), "--steps", "100", *SMALL]) == 0
    return folder / "run"


def exported(run, out, capsys, *flags: str) -> dict:
    capsys.readouterr()
    assert main(["export", str(run), str(out), "--json", *flags]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("name", "tolerance"), [("a.png", 1), ("a.tif", 1), ("a.webp", 16), ("a.jpg", 16)])
def test_images_show_the_field_at_any_size_and_crop(photo, tmp_path, capsys, name, tolerance):
    report = exported(photo, tmp_path / name, capsys, "--crop", "16,8,48,40", "--scale", "1.5")
    assert (report["form"], report["width"], report["height"]) == ("image", 48, 48)
    found = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(float)
    wanted = evaluate_image(load_field(photo), 48, 48, (16 / 64, 8 / 48, 48 / 64, 40 / 48)).clip(0, 1) * 255
    assert np.abs(found - wanted).mean() <= tolerance
    assert report["bytes"] == (tmp_path / name).stat().st_size


def test_exr_files_hold_linear_light(photo, tmp_path, capsys):
    import OpenEXR

    exported(photo, tmp_path / "a.exr", capsys, "--size", "40x30")
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:
        channels = file.channels()
        found = (
            channels["RGB"].pixels
            if "RGB" in channels
            else np.stack([channels[name].pixels for name in "RGB"], axis=-1)
        )
    shown = evaluate_image(load_field(photo), 40, 30)
    linear = np.where(shown <= 0.04045, shown / 12.92, ((np.maximum(shown, 0) + 0.055) / 1.055) ** 2.4)
    within = (shown > 0) & (shown < 1)
    assert within.mean() > 0.9
    np.testing.assert_allclose(found[within], linear[within], atol=1e-3)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_audio_has_the_values_of_the_field_at_any_rate(audio, tmp_path, capsys, ending):
    report = exported(audio, tmp_path / f"a.{ending}", capsys, "--rate", "16000", "--part", "0.1,0.3")
    values, rate = soundfile.read(tmp_path / f"a.{ending}")
    assert (report["form"], rate, len(values)) == ("audio", 16000, 3200)
    at = 0.1 + (np.arange(3200) + 0.5) / 16000
    np.testing.assert_allclose(values, load_field(audio).at(torch.from_numpy(at))[:, 0].numpy(), atol=2e-3)


# Three times the clip's own rate, where frames lie between the fitted ones; equal frames of a GIF become one.
@pytest.mark.parametrize(("name", "tolerance", "rate"), [("a.mp4", 8, 18), ("a.gif", 12, 6), ("a", 1, 18)])
def test_videos_show_the_field_at_any_rate_and_size(video, tmp_path, capsys, name, tolerance, rate):
    import av

    report = exported(video, tmp_path / name, capsys, "--rate", str(rate), "--size", "16x12")
    assert (report["form"], report["frames"]) == ("video", rate)
    if name == "a":
        found = np.stack([np.asarray(Image.open(file)) for file in sorted((tmp_path / name).iterdir())])
    else:
        with av.open(str(tmp_path / name)) as container:
            found = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert found.shape == (rate, 12, 16, 3)
    field = load_field(video)
    x, y = torch.arange(32) + 0.5, torch.arange(24) + 0.5
    # Fitted frames, of which there are 6 a second, at half their size: means of 2 x 2 pixels.
    fitted = [
        field.at(x, y[:, None], torch.tensor(t)).reshape(12, 2, 16, 2, 3).mean((1, 3)).clamp(0, 1).numpy() * 255
        for t in (1.5 / 6, 2.5 / 6)
    ]
    # Video files keep colors at half the size, so brightness is compared.
    brightness = np.array([0.299, 0.587, 0.114])
    at = 4 if rate == 18 else 1
    assert np.abs((found[at] - fitted[0]) @ brightness).mean() < tolerance
    after = (2 * fitted[0] + fitted[1]) / 3 if rate == 18 else fitted[1]
    assert np.abs((found[at + 1] - after) @ brightness).mean() < tolerance
    report = exported(video, tmp_path / "one.png", capsys, "--time", "0.25", "--size", "16x12")
    assert report["form"] == "image"
    assert np.abs(np.asarray(Image.open(tmp_path / "one.png")) - fitted[0]).max() <= 1


def test_a_compressed_file_can_be_used_in_place_of_a_run(photo, tmp_path, capsys):
    small = tmp_path / "photo.fsq"
    report = exported(photo, small, capsys)
    stored = Run.open(photo).metrics()
    assert report["bytes"] == small.stat().st_size < 0.35 * stored["bytes"]
    assert report["bits_per_pixel"] == pytest.approx(8 * report["bytes"] / (64 * 48), abs=1e-4)
    assert report["metrics"]["psnr"] == pytest.approx(stored["metrics"]["psnr"], abs=0.2)
    assert main(["evaluate", str(small), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (
        again["metrics"]["psnr"] == pytest.approx(report["metrics"]["psnr"], abs=1e-6)
        and again["bytes"] == report["bytes"]
    )
    assert main(["info", str(small), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stored_bits"] == 8
    assert main(["render", str(small)]) == 0
    assert Image.open(tmp_path / "photo-render.png").size == (64, 48)
    exported(small, tmp_path / "b.png", capsys)
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "b.png")), np.asarray(Image.open(tmp_path / "photo-render.png"))
    )
    source = Run.open(photo).header["source"]["path"]
    assert (
        main(
            ["fit", source, "--from", str(small), "--steps", "5", "--out", str(tmp_path / "warm"), *SMALL[:2], "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] > report["metrics"]["psnr"] - 3
    assert main(["fit", str(small), "--out", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == stored["metrics"]
    fewer = exported(photo, tmp_path / "four.fsq", capsys, "--bits", "4")
    assert fewer["bytes"] < 0.7 * report["bytes"] and fewer["metrics"]["psnr"] < report["metrics"]["psnr"]


def test_compression_loses_nothing_of_a_field_that_was_trained_for_eight_bits(tmp_path, astronaut, capsys):
    Image.fromarray(astronaut[60:108, 180:244]).save(tmp_path / "a.png")
    assert (
        main(
            [
                "fit",
                str(tmp_path / "a.png"),
                "--out",
                str(tmp_path / "run"),
                "--steps",
                "30",
                "--bits",
                "8",
                "--keep",
                "0.5",
                *SMALL,
            ]
        )
        == 0
    )
    report = exported(tmp_path / "run", tmp_path / "a.fsq", capsys)
    weights, again = load_field(tmp_path / "run").state_dict(), load_field(tmp_path / "a.fsq").state_dict()
    for name, tensor in weights.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-5, atol=1e-7)
    assert report["metrics"]["psnr"] == pytest.approx(report["metrics_before"]["psnr"], abs=1e-3)
    assert report["bits_per_number"] < 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav"], "it becomes image: .png"),
        (["a.png", "--rate", "3"], "--rate"),
        (["a.png", "--crop", "0,0,900,20"], "reaches outside"),
        (["a.png", "--crop", "0,0,0,9,9,9"], "X0,Y0,X1,Y1 in pixels"),
        (["a.fsq", "--bits", "9"], "2 to 8"),
        (["missing/a.png"], "does not exist"),
        (["missing/a.fsq"], "does not exist"),
        (["a.png", "--size", "9x9", "--scale", "2"], "one of the two"),
        (["a.png", "--as", "video"], "as .png as video"),
        (["a.png", "--resolution", "100"], "--resolution"),
        (["a.tga"], ".tga"),
    ],
)
def test_refuses_impossible_exports_of_an_image_in_one_line(photo, tmp_path, capsys, arguments, words):
    assert main(["export", str(photo), str(tmp_path / arguments[0]), *arguments[1:]]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_refuses_damaged_compressed_files(photo, tmp_path, capsys):
    exported(photo, tmp_path / "a.fsq", capsys)
    content = (tmp_path / "a.fsq").read_bytes()
    for damaged in (content[:30], content[:-5]):
        (tmp_path / "b.fsq").write_bytes(damaged)
        for command in ("evaluate", "render", "info"):
            assert main([command, str(tmp_path / "b.fsq")]) == 2
            assert "b.fsq: not a whole compressed field" in capsys.readouterr().err
    assert main(["fit", str(tmp_path / "a.fsq"), "--out", str(tmp_path / "run"), "--steps", "3"]) == 2
    assert "repeats" in capsys.readouterr().err
