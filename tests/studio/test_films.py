"""Films along key views: a smooth path, frames of the field, and wishes that are refused."""

import numpy as np
import pytest

from apps.studio import films
from apps.studio.films import FilmChoice, KeyView, between
from fields.export.base import Progress
from fields.runs.run import Run
from scenes.errors import BadInput

WISH = {"views": [[350, 10, 1, 0], [20, 30, 4, 1], [90, 0, 2, 0.5]], "seconds": 1}


def test_a_path_goes_through_its_key_views_the_shorter_way_round():
    views = FilmChoice.of(WISH).views
    path = between(views, 21)
    for view, at in zip(views, (0, 10, 20)):
        assert np.allclose(np.cos(np.radians(path[at].azimuth - view.azimuth)), 1)
        assert (path[at].elevation, path[at].distance) == pytest.approx((view.elevation, view.distance))
    angles = np.array([view.azimuth for view in path])
    assert np.abs(np.diff(angles)).max() < 12 and min(view.distance for view in path) > 0.5
    closed = between(views, 30, closed=True)
    # One step before the first view again.
    assert abs(closed[-1].elevation - views[0].elevation) < 6 and closed[0].elevation == pytest.approx(10)


class Seen:
    """A viewer that draws a grey level for each azimuth, and nothing on the left."""

    solid = True

    def orbit(self, azimuth, elevation, distance, side, *, channel, time):
        image = np.full((side, side, 4), round(azimuth % 360) % 256, np.uint8)
        image[..., 3] = 255
        image[:, : side // 2, 3] = 0
        return image


def test_a_film_has_the_frames_of_its_path_before_a_background(tmp_path, monkeypatch):
    frames, reported = [], []
    monkeypatch.setattr(films, "viewer_for", lambda *_: Seen())
    monkeypatch.setattr(films, "SIDE", 8)
    monkeypatch.setattr(films, "write_video", lambda out, images, rate: frames.extend(images))

    class Reports(Progress):
        def fraction(self, done):
            reported.append(done)

    run = Run.create(tmp_path / "shape", {"kind": "shape", "method": "hashgrid"})
    monkeypatch.setattr(Run, "load_field", lambda self: None)
    wish = {"views": [[0, 0, 2, 0], [100, 0, 2, 0]], "seconds": 1, "background": "grey"}
    FilmChoice.of(wish).write(run, tmp_path / "film.mp4", 1.0, 32, Reports())
    assert len(frames) == films.RATE and frames[0].shape == (8, 8, 3) and reported[-1] == 1
    assert (frames[0][:, :4] == 128).all() and (frames[-1][:, 4:] == 100).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"views": WISH["views"][:1]},
        {"views": [[0, 0, float("nan"), 0]] * 2},
        {"views": "none"},
        {"views": WISH["views"] * 9},
        {"seconds": 1e9},
        {"seconds": "long"},
        {"channel": "smell"},
        {"background": "url(x)"},
    ],
)
def test_other_films_are_refused(wrong):
    with pytest.raises(BadInput):
        FilmChoice.of({**WISH, **wrong})
    assert KeyView(0, 0, 1) == KeyView(0, 0, 1, 0)
