"""`fit-a-scene poses` with known cameras."""

import json

import pytest

from apps.cli.main import main
from scenes.posed.read import open_posed
from scenes.procedural import still_life


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(still_life, "SIDE", 16)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_the_procedural_scene_is_written_as_a_folder(small, tmp_path, capsys):
    assert main(["poses", "procedural:duck", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["views"] == 48 and report["test"] == 8 and report["out"] == "duck-posed"
    assert (tmp_path / report["drawing"]).stat().st_size > 10_000
    folder, named = open_posed(tmp_path / "duck-posed"), open_posed("procedural:duck")
    assert folder.box == named.box
    assert all((a.read_image() == b.read_image()).all() for a, b in zip(folder.views, named.views))
    assert main(["poses", "procedural:duck"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_sources_that_do_not_exist_are_refused(small, tmp_path, capsys):
    for source, message in [("procedural:goose", "there is duck"), ("nothing", "no such file")]:
        assert main(["poses", source, "--out", "somewhere"]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "somewhere").exists()


def test_what_is_left_out_is_printed_and_in_the_json(small, tmp_path, capsys, monkeypatch):
    from scenes.posed import find
    from scenes.posed.find_record import FoundPoses
    from scenes.posed.write import write_scene

    def find_poses(source, out, *, longest, frames, progress):
        assert (source, longest, frames) == ("photos", 500, 7)
        progress("matching", 0.0)
        progress("matching", 0.01)
        progress("cameras", 0.5)
        scene = open_posed("procedural:duck")
        write_scene(out, scene)
        used = tuple(view.name for view in scene.views)
        left_out = tuple((f"IMG_{i}.jpg", "blurred: 30% of the sharpness of its neighbours") for i in range(40))
        return FoundPoses(
            scene,
            used=used,
            left_out=left_out,
            reprojection_error=0.5123,
            seconds={"matching": 1.234},
            warnings=("expect little",),
            mapper="global",
        )

    monkeypatch.setattr(find, "find_poses", find_poses)
    (tmp_path / "photos").mkdir()
    assert main(["poses", "photos", "--longest", "500", "--frames", "7", "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert report["given"] == 88 and len(report["used"]) == report["views"] == 48 and report["mapper"] == "global"
    assert report["left_out"][3] == {"name": "IMG_3.jpg", "reason": "blurred: 30% of the sharpness of its neighbours"}
    assert report["error_pixels"] == 0.512 and report["seconds"] == {"matching": 1.23}
    lines = [line for line in captured.err.splitlines() if not line.startswith("poses: ")]
    assert lines[0] == "not used: IMG_0.jpg: blurred: 30% of the sharpness of its neighbours"
    assert lines[-2:] == ["not used: 10 more, in photos-posed/poses.json", "warning: expect little"]
