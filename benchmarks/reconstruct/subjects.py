"""What is photographed: meshes with a texture or with colors at their vertices, and light baked into them.

Meshes come from `shared/data/meshes` beside the repository. They are turned so that z is up, their longest side is
`LONGEST`, and they stand away from the origin, as a scene's coordinates must not be taken to be centred there. `blob`
needs no data.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reconstruct.raycast import Drawing, Model, to_linear

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"
# Longest side of a subject, and the middle of its bounding box, in units of the scene.
LONGEST = 1.5
CENTRE = np.array([0.3, -0.2, 0.15])
# Which way is up in each file, as the rows of the rotation that turns it to z.
Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
FILES = {
    "spot": ("spot/spot.obj", Y_UP),
    "koala": ("koala.obj", np.eye(3)),
    "armadillo": ("armadillo.obj", Y_UP),
    "bunny": ("stanford_bunny.obj", Y_UP),
    "rocker_arm": ("rocker_arm.obj", np.eye(3)),
}
# Rounds of subdivision of coarse files, whose facets would be what is measured otherwise.
SUBDIVIDED = {"spot": 2}
# Rays a vertex for how much of the sky it sees, and how far they go in units of the longest side.
SKY_RAYS, SKY_REACH = 48, 0.6
# Light from all sides, and from a soft dome around `DOME`: together 1 where a surface faces the dome.
AMBIENT, DOME_LIGHT = 0.35, 0.65
DOME = np.array([0.35, -0.45, 0.82]) / np.linalg.norm([0.35, -0.45, 0.82])
# Waves of the procedural color: number of them, and the range of their lengths in longest sides.
WAVES, SHORTEST_WAVE, LONGEST_WAVE = 10, 0.04, 0.35


def subject(name: str) -> Model:
    """The subject `name` with its color and without light. Raises FileNotFoundError where its data are not there."""
    if name == "blob":
        return _painted(_placed(_blob()))
    file, up = FILES[name]
    if not (DATA / file).is_file():
        raise FileNotFoundError(f"{DATA / file}: the shared data are not beside the repository")
    model = _read(DATA / file)
    model = replace(model, vertices=model.vertices @ up.T)
    for _ in range(SUBDIVIDED.get(name, 0)):
        model = subdivided(model)
    return _painted(_placed(model))


def lit(model: Model) -> Model:
    """The model with light baked into the colors of its vertices: ambient and a dome, both kept off in creases."""
    normals = vertex_normals(model)
    open_sky = sky(model, normals)
    light = AMBIENT * open_sky + DOME_LIGHT * (0.5 + 0.5 * normals @ DOME) ** 1.5 * open_sky**0.5
    colors = np.clip(light, 0, 1)[:, None] * (1.0 if model.colors is None else model.colors)
    return replace(model, colors=np.broadcast_to(colors, (len(normals), 3)), normals=normals)


def darkened(model: Model, by: float) -> Model:
    """The model with `by` times of its light."""
    assert model.colors is not None
    return replace(model, colors=np.asarray(model.colors) * by)


def sky(model: Model, normals: np.ndarray) -> np.ndarray:
    """The fraction of the sky over each vertex that nothing of the model covers, `[V]`, weighted by the cosine."""
    drawing = Drawing([model])
    start = model.vertices + 2e-3 * LONGEST * normals
    seen, total = np.zeros(len(start)), np.zeros(len(start))
    for direction in on_sphere(2 * SKY_RAYS):
        cosine = normals @ direction
        above = np.flatnonzero(cosine > 0.02)
        towards = np.broadcast_to(direction, (len(above), 3))
        blocked = drawing.blocked(start[above], towards, SKY_REACH * LONGEST)
        total[above] += cosine[above]
        seen[above] += np.where(blocked, 0, cosine[above])
    return seen / np.maximum(total, 1e-9)


def ground(model: Model, side: float = 2.6, cells: int = 220) -> Model:
    """A square of strong texture under the model, so that its photographs can be matched."""
    line = np.linspace(-0.5, 0.5, cells + 1) * side * LONGEST
    x, y = np.meshgrid(line, line, indexing="xy")
    vertices = np.stack([x.ravel() + CENTRE[0], y.ravel() + CENTRE[1], np.zeros(x.size)], axis=1)
    vertices[:, 2] = model.vertices[:, 2].min() + 1e-3 * LONGEST
    first = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    faces = np.concatenate(
        [
            np.stack([first, first + 1, first + cells + 2], axis=1),
            np.stack([first, first + cells + 2, first + cells + 1], axis=1),
        ]
    )
    # Patches of random colors in three sizes: corners everywhere, and no two places alike.
    random = np.random.default_rng(5)
    colors = np.full((len(vertices), 3), 0.35)
    for patch in (5, 11, 22):
        tiles = random.uniform(-0.2, 0.2, (cells // patch + 2, cells // patch + 2, 3))
        row, column = np.divmod(np.arange(len(vertices)), cells + 1)
        colors += tiles[row // patch, column // patch]
    return Model(vertices=vertices, faces=faces, colors=np.clip(colors, 0.02, 0.9))


def vertex_normals(model: Model) -> np.ndarray:
    """Unit normals `[V, 3]`, by the area of the faces; the same on both sides of a seam of the texture."""
    _, same = np.unique(np.round(model.vertices, 9), axis=0, return_inverse=True)
    a, b, c = (model.vertices[model.faces[:, k]] for k in range(3))
    normals = np.zeros((same.max() + 1, 3))
    for k in range(3):
        np.add.at(normals, same.reshape(-1)[model.faces[:, k]], np.cross(b - a, c - a))
    normals = normals[same.reshape(-1)]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def on_sphere(count: int) -> np.ndarray:
    """Directions `[count, 3]` evenly over the sphere, by the golden angle, from below to above."""
    k = np.arange(count)
    z = (k + 0.5) / count * 2 - 1
    angle = k * np.pi * (3 - 5**0.5)
    around = np.sqrt(1 - z * z)
    return np.stack([around * np.cos(angle), around * np.sin(angle), z], axis=1)


def subdivided(model: Model) -> Model:
    """Loop's subdivision (1987) of a closed mesh, four triangles for each; `uv` in the middles of edges.

    Seams of the texture are where several vertices have one position; positions are smoothed as if they were one.
    """
    _, first, same = np.unique(model.vertices, axis=0, return_index=True, return_inverse=True)
    points, same = model.vertices[first], same.reshape(-1)
    corners = same[model.faces]
    sides = np.concatenate([corners[:, [k, (k + 1) % 3]] for k in range(3)])
    edges, edge_of = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True)
    edge_of = edge_of.reshape(3, -1)
    opposite = np.zeros((len(edges), 3))
    for k in range(3):
        np.add.at(opposite, edge_of[k], points[corners[:, (k + 2) % 3]])
    count = np.bincount(edge_of.reshape(-1), minlength=len(edges))
    if (count != 2).any():
        raise ValueError("only a closed mesh is subdivided")
    middles = 0.375 * (points[edges[:, 0]] + points[edges[:, 1]]) + 0.125 * opposite
    degree = np.bincount(edges.reshape(-1), minlength=len(points))
    around = np.zeros_like(points)
    for k in range(2):
        np.add.at(around, edges[:, k], points[edges[:, 1 - k]])
    weight = (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / degree)) ** 2) / degree
    moved = (1 - degree * weight)[:, None] * points + weight[:, None] * around
    # Vertices of the result: the old ones, and one for each side of each edge that has a texture coordinate of its own.
    split = np.concatenate([model.faces[:, [k, (k + 1) % 3]] for k in range(3)])
    halves, half_of = np.unique(np.sort(split, axis=1), axis=0, return_inverse=True)
    half_of = half_of.reshape(3, -1)
    edge_of_half = np.zeros(len(halves), np.int64)
    edge_of_half[half_of.reshape(-1)] = edge_of.reshape(-1)
    vertices = np.concatenate([moved[same], middles[edge_of_half]])
    uv = None
    if model.uv is not None:
        uv = np.concatenate([model.uv, model.uv[halves].mean(axis=1)])
    a, b, c = model.faces.T
    ab, bc, ca = half_of + len(model.vertices)
    faces = np.concatenate([np.stack(part, axis=1) for part in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    return replace(model, vertices=vertices, faces=faces, uv=uv)


def _read(path: Path) -> Model:
    import trimesh
    from PIL import Image

    mesh: Any = trimesh.load_mesh(path, process=False)
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    image = path.with_name(path.stem + "_texture.png")
    if not image.is_file():
        return Model(vertices=vertices, faces=faces)
    uv = np.asarray(mesh.visual.uv, np.float64)
    texture = np.asarray(Image.open(image).convert("RGB"))
    return Model(vertices=vertices, faces=faces, uv=np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), texture=texture)


def _placed(model: Model) -> Model:
    lower, upper = model.vertices.min(axis=0), model.vertices.max(axis=0)
    scale = LONGEST / (upper - lower).max()
    return replace(model, vertices=(model.vertices - (lower + upper) / 2) * scale + CENTRE)


def _painted(model: Model) -> Model:
    """The model with a color at each vertex, where it has no texture: sums of waves, and stripes."""
    if model.texture is not None:
        return model
    random = np.random.default_rng(7)
    points = (model.vertices - CENTRE) / LONGEST
    value = np.zeros((len(points), 3))
    for _ in range(WAVES):
        direction = random.normal(size=3)
        length = np.exp(random.uniform(np.log(SHORTEST_WAVE), np.log(LONGEST_WAVE)))
        wave = np.sin(points @ direction / np.linalg.norm(direction) * 2 * np.pi / length + random.uniform(0, 6.3))
        value += wave[:, None] * random.normal(size=3) * length**0.35
    stripes = np.clip(0.5 + 3 * np.sin(points @ np.array([9.0, 4.0, 34.0])), 0, 1)[:, None]
    srgb = np.clip(0.62 + 0.13 * value, 0.05, 0.98) * (0.62 + 0.38 * stripes)
    return replace(model, colors=to_linear(np.rint(255 * srgb).astype(np.uint8)).astype(np.float64))


def _blob() -> Model:
    """A closed bumpy body that a formula makes, 20,480 triangles."""
    import trimesh

    sphere = trimesh.creation.icosphere(subdivisions=5)
    p = np.asarray(sphere.vertices, np.float64)
    radius = 1 + 0.18 * np.sin(3 * p[:, 0] + 1) * np.cos(4 * p[:, 1]) + 0.08 * np.sin(9 * p[:, 2] + 2 * p[:, 0])
    return Model(vertices=p * radius[:, None] * [1.0, 0.8, 0.7], faces=np.asarray(sphere.faces, np.int64))
