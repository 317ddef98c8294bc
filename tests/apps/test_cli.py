"""Tests of the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from apps.cli.main import arrange, main
from fields.runs.run import Run

QUICK = ["--steps", "20", "--set", "batch=2048", "table_size=1024"]


def cli(*arguments, **options):
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "apps.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def refused(capsys, *arguments) -> str:
    """The one line with which bad input is refused; checks status and form."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert status == 2
    assert captured.out == ""
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture
def run(tmp_path, photograph, capsys):
    """A quickly fitted run."""
    assert main(["fit", str(photograph), "--out", str(tmp_path / "run"), *QUICK]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_fit_json_has_the_keys_of_the_contract(tmp_path, photograph, capsys):
    assert main(["fit", str(photograph), "--out", str(tmp_path / "run"), "--json", *QUICK]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.strip().splitlines()[-1])
    assert len(captured.out.strip().splitlines()) == 1
    assert {"run", "kind", "method", "parameters", "steps", "seconds", "device", "backend", "metrics"} <= set(report)
    assert (report["kind"], report["method"], report["steps"]) == ("image", "hashgrid", 20)
    assert set(report["metrics"]) == {"psnr", "ssim"}
    for name in ("run.json", "field.safetensors", "history.jsonl", "metrics.json", "preview.png", "checkpoint"):
        assert (tmp_path / "run" / name).exists()
    assert "preview.png" in captured.err


def test_flags_work_in_any_position(tmp_path, photograph, capsys):
    out = tmp_path / "run"
    assert (
        main(
            ["--json", "fit", "--set", "batch=2048", "table_size=1024", "--out", str(out), str(photograph), "--steps=3"]
        )
        == 0
    )
    header = Run.open(out).header
    assert (header["options"]["batch"], header["options"]["table_size"], header["steps"]) == (2048, 1024, 3)
    assert json.loads(capsys.readouterr().out)["steps"] == 3


@pytest.mark.parametrize(
    ("given", "arranged"),
    [
        (["--json", "fit", "a.png"], ["fit", "--json", "a.png"]),
        (["fit", "--set", "a=1", "b=2", "x.png"], ["fit", "--set=a=1", "--set=b=2", "x.png"]),
        (["fit", "--set", "--steps", "3"], ["fit", "--set", "--steps", "3"]),
        (["fit", "a.png", "--set"], ["fit", "a.png", "--set"]),
    ],
)
def test_arrange_puts_the_command_first_and_repeats_set(given, arranged):
    assert arrange(given) == arranged


def test_time_budget_is_kept_and_stored(tmp_path, photograph, capsys):
    assert main(["fit", str(photograph), "--out", str(tmp_path / "run"), "--seconds", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    header = Run.open(tmp_path / "run").header
    assert header["steps"] == report["steps"] == header["steps_done"]
    assert 0.5 < report["seconds"] < 3.0


def test_params_is_met_to_within_3_percent(tmp_path, photograph, capsys):
    assert (
        main(["fit", str(photograph), "--out", str(tmp_path / "run"), "--steps", "2", "--params", "20k", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["parameters"] == pytest.approx(20_000, rel=0.03)


@pytest.mark.parametrize("method", ["frequency", "fourier", "siren", "densegrid"])
def test_every_method_fits(tmp_path, photograph, capsys, method):
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--out",
                str(tmp_path / "run"),
                "--method",
                method,
                "--json",
                "--steps",
                "30",
                "--set",
                "width=32",
                "batch=2048",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] > 12


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("backend=tcnn", "backend=tcnn: tiny-cuda-nn"),
        ("matmul_dtype=bfloat16 fused=off", "matmul_dtype=bfloat16 needs the native kernels"),
    ],
)
def test_names_what_this_machine_lacks(tmp_path, photograph, capsys, monkeypatch, option, says):
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # importing it fails
    assert says in refused(capsys, "fit", photograph, "--out", tmp_path / "run", "--set", *option.split(), *QUICK)
    assert not (tmp_path / "run").exists()


def test_a_fit_with_bfloat16_matmul_dtype(tmp_path, photograph, capsys):
    """Where the processor has them it fits as well; where not it says so."""
    from fields.ops.mlp import why_not_matmul_dtype

    found = main(
        ["fit", str(photograph), "--out", str(tmp_path / "run"), "--json", "--set", "matmul_dtype=bfloat16", *QUICK]
    )
    captured = capsys.readouterr()
    if why_not_matmul_dtype("bfloat16"):
        assert found == 2 and "matmul_dtype=bfloat16" in captured.err
    else:
        assert json.loads(captured.out)["metrics"]["psnr"] > 12


def test_evaluate_repeats_the_score(run, capsys):
    stored = Run.open(run).metrics()["metrics"]
    assert main(["evaluate", str(run), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["metrics"]
    assert again == pytest.approx(stored, abs=1e-4)


def test_evaluate_on_another_image_is_worse(run, tmp_path, photograph, capsys):
    Image.open(photograph).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    main(["evaluate", str(run), "--json", "--data", str(tmp_path / "mirrored.png")])
    mirrored = json.loads(capsys.readouterr().out)["metrics"]["psnr"]
    assert mirrored < Run.open(run).metrics()["metrics"]["psnr"]


def test_render_sizes_and_crops_agree(run, tmp_path, capsys):
    whole, crop = tmp_path / "whole.png", tmp_path / "crop.png"
    assert main(["render", str(run), "--scale", "2", "--out", str(whole)]) == 0
    assert main(["render", str(run), "--scale", "2", "--crop", "10,20,40,50", "--out", str(crop)]) == 0
    pixels = np.asarray(Image.open(whole))
    assert pixels.shape == (128, 192, 3)
    np.testing.assert_allclose(np.asarray(Image.open(crop)).astype(int), pixels[40:100, 20:80].astype(int), atol=1)
    assert main(["render", str(run), "--size", "50x7", "--out", str(whole), "--json"]) == 0
    assert Image.open(whole).size == (50, 7)


def test_info_and_methods_print_and_give_json(run, capsys):
    assert main(["info", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "hashgrid"
    assert main(["info", str(run)]) == 0
    assert "hashgrid" in capsys.readouterr().out
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["methods"]
    assert {"hashgrid", "frequency", "fourier", "siren"} <= {method["name"] for method in listed}
    assert all(option["description"] for method in listed for option in method["options"])
    assert main(["methods", "hashgrid"]) == 0
    assert "table_size" in capsys.readouterr().out


def test_doctor_finds_the_native_kernel_and_it_agrees(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["backends"]["native-cpu"] == "loads"
    assert report["parity"]["verdict"] == "agree"
    assert main(["doctor"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "self-test" in shown and "--set march=nerfacc: samples of scenes" in shown


def test_second_run_of_a_source_gets_its_own_folder(tmp_path, photograph, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for expected in ("runs/photo", "runs/photo-2"):
        assert main(["fit", str(photograph), "--json", *QUICK]) == 0
        assert json.loads(capsys.readouterr().out)["run"] == expected


def test_help_is_quick_and_imports_no_torch():
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        done = cli("--help")
        seconds.append(time.perf_counter() - begun)
        assert done.returncode == 0
    assert min(seconds) < 1.0
    assert "examples" in done.stdout
    code = "import sys, apps.cli.main as m; m.build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_ctrl_c_saves_and_resume_finishes_with_the_same_weights(tmp_path, photograph):
    options = [photograph, "--seed", "3", "--steps", "1200", "--set", "batch=2048", "table_size=256"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    one_thread = os.environ | {
        "OMP_NUM_THREADS": "1"
    }  # tiny steps: two threads on a busy machine mostly wait for each other
    assert cli("fit", *options, "--out", whole, env=one_thread).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.cli.main", "fit", *map(str, options), "--out", str(cut)],
        stderr=subprocess.PIPE,
        text=True,
        env=one_thread,
    )
    wait_for(lambda: (cut / "history.jsonl").is_file())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    stopped = Run.open(cut).header
    assert stopped["status"] == "stopped"
    assert 0 < stopped["steps_done"] < 1200
    assert cli("fit", photograph, "--out", cut, "--resume", env=one_thread).returncode == 0
    assert Run.open(cut).header["status"] == "finished"
    assert (cut / "field.safetensors").read_bytes() == (whole / "field.safetensors").read_bytes()


def test_killed_run_has_a_checkpoint_and_evaluate_refuses_it(tmp_path, photograph, monkeypatch):
    out = tmp_path / "run"
    code = (
        "import fields.fit.callbacks as c, sys; c.CHECKPOINT_SECONDS = 0.2; from apps.cli.main import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", str(photograph), "--out", str(out), "--steps", "100000"],
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: (out / "checkpoint" / "state.safetensors").is_file())
    process.kill()
    process.wait()
    run = Run.open(out)
    assert run.header["status"] == "running"
    run.write_header(steps=1)  # the rest of a hundred thousand steps is not worth waiting for
    assert cli("evaluate", out).returncode == 2  # nothing to score yet, and it says so


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_resume_of_a_finished_run_changes_nothing(run, photograph, capsys):
    before = (run / "field.safetensors").read_bytes()
    assert main(["fit", str(photograph), "--out", str(run), "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 20
    assert (run / "field.safetensors").read_bytes() == before


def test_refuses_to_resume_on_another_image_or_with_other_options(run, tmp_path, photograph, capsys):
    Run.open(run).write_header(status="stopped")
    assert "--steps" in refused(capsys, "fit", photograph, "--out", run, "--resume", "--steps", "5")
    Image.new("RGB", (96, 64)).save(photograph)
    assert "has changed" in refused(capsys, "fit", photograph, "--out", run, "--resume")


def test_repeated_run_has_bit_identical_weights_and_takes_no_options(run, tmp_path, capsys):
    assert main(["fit", str(run / "run.json"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "field.safetensors").read_bytes() == (run / "field.safetensors").read_bytes()
    capsys.readouterr()
    assert "--steps" in refused(capsys, "fit", run, "--steps", "7")


def test_from_begins_with_the_weights_of_another_run(run, tmp_path, photograph, capsys):
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--from",
                str(run),
                "--steps",
                "1",
                "--out",
                str(tmp_path / "warm"),
                "--json",
                "--set",
                "learning_rate=1e-6",
                "table_rate=1e-6",
            ]
        )
        == 0
    )
    warm = json.loads(capsys.readouterr().out)["metrics"]["psnr"]
    assert warm == pytest.approx(Run.open(run).metrics()["metrics"]["psnr"], abs=0.1)
    Image.open(photograph).convert("L").save(tmp_path / "grey.png")
    assert "same method, size and channels" in refused(
        capsys, "fit", tmp_path / "grey.png", "--from", run, "--steps", "1", "--out", tmp_path / "none"
    )
    assert "--params" in refused(
        capsys, "fit", photograph, "--from", run, "--params", "9000", "--out", tmp_path / "none"
    )


def test_held_out_pixels_are_scored(tmp_path, photograph, capsys):
    assert main(["fit", str(photograph), "--held-out", "0.2", "--out", str(tmp_path / "run"), "--json", *QUICK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["metrics"]) == {"psnr"}
    assert main(["evaluate", report["run"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] == pytest.approx(report["metrics"]["psnr"], abs=1e-3)


def test_a_mask_keeps_pixels_out_of_the_fit(tmp_path, photograph, capsys):
    """Poison behind the mask must leave no trace: the weights are those of the clean picture."""
    pixels = np.array(Image.open(photograph))
    mask = np.full(pixels.shape[:2], 255, np.uint8)
    mask[20:30, 30:50] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    poisoned = pixels.copy()
    poisoned[mask == 0] = (255, 0, 255)
    Image.fromarray(poisoned).save(tmp_path / "poisoned.png")
    for name, source in (("clean", photograph), ("poison", tmp_path / "poisoned.png")):
        assert (
            main(["fit", str(source), "--mask", str(tmp_path / "mask.png"), "--out", str(tmp_path / name), *QUICK]) == 0
        )
    weights = [(tmp_path / name / "field.safetensors").read_bytes() for name in ("clean", "poison")]
    assert weights[0] == weights[1]


def test_refuses_sources_that_cannot_be_read(tmp_path, photograph, capsys):
    empty, text, cut = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "cut.png"
    empty.touch()
    (tmp_path / "bare").mkdir()
    text.write_text("this is no picture")
    cut.write_bytes(photograph.read_bytes()[:2000])
    out = tmp_path / "run"
    for source, words in [
        (tmp_path / "phoot.png", "photo.png"),
        (tmp_path / "bare", "folder"),
        (empty, "empty"),
        (text, "text.png"),
        (cut, "cut.png"),
        ("skimage:astronaught", "astronaut"),
    ]:
        assert words in refused(capsys, "fit", source, "--out", out, "--steps", "2")
        assert not out.exists()


def test_refuses_folders_that_hold_something(tmp_path, photograph, run, capsys):
    before = sorted(os.listdir(run))
    assert "--resume" in refused(capsys, "fit", photograph, "--out", run, *QUICK)
    assert sorted(os.listdir(run)) == before
    assert "cannot be written" in refused(capsys, "fit", photograph, "--out", photograph / "inside", *QUICK)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    assert "not an empty folder" in refused(capsys, "fit", photograph, "--out", other, *QUICK)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "hashgird"], "hashgrid"),
        (["--set", "levls=3"], "levels"),
        (["--set", "levels=0"], "levels=0"),
        (["--set", "levels"], "KEY=VALUE"),
        (["--steps", "0"], "at least 1"),
        (["--steps", "1.5"], "whole number"),
        (["--seconds", "-3"], "above 0"),
        (["--seconds", "nan"], "above 0"),
        (["--steps", "3", "--seconds", "3"], "one of the two"),
        (["--params", "7"], "--params 7"),
        (["--seed", "-1"], "from 0 on"),
        (["--held-out", "1"], "between 0 and 1"),
        (["--mask", "nowhere.png"], "nowhere.png"),
        (["--memory", "lots"], "number of bytes"),
        (["--max-pixels", "100"], "--max-pixels"),
        (["--kind", "smell"], "smell"),
        (["--device", "cuda"], "CUDA"),
        (["--sped", "3"], "--sped"),
    ],
)
def test_refuses_wrong_options_with_one_line(tmp_path, photograph, capsys, arguments, words):
    assert words in refused(capsys, "fit", photograph, "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()


def test_refuses_damaged_runs_and_wrong_render_options(tmp_path, run, capsys):
    assert "no such run" in refused(capsys, "info", tmp_path / "nothing")
    assert "not a run" in refused(capsys, "info", tmp_path)
    assert "outside" in refused(capsys, "render", run, "--crop", "0,0,1000,10")
    assert "empty" in refused(capsys, "render", run, "--crop", "5,5,5,9")
    assert "one of the two" in refused(capsys, "render", run, "--size", "4x4", "--scale", "2")
    assert ".xyz" in refused(capsys, "render", run, "--out", tmp_path / "picture.xyz")
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, "format": 999}))
    assert "newer" in refused(capsys, "info", run)
    (run / "run.json").write_text(json.dumps(header)[:50])
    assert "run.json" in refused(capsys, "info", run)
    (run / "run.json").write_text(json.dumps(header))
    weights = (run / "field.safetensors").read_bytes()
    (run / "field.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "field.safetensors" in refused(capsys, "render", run)


def test_debug_shows_a_traceback(tmp_path, capsys):
    main(["fit", str(tmp_path / "none.png"), "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_missing_and_unknown_commands_list_the_commands(capsys):
    assert re.search("COMMAND", refused(capsys, "--json"))
    assert "fit" in refused(capsys, "fitt")
