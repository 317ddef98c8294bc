"""Controls of the page: they offer every option of the requests, and what is typed there arrives."""

import argparse

import pytest

pytest.importorskip("gradio")

from apps.cli.flags import add_flags, read_request  # noqa: E402
from apps.studio import requests  # noqa: E402
from apps.studio.controls import OMITTED_OPTIONS, TAB_OPTIONS, page_options, values_of  # noqa: E402
from fields.compare.request import CompareRequest  # noqa: E402
from fields.distill.request import DistillRequest  # noqa: E402
from fields.distill.stages import Stages  # noqa: E402
from fields.fit.request import FitRequest  # noqa: E402
from fields.options import DEFAULT, options_of  # noqa: E402
from fields.reconstruct.request import ReconstructRequest  # noqa: E402
from fields.runs.run import Run  # noqa: E402
from scenes.errors import BadInput  # noqa: E402

PREFIXES = {FitRequest: "", CompareRequest: "compare-", DistillRequest: "distill-", ReconstructRequest: "recon-"}
# Ids of the options that a tab lays out itself.
TAB_IDS = {
    FitRequest: {
        "method": "method",
        "seconds": "seconds",
        "settings": "options",
        "mask": "mask",
        "start": "start-from",
    },
    CompareRequest: {"methods": "compare-methods", "seconds": "compare-seconds", "seeds": "compare-seeds"},
    DistillRequest: {
        "teacher": "distill-run",
        "into": "distill-into",
        "seconds": "distill-seconds",
        "settings": "distill-options",
        "data": "distill-data",
    },
    ReconstructRequest: {"method": "recon-method", "settings": "recon-options", "box": "recon-box"},
}
# Another value than the default, for every option that has a control.
TYPED = {
    "params": "50k",
    "bits": "8",
    "keep_fraction": "0.5",
    "between": "0.4",
    "init": "fresh",
    "steps": "300",
    "device": "cpu",
    "seed": "7",
    "held_out": "0.2",
    "part": "1,2",
    "rate": "12",
    "refuse_invalid": True,
    "layer": "2",
    "keep_fields": True,
    "ignore_profile": True,
    "quantity": "occupancy",
    "nested": "solid",
    "max_points": "4k",
    "background": "black",
    "unbounded": "unbounded",
    "orientation": "upright",
    "pose_convention": "opencv",
    "share_heads": True,
    "seconds": "30",
    "preview": True,
    "triangles": "5k",
    "texture_size": "512",
    "resolution": "64",
    "close_holes": True,
    "cut_base": True,
    "normal_map": True,
    "refine": "no-refine",
    "up": "z",
    "units": "source",
    "length": "0.4",
    "scale_from": "0,0,0,1,0,0=0.5",
    "texture_format": "jpeg",
    "collision": True,
}
# Kinds of signals for which an option is shown, where that is not an image.
KINDS = (
    {"part": "audio", "rate": "video", "keep_fields": "video"}
    | dict.fromkeys(("quantity", "nested", "max_points"), "shape")
    | dict.fromkeys(("background", "unbounded", "orientation", "pose_convention"), "radiance")
)
MODELS = pytest.mark.parametrize("model", [FitRequest, CompareRequest, DistillRequest, ReconstructRequest])


@pytest.fixture(scope="module")
def ids(tmp_path_factory):
    """The ids of everything on the page."""
    from apps.studio.page import build
    from apps.studio.server import Studio

    studio = Studio.at(tmp_path_factory.mktemp("page"))
    try:
        return {part["props"].get("elem_id") for part in build(studio).get_config_file()["components"]}
    finally:
        studio.close()


def chosen(kind="image", source="x"):
    return {"source": source, "kind": kind, "name": "x", "methods": [], "loader_options": {}}


@MODELS
def test_every_option_is_on_the_page_or_omitted_for_a_reason(model, ids):
    options = [option.name for option in options_of(model) if not option.hidden]
    shown = {option.name: PREFIXES[model] + option.name.replace("_", "-") for option in page_options(model)}
    own, omitted = TAB_OPTIONS[model], OMITTED_OPTIONS[model]
    assert sorted(options) == sorted([*shown, *own, *omitted]), "each once, and none that does not exist"
    assert set(TAB_IDS[model]) == set(own) and all(len(reason) > 10 for reason in omitted.values())
    assert {*shown.values(), *TAB_IDS[model].values()} <= ids


@MODELS
def test_values_are_read_as_the_command_line_reads_them(model):
    first = {
        FitRequest: ["x.png"],
        CompareRequest: ["x.png", "--methods=siren"],
        DistillRequest: ["runs/x", "--into=siren"],
        ReconstructRequest: ["photos", "x.glb"],
    }[model]
    parser = argparse.ArgumentParser()
    add_flags(parser, model)
    default = read_request(model, parser.parse_args(first))
    for option in page_options(model):
        typed = TYPED[option.name]
        flag = f"--{typed}" if option.switches else option.flag if option.switch else f"{option.flag}={typed}"
        line = read_request(model, parser.parse_args([*first, flag]))
        page = values_of(model, {option.name: typed})
        assert page == {option.name: getattr(line, option.name)} and line != default, option.name
    for nothing in ("", None, "  ", DEFAULT):
        texts = {option.name: nothing for option in page_options(model) if not option.switch}
        assert values_of(model, texts) == {}


def test_every_option_of_a_fit_arrives_in_its_request(folders):
    def request(kind="image", mask=None, start=None, settings=None, **controls):
        return requests.fit_request(
            folders,
            chosen(kind),
            "hashgrid",
            seconds=20.0,
            settings=settings,
            mask=mask,
            start=start,
            controls=controls,
        )

    assert request().seconds == 20 and request().loader_options() == {}
    for option in page_options(FitRequest):
        kind = KINDS.get(option.name, "image")
        assert request(kind, **{option.name: TYPED[option.name]}) != request(kind), option.name
    assert request(steps="300").seconds is None
    assert request(part="1,2") == request(), "an option that this kind does not have is hidden and ignored"
    assert request(mask="m.png").loader_options() == {"mask": "m.png"}
    settings = {"method": "hashgrid", "texts": {"levels": "8"}}
    assert request(settings=settings).settings == {"levels": "8"}
    Run.create(folders.runs / "earlier", {"kind": "image", "method": "siren"})
    with pytest.raises(BadInput, match="choose siren"):
        request(start="earlier")
    Run.create(folders.runs / "first", {"kind": "image", "method": "hashgrid"})
    assert request(start="first").start == folders.runs / "first" and request(start="first").method is None
    with pytest.raises(BadInput, match="leave “Parameters” open"):
        request(start="first", params="50k")


def test_every_option_of_a_comparison_arrives_in_its_request():
    def request(**controls):
        return requests.compare_request(chosen(), ["siren", "cam"], seconds=20.0, seeds=2, controls=controls)

    assert request().methods == ("siren", "cam") and request().seeds == 2
    assert request().seconds == 20 and request().kind == "image"
    for option in page_options(CompareRequest):
        assert request(**{option.name: TYPED[option.name]}) != request(), option.name


def test_every_option_of_a_distillation_arrives_in_its_request(folders):
    Run.create(folders.runs / "teacher", {"kind": "image", "method": "hashgrid", "source": {"path": "photo.png"}})

    def request(data=requests.NO_DATA, settings=None, stages=None, **controls):
        return requests.distill_request(
            folders,
            "teacher",
            "siren",
            seconds=20.0,
            chosen=chosen(source="other.png"),
            data=data,
            settings=settings,
            stages=stages,
            controls=controls,
        )

    for option in page_options(DistillRequest):
        assert request(**{option.name: TYPED[option.name]}) != request(), option.name
    for name, option in Stages.model_fields.items():
        value = 0.25 if option.annotation is float else 64
        assert request(stages={name: str(value)}).stages == Stages(**{name: value}) != Stages()
    assert request(settings={"method": "siren", "texts": {"width": "32"}}).settings == {"width": "32"}
    assert request(requests.TEACHER_DATA).data == "photo.png"
    assert request(requests.FIT_DATA).data == "other.png" and request().data is None
    with pytest.raises(BadInput, match="hard_ray_fraction"):
        request(stages={"hard_ray_fraction": "2"})


def test_every_option_of_a_reconstruction_arrives_in_its_request():
    photographs = {"source": "procedural:duck", "name": "duck", "posed": True, "run": ""}

    def request(settings=None, **controls):
        return requests.reconstruct_request(photographs, "neus", settings=settings, controls=controls)

    for option in page_options(ReconstructRequest):
        assert request(**{option.name: TYPED[option.name]}) != request(), option.name
    assert request({"method": "neus", "texts": {"levels": "8"}}).settings == {"levels": "8"}
    assert requests.reconstruct_request(photographs, "").method is None, "decided from the photographs"
    with pytest.raises(BadInput, match="levels"):
        request({"method": "neus", "texts": {"levels": "many"}})


def test_every_control_of_the_page_says_in_a_sentence_what_it_does(idle_studio):
    from apps.studio.page import build

    kinds = ("slider", "dropdown", "radio", "checkbox", "checkboxgroup", "textbox")
    unsaid = [
        part["props"].get("label")
        for part in build(idle_studio).get_config_file()["components"]
        if part["type"] in kinds
        and "script-only" not in (part["props"].get("elem_classes") or ())
        and not part["props"].get("info")
    ]
    assert set(unsaid) == {"x from", "y from", "z from", "x to", "y to", "z to"}, "one sentence is for all of these"


def test_wrong_values_are_reported_by_the_label_of_their_control():
    with pytest.raises(BadInput, match="^Held-out samples: '2' should be between 0 and 1, such as 0.1$"):
        values_of(FitRequest, {"held_out": "2"})
    for malicious in ("out=elsewhere", "resume", "mask=secret.png"):
        with pytest.raises(BadInput, match="is not one of default, bounded, unbounded"):
            values_of(FitRequest, {"unbounded": malicious})
    with pytest.raises(BadInput, match="Part .seconds.: "):
        values_of(FitRequest, {"part": "1,2 --resume"})


def test_messages_name_arguments_by_their_labels():
    from apps.studio.messages import html_message, message_of

    error = BadInput("`init=fresh` chooses what `start` brings along,\n see `levels=<3>`")
    assert message_of(error) == "“Initialization” fresh chooses what “Start from a run” brings along, see levels=<3>"
    assert html_message(error).endswith("levels=&lt;3&gt;")
