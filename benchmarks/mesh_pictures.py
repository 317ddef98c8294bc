"""Images of exported meshes, by rays cast on the file with open3d, against the field's own render from the same
camera.

Part of `python -m benchmarks.meshes`: rows `NAME-picture` (PSNR where both show the surface, all views together) and
`NAME-export-N` (the whole command: seconds and the peak of memory).
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
# What is fitted, for how many seconds, and how its mesh is exported.
FITTED = {
    "spot": (DATA / "meshes" / "spot" / "spot.obj", 60, ("--texture",)),
    "armadillo": (DATA / "meshes" / "armadillo.obj", 60, ("--resolution", "512")),
    "duck": ("procedural:duck", 60, ("--texture", "--level", "20")),
    "lego": (DATA / "nerf" / "lego_200", 120, ("--texture", "--level", "20")),
}
# Whole commands, with vertex colours where there are any.
LARGE = (("spot", 512), ("lego", 512), ("armadillo", 1024))
SIZE, VIEWS = 400, 8


@dataclass(frozen=True)
class Cast:
    """What N rays meet on a mesh.

    Hit `[N]` bool; of those that do, unit normals and sRGB colours `[H, 3]` (None without any).
    """

    hit: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None


def cast(path: Path, origins: np.ndarray, directions: np.ndarray) -> Cast:
    """The file as trimesh reads it: its own normals, and its texture between texels; open3d casts the rays."""
    import open3d
    import trimesh
    from open3d.core import Tensor
    from trimesh.visual.material import PBRMaterial
    from trimesh.visual.texture import TextureVisuals

    mesh = trimesh.load_mesh(path, process=False)
    scene = open3d.t.geometry.RaycastingScene()
    vertices, faces = np.ascontiguousarray(mesh.vertices, np.float32), np.ascontiguousarray(mesh.faces, np.uint32)
    scene.add_triangles(Tensor.from_numpy(vertices), Tensor.from_numpy(faces))
    rays = np.concatenate([origins, directions], axis=1).astype(np.float32)
    answer = scene.cast_rays(Tensor.from_numpy(rays))
    hit = np.isfinite(answer["t_hit"].numpy())
    corners = mesh.faces[answer["primitive_ids"].numpy()[hit]]
    second = answer["primitive_uvs"].numpy()[hit].astype(np.float64)
    share = np.concatenate([1 - second.sum(axis=1, keepdims=True), second], axis=1)
    normals = np.einsum("nk,nkc->nc", share, mesh.vertex_normals[corners])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    look = mesh.visual
    if not isinstance(look, TextureVisuals) or not isinstance(look.material, PBRMaterial):
        return Cast(hit, normals, None)
    if look.material.baseColorTexture is None or look.uv is None:
        return Cast(hit, normals, None)
    texture = np.asarray(look.material.baseColorTexture.convert("RGB"), np.float64) / 255
    return Cast(hit, normals, _looked_up(texture, np.einsum("nk,nkc->nc", share, look.uv[corners])))


def _looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Colours `[N, 3]` between the four nearest texels; v grows upwards."""
    height, width = texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    at = lambda i, j: texture[np.clip(j, 0, height - 1), np.clip(i, 0, width - 1)]  # noqa: E731
    return (at(x0, y0) * (1 - fx) + at(x0 + 1, y0) * fx) * (1 - fy) + (
        at(x0, y0 + 1) * (1 - fx) + at(x0 + 1, y0 + 1) * fx
    ) * fy


def shape_agreement(run: Path, mesh: Path, size: int = SIZE, views: int = VIEWS, keep: Path | None = None) -> dict:
    """PSNR of the lit image where field and mesh both have the surface, and the share of its pixels where only one
    does.

    keep: where an image of the first view goes, the field's beside the mesh's.
    """
    import torch

    from fields.export.outputs.shape import view_camera
    from fields.models.field import PointField
    from fields.render.sphere_trace import headlight, render_shape
    from fields.render.surface_field import surface_field
    from fields.runs.run import load_field
    from fields.surface.implicit import corner_and_sides

    field = load_field(run)
    assert isinstance(field, PointField)
    fit = surface_field(field)
    corner, sides = corner_and_sides(field.domain)
    pairs = []
    for view in range(views):
        seen_from = view_camera(view, size, size)
        own = render_shape(fit.traceable(), seen_from, albedo=fit.colors)
        origins, directions = seen_from.rays()
        found = cast(mesh, corner + sides.max() * origins, directions)
        paint = {} if found.colors is None else {"albedo": torch.from_numpy(found.colors).float()}
        lit = np.ones((size * size, 3))
        lit[found.hit] = headlight(
            torch.from_numpy(found.normals).float(), torch.from_numpy(directions[found.hit]).float(), **paint
        ).numpy()
        pairs.append((own.color.reshape(-1, 3).numpy(), lit, own.hit.flatten().numpy(), found.hit))
    return _compared(pairs, size, keep)


def radiance_agreement(
    run: Path, mesh: Path, size: int | None = None, views: int = VIEWS, keep: Path | None = None
) -> dict:
    """The same of a scene's test views.

    The mesh's colours as they are, where the field is opaque to more than a half.
    """
    from fields.export.outputs.radiance import RadianceOutput
    from fields.runs.run import load_field

    output = RadianceOutput(load_field(run), run)
    pairs = []
    cameras = [camera if size is None else camera.resized(size, size) for camera in output.cameras()[:views]]
    for camera in cameras:
        own, _ = output.render_camera(camera)
        found = cast(mesh, *camera.rays())
        shown = np.ones((camera.num_pixels, 3))
        shown[found.hit] = found.colors
        pairs.append((own.color.reshape(-1, 3).numpy(), shown, (own.opacity > 0.5).flatten().numpy(), found.hit))
    return _compared(pairs, cameras[-1].intrinsics.width, keep)


def _compared(pairs: list, width: int, keep: Path | None) -> dict:
    both = [a & b for _, _, a, b in pairs]
    error = np.concatenate([((own - shown) ** 2)[mask].ravel() for (own, shown, _, _), mask in zip(pairs, both)])
    one = sum(int((a ^ b).sum()) for _, _, a, b in pairs) / sum(int((a | b).sum()) for _, _, a, b in pairs)
    if keep is not None:
        from PIL import Image

        own, shown = (np.clip(part.reshape(-1, width, 3), 0, 1) for part in pairs[0][:2])
        Image.fromarray(np.rint(255 * np.concatenate([own, shown], axis=1)).astype(np.uint8)).save(keep)
    return {"psnr": float(-10 * np.log10(error.mean())), "one_only": one}


def exported(run: Path, out: Path, *flags: str) -> dict:
    """The report of `fit-a-scene export`, and the peak of its memory in MB."""
    script = (
        "import resource, sys; from apps.cli.main import main; status = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "export", str(run), str(out), "--json", *flags],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    report, peak = done.stdout.strip().splitlines()[-2:]
    return json.loads(report) | {"megabytes": int(peak) / 1e3}


def fitted(name: str, folder: str, given: dict[str, str], quick: bool) -> Path | None:
    """The run of `name`: a given one, or a fresh one in the folder; None where its data are not there."""
    source, seconds, _ = FITTED[name]
    if name in given:
        return Path(given[name])
    if isinstance(source, Path) and not source.exists():
        return None
    run = Path(folder) / name
    if not run.exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "apps.cli.main",
                "fit",
                str(source),
                "--seconds",
                str(10 if quick else seconds),
                "--out",
                str(run),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return run


def image_rows(folder: str, given: dict[str, str], quick: bool, keep: Path | None = None) -> list[dict]:
    rows = []
    for name, (_, _, flags) in FITTED.items():
        if (run := fitted(name, folder, given, quick)) is None:
            continue
        mesh = Path(folder) / f"{name}.glb"
        report = exported(run, mesh, *flags)
        compare = radiance_agreement if name in ("duck", "lego") else shape_agreement
        found = compare(run, mesh, keep=keep / f"{name}.png" if keep else None)
        rows.append(
            {
                "id": f"{name}-picture",
                "value": round(found["psnr"], 2),
                "unit": "dB",
                "one_only": round(found["one_only"], 4),
                "triangles": report["triangles"],
                "seconds": report["seconds"],
                "megabytes": round(report["megabytes"]),
            }
        )
    return rows


def large_rows(folder: str, given: dict[str, str], quick: bool) -> list[dict]:
    rows = []
    for name, cells in LARGE:
        if (run := fitted(name, folder, given, quick)) is None:
            continue
        report = exported(run, Path(folder) / f"{name}-{cells}.glb", "--resolution", str(cells))
        rows.append(
            {
                "id": f"{name}-export-{cells}",
                "value": round(report["seconds"], 1),
                "unit": "s",
                "megabytes": round(report["megabytes"]),
                "triangles": report["triangles"],
                "watertight": report["watertight"],
            }
        )
    return rows
