"""Textures: charts, rasterized triangles, texels, and renders of textured meshes against those of the field."""

import numpy as np
import pytest
import torch

from fields.render.camera import camera_rays
from fields.render.sphere_trace import headlight, render_shape
from fields.surface.surface_mesh import simplified, surface_mesh
from fields.surface.texel_raster import rasterize
from fields.surface.texture import bake_texture
from scenes.posed.pose import orbit
from scenes.shape.geometry import Mesh
from scenes.shape.surface import MeshSurface
from tests.surface.analytic_implicits import implicit, torus


def paint(points):
    """Stripes that are finer than the triangles, so that vertex colors cannot show them."""
    return 0.5 + 0.45 * torch.sin(points * torch.tensor([60.0, 45.0, 50.0]))


@pytest.fixture(scope="module")
def painted():
    """A torus of few triangles with a texture and a normal map: implicit function, mesh, textured mesh."""
    source = implicit(torus, colors=paint)
    mesh = simplified(source, surface_mesh(source, 64), 1500)
    return source, mesh, bake_texture(source, mesh, 512, normal_map=True)


def test_simplified_meshes_are_closed_and_on_the_surface(painted):
    _, mesh, _ = painted
    assert len(mesh.faces) <= 1500 and mesh.watertight
    assert torus(torch.from_numpy(mesh.vertices)).abs().max() < 1e-4


def test_rasterized_triangles_cover_each_texel_once():
    uv, faces = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.8], [0.1, 0.8]]), np.array([[0, 1, 2], [0, 2, 3]])
    texels, triangle, weights = rasterize(uv, faces, 100)
    assert len(texels) == len(np.unique(texels)) == 80 * 70
    positions = np.einsum("nk,nkc->nc", weights, uv[faces[triangle]])
    assert np.allclose(positions[:, 0], (texels % 100 + 0.5) / 100) and np.allclose(
        positions[:, 1], 1 - (texels // 100 + 0.5) / 100
    )


def test_charts_do_not_overlap(painted):
    _, mesh, made = painted
    p, q = made.uv[made.faces[:, 1]] - made.uv[made.faces[:, 0]], made.uv[made.faces[:, 2]] - made.uv[made.faces[:, 0]]
    assert np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / 2 == pytest.approx(made.covered, rel=0.02), (
        "the areas of the triangles sum to the area they cover"
    )
    assert made.covered > 0.35 and made.uv.min() >= 0 and made.uv.max() <= 1
    assert np.array_equal(np.sort(made.source[made.faces], axis=1), np.sort(mesh.faces, axis=1)) or len(
        made.faces
    ) == len(mesh.faces)


def test_texels_have_the_colors_of_the_field_at_their_own_point(painted):
    source, mesh, made = painted
    texels, triangle, weights = rasterize(made.uv, made.faces, 512)
    positions = np.einsum("nk,nkc->nc", weights, mesh.vertices[made.source][made.faces[triangle]])
    found = made.texture.reshape(-1, 3)[texels] / 255
    wanted = paint(torch.from_numpy(positions)).numpy()
    assert np.abs(found - wanted).mean() < 0.03
    interpolated = np.einsum("nk,nkc->nc", weights, mesh.colors[made.source][made.faces[triangle]])
    assert np.abs(interpolated - wanted).mean() > 4 * np.abs(found - wanted).mean()


def test_texels_between_charts_continue_the_charts(painted):
    """Texels beside a chart differ from it no more than neighbours inside the chart differ from each other."""
    _, _, made = painted
    texels, _, _ = rasterize(made.uv, made.faces, 512)
    inside = np.zeros(512 * 512, bool)
    inside[texels] = True
    inside = inside.reshape(512, 512)
    steps = np.abs(np.diff(made.texture.astype(int), axis=1)).max(axis=2)
    across = inside[:, 1:] != inside[:, :-1]
    within = inside[:, 1:] & inside[:, :-1]
    assert steps[across].mean() <= 1.2 * steps[within].mean()


def rendered(source, mesh, made, side: int = 160):
    """Render the textured mesh by ray casting and the field by sphere tracing, with the same shading.

    Returns both images `[N, 3]`, the pixels where both hit, and there the normals by the normal map, the normals of the
    faces and those of the field.
    """
    camera = orbit(35, 40, 1.6, (side, side))
    surface = MeshSurface(Mesh(mesh.vertices[made.source], made.faces))
    origins, directions = camera_rays(camera)
    t, faces = surface.cast(origins.double().numpy(), directions.double().numpy())
    hit = np.flatnonzero(faces >= 0)
    corners = surface.mesh.faces[faces[hit]]
    weights = surface.barycentric(faces[hit], origins.numpy()[hit] + t[hit, None] * directions.numpy()[hit])
    uv = np.einsum("nk,nkc->nc", weights, made.uv[corners])
    colors, mapped = (bilinear(image, uv) for image in (made.texture, made.normal_map))
    normal, tangent = (
        np.einsum("nk,nkc->nc", weights, part[corners])
        for part in (mesh.normals[made.source].astype(float), made.tangents[:, :3])
    )
    bitangent = np.cross(normal, tangent) * made.tangents[corners[:, 0], 3:]
    mapped = mapped * 2 - 1
    normals = mapped[:, :1] * tangent + mapped[:, 1:2] * bitangent + mapped[:, 2:] * normal
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    image = np.ones((side * side, 3))
    image[hit] = headlight(torch.from_numpy(normals).float(), directions[hit], torch.from_numpy(colors).float()).numpy()
    own = render_shape(source.function, camera, albedo=source.colors)
    both = own.hit.reshape(-1).numpy() & (faces >= 0)
    return (
        image,
        own.color.reshape(-1, 3).numpy(),
        both,
        normals[both[hit]],
        surface.face_normals[faces[both]],
        own.normal.reshape(-1, 3).numpy(),
    )


def bilinear(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    size = len(image)
    x, y = uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    total = 0
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - (x - x0)) * np.abs(1 - dy - (y - y0))
            total = total + weight[:, None] * image[np.clip(y0 + dy, 0, size - 1), np.clip(x0 + dx, 0, size - 1)] / 255
    return total


def test_an_image_of_the_textured_mesh_agrees_with_one_of_the_field(painted):
    source, mesh, made = painted
    image, own, both, normals, flat, wanted = rendered(source, mesh, made)
    error = ((image - own)[both] ** 2).mean()
    assert -10 * np.log10(error) > 30 and both.sum() > 3000
    mapped, unmapped = (
        np.median(np.degrees(np.arccos(np.clip((part * wanted[both]).sum(axis=1), -1, 1)))) for part in (normals, flat)
    )
    assert mapped < 2 and mapped < 0.5 * unmapped, "the normal map turns the mesh's normals into the field's"
