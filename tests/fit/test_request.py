"""Tests of requests: an option is described once, and the faces, headers and repeats follow."""

import argparse
import subprocess
import sys

import pytest

import scenes
from apps.cli.flags import add_flags, read_request
from apps.cli.main import Parser, main
from apps.cli.messages import with_flags
from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.distill.stages import Stages
from fields.fit.fit import prepare, prepare_request
from fields.fit.request import SAMPLES, FitRequest
from fields.options import Count, option, option_named, options_of, replace_arguments
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.image.signal import Image

REQUESTS = (FitRequest, DistillRequest, CompareRequest)


class ToyRequest(FitRequest):
    """A fit with one more option, which is all that adding an option takes besides the code that obeys it."""

    flavors: Count | None = option(
        None, section="method", metavar="N", kinds=("image",), help="Number of flavors. More taste better."
    )


def parsed(model, *arguments):
    parser = Parser(prog="fit")
    add_flags(parser, model)
    return parser.parse_args(arguments)


def test_new_option_is_a_flag_with_its_help_and_type(capsys):
    with pytest.raises(SystemExit):
        parsed(ToyRequest, "--help")
    shown = capsys.readouterr().out
    assert "--flavors N" in shown and "image: Number of flavors. More taste better." in " ".join(shown.split())
    assert read_request(ToyRequest, parsed(ToyRequest, "a.png", "--flavors", "2k")).flavors == 2000
    with pytest.raises(BadInput, match="argument --flavors: '0' should be a whole number of at least 1"):
        parsed(ToyRequest, "a.png", "--flavors", "0")


def test_new_option_is_a_control_of_the_studio(monkeypatch):
    controls = pytest.importorskip("apps.studio.controls")
    monkeypatch.setitem(controls.TAB_OPTIONS, ToyRequest, controls.TAB_OPTIONS[FitRequest])
    monkeypatch.setitem(controls.OMITTED_OPTIONS, ToyRequest, controls.OMITTED_OPTIONS[FitRequest])
    toy = next(shown for shown in controls.page_options(ToyRequest) if shown.name == "flavors")
    assert (toy.label, toy.widget, toy.hint, toy.kinds) == ("Flavors", "text", "N", ("image",))
    assert controls.values_of(ToyRequest, {"flavors": "3"}) == {"flavors": 3}
    with pytest.raises(BadInput, match="Flavors: 'none' is not a whole number"):
        controls.values_of(ToyRequest, {"flavors": "none"})


def test_new_option_is_in_the_header_and_is_repeated_and_not_changed(astronaut, tmp_path):
    signal = Image.from_array(astronaut[:32, :48])
    request = ToyRequest(steps=2, settings={"table_size": 1024}, flavors=5, out=tmp_path / "run")
    _, run = prepare_request(signal, request)
    header = Run.open(run.path).header
    assert header["flavors"] == 5 and header["options"]["table_size"] == 1024
    again = ToyRequest.from_header(header)
    assert again.flavors == 5 and again.steps == 2 and again.settings == header["options"]
    assert "flavors" in [changed.name for changed in ToyRequest(resume=True, flavors=6).changes()]
    assert not ToyRequest(resume=True, device="cpu", memory="1G").changes()
    # A header that was written before the option existed.
    assert ToyRequest.from_header({name: value for name, value in header.items() if name != "flavors"}).flavors is None


@pytest.mark.parametrize("model", REQUESTS)
def test_every_option_has_a_help_text_and_a_section(model):
    for shown in options_of(model):
        assert shown.help.endswith(".") and shown.section in model.sections
        assert shown.positional or shown.flag.startswith("--")


@pytest.mark.parametrize("name", [o.name for o in options_of(FitRequest) if o.section == SAMPLES and not o.hidden])
def test_options_of_samples_are_those_of_the_loaders_of_their_kinds(name):
    takes = {kind for kind in scenes.LOADERS if name in scenes.loader_options(kind)}
    assert set(option_named(FitRequest, name).kinds) == takes


def test_requests_load_no_torch():
    modules = "fields.fit.request, fields.distill.request, fields.compare.request"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "`steps`: '0' should be a whole number of at least 1"),
        ({"steps": 3, "seconds": 3}, "`steps` and `seconds`: give one of the two"),
        ({"stps": 3}, "there is no option 'stps'; did you mean steps"),
        ({"bits": 9}, "9 is not one of 8, 16, 32"),
        ({"init": "quick"}, "`init=quick`"),
        ({"start": "run", "method": "siren"}, "leave out `method` and `params`"),
        ({"start": "run", "init": "fresh"}, "`init=fresh` chooses what `start` brings along"),
        ({"part": "8,2"}, "END should come after START"),
        ({"keep_fraction": 0}, "should be above 0"),
    ],
)
def test_refuses_wrong_values_and_names_the_option(options, message):
    with pytest.raises(BadInput) as error:
        FitRequest(**options)
    assert message in str(error.value)


def test_values_are_given_as_text_or_as_values():
    typed = FitRequest(params="0.2M", memory="256M", part="1,2.5", settings=["width=64", "width=32"], seed="7")
    assert (typed.params, typed.memory, typed.part, typed.seed) == (200_000, 256 << 20, (1.0, 2.5), 7)
    assert typed.settings == {"width": "32"}
    assert FitRequest(params=200_000, part=(1, 2.5), settings={"width": 32}).part == (1.0, 2.5)


def test_python_takes_the_options_of_the_request(astronaut):
    signal = Image.from_array(astronaut[:32, :48])
    trainer, _ = prepare(signal, "siren", steps=3, settings={"width": 16}, bits=8, keep_fraction=0.5, seed=4)
    assert (trainer.total, trainer.bits, trainer.keep_fraction, trainer.seed) == (3, 8, 0.5, 4)
    with pytest.raises(BadInput, match="there is no option 'step'; did you mean steps"):
        prepare(signal, "siren", step=3)
    with pytest.raises(ValueError, match="held_out: not an option of prepare"):
        prepare(signal, "siren", steps=3, held_out=0.1)
    with pytest.raises(ValueError, match="settings are for a method that is given by its name"):
        prepare(signal, trainer.method, steps=3, settings={"width": 16})


def test_options_of_stages_are_told_from_those_of_the_method():
    request = DistillRequest(into="siren", settings=["cache=3", "width=16"], stages=Stages(feature_fraction=0.2))
    assert request.settings == {"width": "16"}
    assert (request.stages.cache, request.stages.feature_fraction) == (3, 0.2)
    with pytest.raises(BadInput, match="together at most 1"):
        DistillRequest(into="siren", settings=["feature_fraction=0.8", "value_fraction=0.7"])


def test_fits_of_a_comparison_share_its_options(tmp_path):
    request = CompareRequest(source="a.png", methods="hashgrid,siren", steps=3, params="6k", held_out=0.1)
    fit = request.fit("siren", seed=2, out=tmp_path)
    assert (fit.source, fit.method, fit.steps, fit.params, fit.held_out, fit.seed) == (
        "a.png",
        "siren",
        3,
        6000,
        0.1,
        2,
    )


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("raise `max_pixels=200` if you trust the file", "raise --max-pixels 200 if you trust the file"),
        ("`start=runs/a`: other size", "--from runs/a: other size"),
        ("`keep_fraction=2`: too much", "--keep 2: too much"),
        ("leave out `unbounded`", "leave out --bounded"),
        ("try `learning_rate=0.1`", "try --set learning_rate=0.1"),
        ("`fit-a-scene methods` lists them", "`fit-a-scene methods` lists them"),
    ],
)
def test_messages_of_the_library_are_shown_with_flags(message, shown):
    assert with_flags(message, parsed(FitRequest, "a.png")) == shown


def test_messages_for_other_commands_keep_the_names_of_arguments():
    given = argparse.Namespace(json=False)
    assert with_flags("raise `max_pixels=200` or `resume`", given) == "raise max_pixels=200 or resume"
    assert replace_arguments("`a=1` and `b`", lambda name, value: f"<{name}:{value}>") == "<a:1> and <b:None>"


def test_command_line_reports_options_that_do_not_go_together(capsys):
    assert main(["fit", "a.png", "--steps", "3", "--seconds", "3"]) == 2
    assert "error: --steps and --seconds: give one of the two" in capsys.readouterr().err
