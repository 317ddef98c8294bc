"""Textures: charts, rasterised triangles, texels asked of the field, and pictures of the whole against the field's own."""

import numpy as np
import pytest
import torch

from fields.render.camera import camera_rays
from fields.render.sphere_trace import headlight, render_shape
from fields.surface.surface_mesh import simplified, surface_mesh
from fields.surface.texture import bake_texture, rasterise, tangents_of, unwrap
from scenes.posed.pose import orbit
from scenes.shape.geometry import Mesh
from scenes.shape.surface import MeshSurface
from tests.surface.implicits import ball, implicit, torus


def paint(points):
    """Stripes that no vertex colours could follow."""
    return 0.5 + 0.45 * torch.sin(points * torch.tensor([60.0, 45.0, 50.0]))


@pytest.fixture(scope="module")
def painted():
    """A torus of few triangles with a texture and a normal map."""
    source = implicit(torus, colors=paint)
    mesh = simplified(source, surface_mesh(source, 64), 1500)
    return source, mesh, bake_texture(source, mesh, 512, normal_map=True)


def test_simplified_meshes_are_closed_and_on_the_surface(painted):
    _, mesh, _ = painted
    assert len(mesh.faces) <= 1500 and mesh.watertight
    assert torus(torch.from_numpy(mesh.vertices)).abs().max() < 1e-4


def test_every_texel_has_one_triangle_and_the_whole_is_covered():
    uv, faces = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.8], [0.1, 0.8]]), np.array([[0, 1, 2], [0, 2, 3]])
    texels, triangle, weights = rasterise(uv, faces, 100)
    assert len(texels) == len(np.unique(texels)) == 80 * 70
    positions = np.einsum("nk,nkc->nc", weights, uv[faces[triangle]])
    assert np.allclose(positions[:, 0], (texels % 100 + 0.5) / 100) and np.allclose(
        positions[:, 1], 1 - (texels // 100 + 0.5) / 100
    )


def test_charts_do_not_overlap(painted):
    _, mesh, made = painted
    p, q = made.uv[made.faces[:, 1]] - made.uv[made.faces[:, 0]], made.uv[made.faces[:, 2]] - made.uv[made.faces[:, 0]]
    assert np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / 2 == pytest.approx(made.covered, rel=0.02), (
        "the sum of the triangles is the area that they cover"
    )
    assert made.covered > 0.35 and made.uv.min() >= 0 and made.uv.max() <= 1
    assert np.array_equal(np.sort(made.source[made.faces], axis=1), np.sort(mesh.faces, axis=1)) or len(
        made.faces
    ) == len(mesh.faces)


def test_texels_are_the_fields_colors(painted):
    """Asked at the place on the surface, not interpolated from vertices."""
    source, mesh, made = painted
    texels, triangle, weights = rasterise(made.uv, made.faces, 512)
    positions = np.einsum("nk,nkc->nc", weights, mesh.vertices[made.source][made.faces[triangle]])
    found = made.texture.reshape(-1, 3)[texels] / 255
    wanted = paint(torch.from_numpy(positions)).numpy()
    assert np.abs(found - wanted).mean() < 0.03
    interpolated = np.einsum("nk,nkc->nc", weights, mesh.colors[made.source][made.faces[triangle]])
    assert np.abs(interpolated - wanted).mean() > 4 * np.abs(found - wanted).mean()


def test_gutters_repeat_their_chart(painted):
    """No texel is left empty, and those beside a chart differ from it no more than its own neighbours do."""
    _, _, made = painted
    texels, _, _ = rasterise(made.uv, made.faces, 512)
    inside = np.zeros(512 * 512, bool)
    inside[texels] = True
    inside = inside.reshape(512, 512)
    steps = np.abs(np.diff(made.texture.astype(int), axis=1)).max(axis=2)
    across = inside[:, 1:] != inside[:, :-1]
    within = inside[:, 1:] & inside[:, :-1]
    assert steps[across].mean() <= steps[within].mean()


def seen(source, mesh, made, side: int = 160):
    """The textured mesh by cast rays, shaded as pictures of fields are, and the field's own picture, with where both hit."""
    camera = orbit(35, 40, 1.6, (side, side))
    surface = MeshSurface(Mesh(mesh.vertices[made.source], made.faces))
    origins, directions = camera_rays(camera)
    t, faces = surface.cast(origins.double().numpy(), directions.double().numpy())
    hit = np.flatnonzero(faces >= 0)
    corners = surface.mesh.faces[faces[hit]]
    weights = surface.barycentric(faces[hit], origins.numpy()[hit] + t[hit, None] * directions.numpy()[hit])
    uv = np.einsum("nk,nkc->nc", weights, made.uv[corners])
    colors, bumps = (bilinear(picture, uv) for picture in (made.texture, made.normal_map))
    upright, along = (
        np.einsum("nk,nkc->nc", weights, part[corners])
        for part in (mesh.normals[made.source].astype(float), made.tangents[:, :3])
    )
    across = np.cross(upright, along) * made.tangents[corners[:, 0], 3:]
    bumps = bumps * 2 - 1
    normals = bumps[:, :1] * along + bumps[:, 1:2] * across + bumps[:, 2:] * upright
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    picture = np.ones((side * side, 3))
    picture[hit] = headlight(
        torch.from_numpy(normals).float(), directions[hit], torch.from_numpy(colors).float()
    ).numpy()
    own = render_shape(source.function, camera, albedo=source.colors)
    both = own.hit.reshape(-1).numpy() & (faces >= 0)
    return (
        picture,
        own.color.reshape(-1, 3).numpy(),
        both,
        normals[both[hit]],
        surface.face_normals[faces[both]],
        own.normal.reshape(-1, 3).numpy(),
    )


def bilinear(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    size = len(picture)
    x, y = uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    total = 0
    for dx in (0, 1):
        for dy in (0, 1):
            share = np.abs(1 - dx - (x - x0)) * np.abs(1 - dy - (y - y0))
            total = total + share[:, None] * picture[np.clip(y0 + dy, 0, size - 1), np.clip(x0 + dx, 0, size - 1)] / 255
    return total


def test_a_picture_of_the_textured_mesh_is_one_of_the_field(painted):
    source, mesh, made = painted
    picture, own, both, normals, flat, wanted = seen(source, mesh, made)
    error = ((picture - own)[both] ** 2).mean()
    assert -10 * np.log10(error) > 30 and both.sum() > 3000
    mapped, unmapped = (
        np.median(np.degrees(np.arccos(np.clip((part * wanted[both]).sum(axis=1), -1, 1)))) for part in (normals, flat)
    )
    assert mapped < 2 and mapped < 0.5 * unmapped, "the normal map turns the mesh's normals into the field's"


def test_tangents_follow_the_texture():
    """On a flat square seen from +z whose u runs along x: the tangent is x, the bitangent y; mirrored, the sign turns."""
    positions = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces, normals = np.array([[0, 1, 2], [0, 2, 3]]), np.tile([0.0, 0, 1], (4, 1))
    assert np.allclose(tangents_of(positions, faces, positions[:, :2], normals), [1, 0, 0, 1])
    assert np.allclose(tangents_of(positions, faces, positions[:, :2] * [-1, 1], normals), [-1, 0, 0, -1])


def test_small_textures_are_filled():
    source = implicit(ball, colors=paint)
    mesh = simplified(source, surface_mesh(source, 32), 400)
    numbers, _, uv = unwrap(mesh, 64)
    assert uv.min() >= 0 and uv.max() <= 1 and set(numbers) == set(range(len(mesh.vertices)))
