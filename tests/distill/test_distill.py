"""Tests of distillation: every architecture into every other, from the teacher alone."""

import numpy as np
import pytest
import torch

import fields
from apps.cli.main import main
from fields.distill import distill_field
from fields.distill.distill import check_data, prepare, resume
from fields.distill.features import last_features, output_layer
from fields.distill.stages import FEATURES, RENDERED, VALUES, Stages
from fields.fit.fit import finish
from fields.methods.registry import make_method
from fields.runs.run import Run
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.signal import Image
from scenes.shape.signal import Shape
from scenes.video.signal import Video
from scenes.volume.signal import Volume

GRID = {"table_size": 2048, "width": 16, "batch": 4096}
SINES = {"width": 32, "hidden_layers": 2, "batch": 2048}
OPTIONS = {
    "hashgrid": GRID,
    "densegrid": {"width": 16, "batch": 4096},
    "siren": SINES,
    "frequency": {**SINES, "learning_rate": 5e-3, "octaves": 6},
    "rbf": {"batch": 2048},
    "cam": {"batch": 2048, "width": 32, "learning_rate": 5e-3},
}


@pytest.fixture(scope="module")
def teacher(astronaut, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "teacher"
    fields.fit_field(Image.from_array(astronaut[60:108, 180:236]), "hashgrid", steps=200, settings=GRID, out=out)
    return Run.open(out)


def weights(field):
    return {name: tensor.clone() for name, tensor in field.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("into", OPTIONS)
def test_a_student_of_any_architecture_learns_from_the_field_alone(teacher, into, tmp_path):
    result = distill_field(teacher, into, steps=400, settings=OPTIONS[into], out=tmp_path / "student")
    values = teacher.load_field().at(*torch.meshgrid(torch.arange(56) + 0.5, torch.arange(48) + 0.5, indexing="xy"))
    mean = -10 * np.log10(float(((values - values.mean(dim=(0, 1))) ** 2).mean()))
    assert result.metrics["psnr"] > mean + 4
    student = Run.open(tmp_path / "student")
    assert student.header["method"] == into
    assert student.header["teacher"]["method"] == "hashgrid"
    assert torch.equal(student.load_field().at(3.5, 4.5), result.field.at(3.5, 4.5))


def test_teacher_is_unchanged_and_the_feature_stage_does_not_train_the_last_layer(teacher):
    trainer, _ = prepare(teacher, "siren", steps=40, settings=SINES, stages=Stages(feature_fraction=0.5))
    field, taught = trainer.field, trainer.objective.teacher
    before, last = weights(taught), output_layer(field).weight.clone()
    first = field.network.hidden[0].weight.clone()
    seen = []
    trainer.callbacks.append(lambda t: seen.append((t.objective.stage, torch.equal(output_layer(field).weight, last))))
    trainer.run()
    assert seen[:20] == [(FEATURES, True)] * 20
    assert seen[20:] == [(VALUES, False)] * 20
    assert same(before, taught.state_dict())
    assert all(p.grad is None for p in taught.parameters())
    assert not torch.equal(field.network.hidden[0].weight, first)


def test_features_approach_the_teachers(teacher):
    trainer, _ = prepare(
        teacher, "hashgrid", steps=120, settings=GRID, stages=Stages(feature_fraction=1.0, value_fraction=0.0)
    )
    losses = []
    trainer.callbacks.append(lambda t, losses=losses: losses.append(t.loss))
    trainer.run()
    assert np.mean(losses[-10:]) < 0.5 * losses[0]


def test_features_are_the_inputs_of_the_last_layer(teacher):
    domain, channels, coords = teacher.load_field().domain, teacher.load_field().channels, torch.rand(17, 2)
    for name, options in list(OPTIONS.items())[:4]:
        method = make_method(name, options).prepare(Image.from_array(np.zeros((48, 56, 3), np.uint8)))
        field = method.build(domain, channels, 0)
        values = torch.nn.functional.linear(
            last_features(field, coords), output_layer(field).weight, output_layer(field).bias
        )
        torch.testing.assert_close(values * field.scale + field.offset, field(coords), rtol=1e-4, atol=1e-5)


def test_share_heads_copies_the_network_and_without_it_nothing(teacher):
    taught = teacher.load_field()
    trainer, _ = prepare(teacher, "densegrid", steps=1, settings={"width": 16})
    network = {name: t for name, t in trainer.field.state_dict().items() if name.startswith("network.")}
    assert not any(
        name in taught.state_dict() and torch.equal(t, taught.state_dict()[name]) for name, t in network.items()
    )
    sharing, run = prepare(teacher, "hashgrid", steps=1, settings={**GRID, "table_size": 1024}, share_heads=True)
    for name in ("network.hidden.0.weight", "network.hidden.1.weight", "network.output.weight"):
        assert torch.equal(sharing.field.state_dict()[name], taught.state_dict()[name])
    assert not any(
        name.startswith("encoder.") and torch.equal(t, taught.state_dict()[name])
        for name, t in sharing.field.state_dict().items()
        if t.shape == taught.state_dict()[name].shape
    )
    assert sharing.objective.match.map is None
    with pytest.raises(BadInput, match="share_heads"):
        prepare(teacher, "siren", steps=1, settings=SINES, share_heads=True)


def test_distillation_does_not_need_the_data(photograph, tmp_path):
    run = tmp_path / "teacher"
    import scenes

    fields.fit_field(scenes.load(str(photograph)), "hashgrid", steps=20, settings=GRID, out=run)
    with_data = distill_field(run, "siren", steps=10, settings=SINES)
    photograph.unlink()
    without = distill_field(run, "siren", steps=10, settings=SINES)
    assert same(weights(with_data.field), weights(without.field))


def test_stopped_and_resumed_distillation_has_bit_identical_weights(teacher, tmp_path):
    stages = Stages(feature_fraction=0.6)
    whole = distill_field(teacher, "siren", steps=30, settings=SINES, stages=stages)
    for stop in (11, 23):  # in the stage of features, and in that of values
        trainer, run = prepare(teacher, "siren", steps=30, settings=SINES, stages=stages, out=tmp_path / str(stop))
        assert not finish(trainer, run, [lambda t, stop=stop: t.stop() if t.index == stop else None]).finished
        again = finish(resume(Run.open(run.path)), run)
        assert again.finished
        assert same(weights(again.field), weights(whole.field))


def test_refuses_to_resume_with_another_teacher(teacher, tmp_path, capsys, monkeypatch):
    import shutil

    monkeypatch.chdir(tmp_path)
    shutil.copytree(teacher.path, "teacher")
    trainer, run = prepare(Run.open("teacher"), "siren", steps=30, settings=SINES, out=tmp_path / "student")
    finish(trainer, run, [lambda t: t.stop() if t.index == 5 else None])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume(Run.open(tmp_path / "student")).index == 5  # (its path is whole)
    fields.fit_field(
        Image.from_array(np.zeros((8, 8, 3), np.uint8)), "hashgrid", steps=1, settings=GRID, out=tmp_path / "other"
    )
    # RUN is another field; it is the one, moved; the one has changed since.
    assert main(["distill", str(tmp_path / "other"), "--out", str(tmp_path / "student"), "--resume"]) == 2
    assert "is not the field that" in capsys.readouterr().err
    (tmp_path / "teacher").rename(tmp_path / "moved")
    assert main(["distill", str(tmp_path / "moved"), "--out", str(tmp_path / "student"), "--resume"]) == 0
    run.write_header(status="stopped")
    shutil.copy(tmp_path / "other" / "field.safetensors", tmp_path / "moved")
    with pytest.raises(BadInput, match="has changed since"):
        resume(run, teacher_run=Run.open(tmp_path / "moved"))


def test_refuses_unsuitable_data_before_training(teacher, tmp_path, capsys):
    from PIL import Image as Pillow

    data, out = str(tmp_path / "grey.png"), tmp_path / "student"
    Pillow.fromarray(np.zeros((9, 8), np.uint8)).save(data)
    assert (
        main(["distill", str(teacher.path), "--into", "siren", "--steps", "1", "--data", data, "--out", str(out)]) == 2
    )
    assert "has the channels grey; the field of" in capsys.readouterr().err and not out.exists()
    with pytest.raises(BadInput, match="has 3 dimensions"):
        check_data(Volume.from_array(np.arange(64, dtype=np.float32).reshape(4, 4, 4)), teacher)


def test_stage_is_shown_and_logged(teacher, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("apps.cli.progress.LINE_SECONDS", 0.0)
    monkeypatch.setattr("fields.fit.callbacks.LOG_SECONDS", 0.0)
    assert (
        main(
            [
                "distill",
                str(teacher.path),
                "--into",
                "siren",
                "--steps",
                "4",
                "--set",
                "width=16",
                "batch=64",
                "feature_fraction=0.5",
                "--out",
                str(tmp_path / "student"),
            ]
        )
        == 0
    )
    told = capsys.readouterr().err
    assert "features  1/4 steps" in told and "values  3/4 steps" in told and "against the teacher: psnr" in told
    assert [row["stage"] for row in Run.open(tmp_path / "student").history()] == [FEATURES] * 2 + [VALUES] * 2


PICTURES = {
    **OPTIONS,
    "fourier": SINES,
    "neurbf": {"kernels": 64, "table_size": 256, "growth": 2.0, "width": 16, "batch": 1024},
}


@pytest.mark.parametrize("taught", ["hashgrid", "siren", "fourier", "cam", "rbf", "neurbf"])
def test_every_architecture_into_every_other(taught, astronaut, tmp_path):
    fields.fit_field(
        Image.from_array(astronaut[60:84, 180:208]),
        taught,
        steps=3,
        settings=PICTURES[taught],
        out=tmp_path / "teacher",
    )
    for into in ("hashgrid", "siren", "fourier", "cam", "rbf", "neurbf"):
        trainer, _ = prepare(
            Run.open(tmp_path / "teacher"), into, steps=4, settings=PICTURES[into], stages=Stages(feature_fraction=0.5)
        )
        losses = []
        trainer.callbacks.append(lambda t, losses=losses: losses.append(t.loss))
        trainer.run()
        assert len(losses) == 4 and np.isfinite(losses).all(), into


def test_time_budget_is_kept(teacher):
    trainer, _ = prepare(teacher, "hashgrid", seconds=2.0, settings=GRID)
    result = finish(trainer, None)
    assert trainer.done
    assert result.steps > 10
    assert 0.3 < result.seconds < 6


def test_stages_get_their_fractions_of_the_steps():
    stages = Stages(feature_fraction=0.2, value_fraction=0.3)
    every = (FEATURES, VALUES, RENDERED)
    assert [stages.stage_of(step, 10, every) for step in range(10)] == [FEATURES] * 2 + [VALUES] * 3 + [RENDERED] * 5
    assert [stages.stage_of(step, 10, (FEATURES, VALUES)) for step in range(10)] == [FEATURES] * 2 + [VALUES] * 8
    assert stages.stage_of(0, 10, (VALUES,)) == VALUES
    with pytest.raises(ValueError, match="together"):
        Stages(feature_fraction=0.7, value_fraction=0.6)


def test_distils_audio(tmp_path):
    t = np.arange(4000) / 8000
    fields.fit_field(
        Audio.from_array((0.3 * np.sin(500 * t)).astype(np.float32), 8000),
        "hashgrid",
        steps=150,
        out=tmp_path / "a",
        settings={"batch": 2048},
    )
    assert distill_field(tmp_path / "a", "densegrid", steps=200, settings={"batch": 2048}).metrics["snr"] > 10


def test_distils_volumes_and_videos(tmp_path):
    x = np.linspace(0, 3, 20)
    waves = (0.5 + 0.5 * np.sin(x[:, None, None] + 2 * x[None, :, None]) * np.cos(x[None, None])).astype(np.float32)
    fields.fit_field(Volume.from_array(waves), "hashgrid", steps=150, settings=GRID, out=tmp_path / "volume")
    assert distill_field(tmp_path / "volume", "triplane", steps=150, settings={"batch": 4096}).metrics["psnr"] > 25
    frames = np.repeat((waves[..., None] * 255).astype(np.uint8), 3, axis=-1)
    fields.fit_field(Video.from_array(frames), "hashgrid", steps=150, settings=GRID, out=tmp_path / "clip")
    assert distill_field(tmp_path / "clip", "densegrid", steps=150, settings={"batch": 4096}).metrics["psnr"] > 20


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["signed", "unsigned", "occupancy"])
def test_distilled_shapes_keep_their_surface_and_normals(quantity, tmp_path, monkeypatch):
    import trimesh

    monkeypatch.setattr("fields.fit.objectives.shape.RESOLUTION", 64)
    monkeypatch.setattr("fields.fit.objectives.shape.VOLUME_POINTS", 1 << 16)
    monkeypatch.setattr("fields.fit.objectives.shape.SURFACE_POINTS", 20_000)
    monkeypatch.setattr("fields.distill.teacher.RESOLUTION", 64)
    ball = trimesh.creation.icosphere(3)
    shape = Shape.from_mesh(ball.vertices, ball.faces, quantity=quantity)
    taught = fields.fit_field(
        shape, "hashgrid", steps=200, settings={"table_size": 4096, "width": 16, "batch": 16384}, out=tmp_path / "ball"
    )
    result = distill_field(tmp_path / "ball", "densegrid", steps=200, settings={"batch": 16384})
    assert result.metrics["chamfer"] < 0.01
    if quantity == "signed":
        assert taught.metrics["iou"] > 0.97
        assert result.metrics["iou"] > 0.95
        trainer, _ = prepare(
            Run.open(tmp_path / "ball"), "siren", steps=6, settings=SINES, stages=Stages(normal_weight=0.1)
        )
        stages = []
        trainer.callbacks.append(lambda t: stages.append(t.objective.stage))
        trainer.run()
        assert stages[-1] == RENDERED
        assert trainer.loss > 0


def test_refuses_unsuitable_teachers_and_students(teacher, tmp_path):
    with pytest.raises(BadInput, match="has no field to learn from"):
        prepare(Run.create(tmp_path / "empty", {"kind": "image", "source": {"path": "x"}}), "siren", steps=1)
    with pytest.raises(BadInput, match="not a whole header"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "field.safetensors").write_bytes(b"")
        (tmp_path / "other" / "run.json").write_text('{"format": 1, "kind": "smell"}')
        prepare(Run.open(tmp_path / "other"), "siren", steps=1)
    with pytest.raises(BadInput, match="dimensions"):
        prepare(teacher, "triplane", steps=1)
    with pytest.raises(BadInput, match="memory"):
        prepare(
            teacher, "hashgrid", steps=1, settings={"levels": 24, "table_size": 2**26, "features": 8, "growth": 2.0}
        )
    fields.fit_field(
        Image.from_array(np.zeros((8, 8, 3), np.uint8)), "hashgrid", steps=1, settings=GRID, out=tmp_path / "plain"
    )
    with pytest.raises(BadInput, match="resume"):
        resume(Run.open(tmp_path / "plain"))
