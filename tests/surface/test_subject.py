"""The subject of a scene without bounds: the box that cameras look at, and the pixels that show it."""

import numpy as np
import pytest
import torch

from fields.models.field import RadianceField
from fields.surface.depth_maps import DepthMap, depth_camera
from fields.surface.subject import Subject, find_subject, small_camera, subject_mask
from scenes.domain import Axis, Channels, Domain
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.procedural.photographs import procedural_views

CENTRE, RADIUS, ROOM = np.array([0.6, 0.45, 0.5]), 0.2, 3.0


def cameras(count=16, size=48, target=CENTRE):
    """Cameras around the ball, which is not in the middle of the cube."""
    angle = np.arange(count) * 2 * np.pi / count
    places = CENTRE + 1.4 * np.stack([np.cos(angle), np.sin(angle), 0.3 + 0.3 * np.sin(3 * angle)], axis=1)
    return [Camera(look_at(place, target, "z"), Intrinsics.pinhole(size, size, 1.1 * size)) for place in places]


def ball_depths(camera, ground=-np.inf, ends=np.inf):
    """The depth map of a ball in a room with walls, over a ground at a height that ends at a distance from the ball."""
    origins, directions = camera.rays()
    to_middle = origins - CENTRE
    b = (to_middle * directions).sum(axis=1)
    under = b * b - (to_middle**2).sum(axis=1) + RADIUS**2
    ball = np.where(under > 0, -b - np.sqrt(np.maximum(under, 0)), np.inf)
    reach = np.where(directions > 0, ROOM - origins, -ROOM - origins) / directions
    distance = np.minimum(ball, reach.min(axis=1))
    if np.isfinite(ground):
        down = np.where(directions[:, 2] < 0, (ground - origins[:, 2]) / directions[:, 2], np.inf)
        hits = origins + np.where(np.isfinite(down), down, 0)[:, None] * directions
        on = np.abs(hits - CENTRE)[:, :2].max(axis=1) < ends
        distance = np.minimum(distance, np.where(on, down, np.inf))
    depth = torch.from_numpy(distance * (-directions @ camera.pose[:, 2])).float()
    shape = camera.intrinsics.height, camera.intrinsics.width
    return DepthMap(camera, depth.reshape(shape), torch.full(shape, 1e-3), torch.zeros(shape, dtype=torch.bool))


def test_the_box_holds_what_cameras_look_at_and_not_the_walls():
    subject = find_subject([ball_depths(camera) for camera in cameras()])
    lower, upper = subject.lower, subject.upper
    assert subject.plane is None
    # The poles are seen by few cameras.
    assert (lower < CENTRE - 0.8 * RADIUS).all() and (upper > CENTRE + 0.8 * RADIUS).all()
    reach = 1.5 * RADIUS
    assert (lower > CENTRE - reach).all() and (upper < CENTRE + reach).all()


def test_the_ground_goes_if_it_goes_on_and_stays_if_it_is_a_plate():
    ground = CENTRE[2] - RADIUS
    table = find_subject([ball_depths(camera, ground) for camera in cameras()])
    assert table.plane is not None
    normal, offset = table.plane
    assert normal[2] > 0.99 and abs(offset - ground * normal[2]) < 0.15 * RADIUS
    assert table.contains(CENTRE) and not table.contains(np.array([*CENTRE[:2], ground]))
    plate = find_subject([ball_depths(camera, ground, 1.2 * RADIUS) for camera in cameras()])
    assert plate.plane is None and plate.contains(np.array([*CENTRE[:2], ground]))


def test_what_is_nearly_flat_itself_is_the_subject():
    # A wall with nothing before it: the cameras look at a part of the wall.
    def wall(camera):
        origins, directions = camera.rays()
        distance = (0.2 - origins[:, 0]) / directions[:, 0]
        depth = torch.from_numpy(distance * (-directions @ camera.pose[:, 2])).float().reshape(48, 48)
        return DepthMap(camera, depth, torch.full((48, 48), 1e-3), torch.zeros(48, 48, dtype=torch.bool))

    places = [np.array([1.6, y, z]) for y in (0.2, 0.5, 0.8) for z in (0.3, 0.6)]
    views = [Camera(look_at(place, [0.2, 0.5, 0.5], "z"), Intrinsics.pinhole(48, 48, 60)) for place in places]
    subject = find_subject([wall(camera) for camera in views])
    assert subject.plane is None and subject.contains(np.array([0.2, 0.5, 0.5]))


def test_cameras_that_see_nothing_have_no_subject():
    camera = cameras()[0]
    nothing = torch.full((48, 48), torch.inf)
    assert find_subject([DepthMap(camera, nothing, nothing, torch.ones(48, 48, dtype=torch.bool))]) is None


class BallInARoom(RadianceField):
    """A dense ball in a dense room."""

    def __init__(self):
        domain = Domain(tuple(Axis(name, 0.0, 1.0, "") for name in "xyz"))
        super().__init__(domain, Channels(("red", "green", "blue"), "radiance"), cells=64, cascades=4, step=1 / 128)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.measure_occupancy(2)

    def density(self, coords, time=None, directions=None):
        from fields.sampling.contraction import uncontract

        points = uncontract(coords)
        ball = (points - torch.from_numpy(CENTRE).float()).norm(dim=-1) < RADIUS
        wall = points.abs().amax(dim=-1) > ROOM
        return 1e4 * (ball | wall).float(), points

    def color(self, feature, directions):
        return torch.zeros_like(feature)


@pytest.mark.parametrize("distorted", [False, True])
def test_the_mask_is_the_silhouette_of_what_is_in_the_box(distorted):
    field = BallInARoom()
    camera = cameras(size=96)[3]
    if distorted:
        lens = {"fl_x": 106.0, "fl_y": 106.0, "cx": 48.0, "cy": 48.0}
        camera = Camera(camera.pose, Intrinsics.distorted(96, 96, {"k1": -0.2}, **lens))
    small = small_camera(camera, 24 * 24, np.zeros(3), 1.0)
    assert small.num_pixels == 24 * 24
    mask = subject_mask(field, small, Subject(CENTRE - 0.25, CENTRE + 0.25))
    wanted = np.isfinite(_ball_distance(camera)).reshape(96, 96)
    assert mask.shape == (96, 96)
    # A step of a ray moves the silhouette by less than two pixels.
    assert (mask != wanted).mean() < 0.02 and 0.05 < wanted.mean() < 0.5
    half = subject_mask(field, small, Subject(CENTRE - 0.25, CENTRE + np.array([0.25, 0.25, 0.0])))
    assert 0.3 * wanted.sum() < half.sum() < 0.8 * wanted.sum()


def _ball_distance(camera):
    origins, directions = camera.rays()
    b = ((origins - CENTRE) * directions).sum(axis=1)
    under = b * b - ((origins - CENTRE) ** 2).sum(axis=1) + RADIUS**2
    return np.where(under > 0, -b, np.inf)


def test_the_small_camera_is_in_units_of_the_cube():
    view = procedural_views("duck").views[0]
    small = small_camera(view, 400, np.array([1.0, 2.0, 3.0]), 2.0)
    assert small.intrinsics.width == small.intrinsics.height == 20
    np.testing.assert_allclose(small.position, (view.position - [1, 2, 3]) / 2)
    assert depth_camera(view, 400, np.array([1.0, 2.0, 3.0]), 2.0).intrinsics.fl_x == small.intrinsics.fl_x
