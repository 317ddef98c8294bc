"""The page offers what the commands offer, and what is typed there arrives."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gradio")

from apps.cli.main import build_parser  # noqa: E402
from apps.studio import offers  # noqa: E402
from apps.studio.distilling import DistillOrder  # noqa: E402
from apps.studio.folders import Folders  # noqa: E402
from apps.studio.gallery import names  # noqa: E402
from apps.studio.tabs import compare, fit  # noqa: E402
from apps.studio.tabs import distill as distil
from fields.distill.stages import Stages  # noqa: E402
from fields.runs.run import Run  # noqa: E402
from scenes.errors import BadInput  # noqa: E402

PREFIXES = {"fit": "", "compare": "compare-", "distill": "distil-"}
# Where the options that a tab lays out itself are on the page.
PLACES = {
    "fit": {"method": "method", "seconds": "seconds", "settings": "options", "mask": "mask", "start": "start-from"},
    "compare": {"methods": "compare-methods", "seconds": "compare-seconds", "seeds": "compare-seeds"},
    "distill": {
        "run_folder": "distil-run",
        "into": "distil-into",
        "seconds": "distil-seconds",
        "settings": "distil-options",
        "data": "distil-data",
    },
}
# Something else than the default for every option that is made from the command's own.
TYPED = {
    "params": "50k",
    "bits": "8",
    "keep": "0.5",
    "init": "fresh",
    "steps": "300",
    "device": "cpu",
    "seed": "7",
    "held_out": "0.2",
    "part": "1,2",
    "rate": "12",
    "ignore_invalid": True,
    "quantity": "occupancy",
    "backdrop": "black",
    "unbounded": "unbounded",
    "share_heads": True,
}
KINDS = {"part": "audio", "rate": "video", "quantity": "shape", "backdrop": "radiance", "unbounded": "radiance"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The ids of everything on the page."""
    from apps.studio.page import build
    from apps.studio.server import Studio

    studio = Studio.at(tmp_path_factory.mktemp("page"))
    try:
        return {part["props"].get("elem_id") for part in build(studio).get_config_file()["components"]}
    finally:
        studio.close()


@pytest.mark.parametrize("command", offers.OWN)
def test_every_option_of_a_command_is_on_the_page_or_left_out_for_a_reason(command, places):
    options = {action.dest for action in offers.parser(command)._actions}
    made = {offer.name: PREFIXES[command] + offer.name.replace("_", "-") for offer in offers.offers(command)}
    own, without = offers.OWN[command], offers.WITHOUT[command]
    assert sorted(options) == sorted([*made, *own, *without]), "each once, and none that the command no longer has"
    assert set(PLACES[command]) == set(own) and all(len(reason) > 10 for reason in without.values())
    assert {*made.values(), *PLACES[command].values()} <= places


@pytest.mark.parametrize(
    "command, first",
    [("fit", ["x.png"]), ("compare", ["x.png", "--methods=siren"]), ("distill", ["runs/x", "--into=siren"])],
)
def test_what_is_typed_is_read_as_the_command_line_reads_it(command, first):
    for offer in offers.offers(command):
        typed = TYPED[offer.name]
        page = vars(offers.options(command, first, {offer.name: typed}))
        line = vars(build_parser().parse_args([command, *first, *offer.words(typed)]))
        assert page == {name: line[name] for name in page}
        assert page != vars(offers.options(command, first, {})), offer.name
    for nothing in ("", None, "  "):
        assert offers.options(command, first, dict.fromkeys(TYPED, nothing)) == offers.options(command, first, {})


def test_every_option_of_a_fit_arrives(tmp_path):
    studio = SimpleNamespace(folders=Folders.at(tmp_path))

    def order(kind="image", mask=None, start=None, settings=None, **typed):
        chosen = {"source": "x", "kind": kind, "name": "x", "methods": [], "loading": {}}
        return fit.order_of(studio, chosen, "hashgrid", settings or {}, 20.0, mask, start, typed)

    assert order().seconds == 20 and order().loading == {}
    for offer in offers.offers("fit"):
        kind = KINDS.get(offer.name, "image")
        assert order(kind, **{offer.name: TYPED[offer.name]}) != order(kind), offer.name
    assert order(steps="300").seconds is None
    assert order(part="1,2") == order(), "what this kind does not have is hidden, and does not count"
    assert order(mask="m.png").loading == {"mask": "m.png"}
    assert order(settings={"method": "hashgrid", "typed": {"levels": "8"}}).options == {"levels": "8"}
    Run.create(tmp_path / "earlier", {"kind": "image", "method": "siren"})
    with pytest.raises(BadInput, match="choose siren"):
        order(start="earlier")
    Run.create(tmp_path / "first", {"kind": "image", "method": "hashgrid"})
    assert order(start="first").start == tmp_path / "first" and order(start="first").method is None
    with pytest.raises(BadInput, match="leave the parameters"):
        order(start="first", params="50k")


def test_every_option_of_a_comparison_arrives():
    chosen = {"source": "x", "kind": "image", "name": "x", "methods": [], "loading": {}}

    def plan(**typed):
        return compare.ordered(chosen, ["siren", "cam"], 20.0, 2, typed)

    assert plan().methods == ("siren", "cam") and plan().seeds == 2 and plan().seconds == 20 and plan().kind == "image"
    for offer in offers.offers("compare"):
        assert plan(**{offer.name: TYPED[offer.name]}) != plan(), offer.name


def test_every_option_of_a_distillation_arrives(tmp_path):
    studio = SimpleNamespace(folders=Folders.at(tmp_path))
    Run.create(tmp_path / "teacher", {"kind": "image", "method": "hashgrid", "source": {"path": "photo.png"}})

    def order(also=distil.NOTHING, settings=None, stages=None, **typed) -> DistillOrder:
        return distil.order_of(
            studio, {"source": "other.png"}, "teacher", "siren", 20.0, settings or {}, also, stages or {}, typed
        )

    for offer in offers.offers("distill"):
        assert order(**{offer.name: TYPED[offer.name]}) != order(), offer.name
    for name, option in Stages.model_fields.items():
        value = 0.25 if option.annotation is float else 64
        assert order(stages={name: str(value)}).stages == Stages(**{name: value}) != Stages()
    assert order(settings={"method": "siren", "typed": {"width": "32"}}).options == {"width": "32"}
    assert (
        order(distil.ITS_OWN).data == "photo.png"
        and order(distil.UNDER_FIT).data == "other.png"
        and order().data is None
    )
    with pytest.raises(BadInput, match="hard_share"):
        order(stages={"hard_share": "2"})


def test_what_is_wrong_is_told_by_its_label():
    with pytest.raises(BadInput, match="^Held out: '2' should be between 0 and 1, such as 0.1$"):
        offers.options("fit", ["x.png"], {"held_out": "2"})
    for sly in ("out=elsewhere", "resume", "mask=secret.png"):
        with pytest.raises(BadInput, match="is not one of default, bounded, unbounded"):
            offers.options("fit", ["x.png"], {"unbounded": sly})
    with pytest.raises(BadInput, match="Part: "):
        offers.options("fit", ["x.png"], {"part": "1,2 --resume"})


def test_runs_of_a_kind_may_be_begun_with(tmp_path):
    folders = Folders.at(tmp_path)
    for name, kind in (("a", "image"), ("b", "audio")):
        Run.create(tmp_path / name, {"kind": kind, "method": "hashgrid"}).weights.write_bytes(b"")
    assert names(folders, ("image",)) == ["a"]


def test_volumes_and_scenes_have_a_limit_too(tmp_path, monkeypatch):
    """Three times that of pictures, known before anything is decoded."""
    from apps.studio import uploads

    monkeypatch.setattr(uploads, "MAX_PIXELS", 1000)
    np.savez_compressed(tmp_path / "volume.npz", np.zeros((31, 10, 10)))
    np.savez_compressed(
        tmp_path / "scene.npz", images=np.zeros((31, 10, 10, 3)), poses=np.zeros((31, 3, 4)), focal=np.array(10.0)
    )
    monkeypatch.setattr(np.lib.format, "read_array", None)
    with pytest.raises(BadInput, match="3,100 voxels are more than the limit of 3,000"):
        fit.opened(str(tmp_path / "volume.npz"), "volume")
    with pytest.raises(BadInput, match="31 views are 0.0031 megapixels in all, more than the limit of 0.003"):
        fit.opened(str(tmp_path / "scene.npz"), "scene")
