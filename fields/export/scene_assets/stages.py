"""The stages that make an asset of a fitted scene: surface, simplification, charts, texture, file, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fields.export.asset_files import file_up, offset_notes, write_asset, write_collision
from fields.export.base import Progress as ExportProgress
from fields.export.scene_assets.asset_options import AssetOptions
from fields.export.scene_assets.fitted_scene import FittedScene
from fields.export.scene_assets.report import save_report
from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import Schedule
from fields.export.scene_assets.stage_folder import StageFolder
from fields.export.scene_assets.stage_runner import Result, StageRunner
from fields.export.scene_assets.true_shape import chamfer
from fields.surface.charts import unwrap
from fields.surface.normal_map import bake_normal_map, normals_of_mesh
from fields.surface.padding import fill_unused
from fields.surface.placement import placement
from fields.surface.project import on_surface
from fields.surface.radiance import Radiance
from fields.surface.refine import refine_vertices
from fields.surface.scene_mesh import Box, implicit_distance, scene_mesh
from fields.surface.simplify import simplify_within
from fields.surface.texturing.atlas import interpolated, make_atlas
from fields.surface.texturing.mesh_psnr import mesh_psnr
from fields.surface.texturing.photo_texture import photo_texture
from fields.surface.texturing.vertex_colors import photo_vertex_colors
from fields.surface.topology import vertex_normals
from scenes.image.color import to_bytes
from scenes.shape.writers.asset import Asset

Progress = Callable[[float], None]

# Longest way of simplified vertices back to the field's surface, in cells of the extraction.
REACH_CELLS = 2.0
# Root mean square distance, in longest sides, by which fewer triangles than allowed may move the surface: a hundredth
# of a cell, a tenth of what the best meshes are from the truth.
UNSEEN_ERROR = 3e-5


def make_asset(
    scene: FittedScene, options: AssetOptions, out: Path, *, folder: Path, schedule: Schedule, reports: Reports
) -> dict[str, Any]:
    """Make the asset of a scene and write it to `out`, in the format of its ending.

    folder: the run's; results of stages are kept there, and used where nothing that they depend on has changed.

    Returns a report of plain values: files, bytes, triangles, seconds by stage, metrics, notes, and a text for people.
    Raises BadInput for anything that the user can put right.
    """
    runner = StageRunner(StageFolder(folder), schedule, reports, scene.key)
    results = {
        "surface": runner.run(
            "surface",
            options.only("resolution", "box", "level", "min_component", "close_holes", "cut_base"),
            lambda seconds, progress: _surface(scene, options, seconds, progress),
        )
    }
    cell = float(results["surface"].facts["cell"])
    results["simplify"] = runner.run(
        "simplify",
        options.only("triangles"),
        lambda _, progress: _simplified(scene, options, results["surface"].arrays, cell, progress),
    )
    mesh = results["simplify"].arrays
    if options.refine and scene.training:
        results["refine"] = runner.run(
            "refine", {}, lambda seconds, progress: _refined(scene, mesh, cell, seconds, progress)
        )
        mesh = results["refine"].arrays
    if options.texture_size is None:
        results["colors"] = runner.run("colors", {}, lambda seconds, progress: _colors(scene, mesh, seconds, progress))
        mesh = mesh | results["colors"].arrays
    else:
        size = options.texture_size
        results["charts"] = runner.run(
            "charts", {"size": size}, lambda seconds, progress: _charts(mesh, size, seconds, progress)
        )
        mesh = results["charts"].arrays
        results["texture"] = runner.run(
            "texture", {"size": size}, lambda seconds, progress: _texture(scene, mesh, size, seconds, progress)
        )
        if options.normal_map:
            surface = results["surface"].arrays
            results["normals"] = runner.run(
                "normals", {"size": size}, lambda _, progress: _normals(mesh, surface, size, progress)
            )
    texture = results["texture"].images["color"] if "texture" in results else None
    notes = [*scene.notes, *(note for result in results.values() for note in result.notes)]
    files, file_notes = _write(scene, options, out, mesh, texture, results.get("normals"), runner)
    report = {
        "files": [str(file) for file in files],
        "bytes": out.stat().st_size,
        "triangles": len(mesh["faces"]),
        "texture": 0 if texture is None else len(texture),
        "metrics": _metrics(scene, mesh, texture, runner),
        "notes": [*notes, *file_notes],
        "stages": {name: {k: v for k, v in r.facts.items() if k != "images"} for name, r in results.items()},
    }
    save_report(scene, mesh, texture, report, runner)
    report["seconds"] = runner.seconds
    report["text"] = _text(report)
    return report


def _surface(scene: FittedScene, options: AssetOptions, seconds: float, progress: Progress) -> Result:
    box: Box | None = None if options.box is None else (options.box[:3], options.box[3:])
    mesh = scene_mesh(
        scene.field,
        scene.cameras,
        resolution=options.resolution,
        box=box,
        level=options.level,
        min_component=options.min_component,
        close=options.close_holes,
        cut_base=options.cut_base,
        seconds=seconds,
        progress=progress,
    )
    facts = {"triangles": len(mesh.faces), "cell": mesh.cell, "removed": mesh.removed}
    return Result(
        {"vertices": mesh.vertices, "faces": mesh.faces, "normals": mesh.normals}, notes=mesh.notes, facts=facts
    )


def _simplified(
    scene: FittedScene, options: AssetOptions, mesh: dict[str, np.ndarray], cell: float, progress: Progress
) -> Result:
    """The mesh with fewer triangles, whose vertices are on the field's surface again where it has one."""
    if options.triangles is None:
        return Result(mesh, facts={"triangles": len(mesh["faces"])})
    longest = float(np.ptp(mesh["vertices"], axis=0).max())
    vertices, faces = simplify_within(mesh["vertices"], mesh["faces"], options.triangles, UNSEEN_ERROR * longest)
    if faces is mesh["faces"]:
        return Result(mesh, facts={"triangles": len(faces)})
    progress(0.7)
    if scene.field.has_surface:
        implicit = implicit_distance(Radiance(scene.field), options.level)
        size = cell / implicit.side
        points = on_surface(implicit, implicit.from_file(vertices), size / 2, REACH_CELLS * size)
        vertices = implicit.to_file(points)
    normals = vertex_normals(vertices, faces)
    return Result({"vertices": vertices, "faces": faces, "normals": normals}, facts={"triangles": len(faces)})


def _refined(
    scene: FittedScene, mesh: dict[str, np.ndarray], cell: float, seconds: float, progress: Progress
) -> Result:
    found = refine_vertices(
        mesh["vertices"], mesh["faces"], scene.training, cell=cell, seconds=seconds, progress=progress
    )
    normals = vertex_normals(found.vertices, mesh["faces"])
    facts: dict[str, Any] = {"rounds": found.rounds}
    if found.rounds:
        facts |= {"psnr_before": found.psnr_before, "psnr_after": found.psnr_after}
    return Result({"vertices": found.vertices, "faces": mesh["faces"], "normals": normals}, facts=facts)


def _colors(scene: FittedScene, mesh: dict[str, np.ndarray], seconds: float, progress: Progress) -> Result:
    """Colors of the vertices from the photographs, or from the field where they are gone."""
    vertices, faces = mesh["vertices"], mesh["faces"]
    if not scene.training:
        return Result({"colors": scene.colors(vertices)}, facts={"seen": 0.0})
    made = photo_vertex_colors(
        vertices, faces, scene.training, fallback=scene.colors, seconds=seconds, progress=progress
    )
    return Result({"colors": made.colors}, notes=list(made.notes), facts={"seen": made.seen})


def _charts(mesh: dict[str, np.ndarray], size: int, seconds: float, progress: Progress) -> Result:
    charts = unwrap(mesh["vertices"], mesh["faces"], size, seconds=seconds, progress=progress)
    arrays = {
        "vertices": mesh["vertices"][charts.source],
        "faces": charts.faces,
        "normals": mesh["normals"][charts.source],
        "uv": charts.uv,
    }
    return Result(arrays, facts={"charts": charts.count, "gap": charts.gap, "packer": charts.packer})


def _texture(scene: FittedScene, mesh: dict[str, np.ndarray], size: int, seconds: float, progress: Progress) -> Result:
    """The texture from the photographs, or from the field where they are gone."""
    if not scene.training:
        return Result(images={"color": _field_texture(scene, mesh, size)}, facts={"seen": 0.0})
    made = photo_texture(
        mesh["vertices"],
        mesh["faces"],
        mesh["uv"],
        scene.training,
        size,
        fallback=scene.colors,
        seconds=seconds,
        progress=progress,
    )
    notes = list(made.notes)
    if made.seen < 0.99:
        notes.append(f"No photograph shows {1 - made.seen:.1%} of the texture; its colors there come from the field")
    facts = {"seen": made.seen, "pixels": made.pixels, "psnr_training": made.psnr, "size": len(made.texture)}
    return Result(images={"color": made.texture}, notes=notes, facts=facts)


def _normals(mesh: dict[str, np.ndarray], surface: dict[str, np.ndarray], size: int, progress: Progress) -> Result:
    """The normals of the surface before simplification, in the tangent frames of the mesh."""
    detailed = normals_of_mesh(surface["vertices"], surface["normals"])
    made = bake_normal_map(mesh["vertices"], mesh["faces"], mesh["uv"], mesh["normals"], size, detailed)
    return Result({"tangents": made.tangents}, {"map": made.texture}, facts={"angle": made.angle})


def _field_texture(scene: FittedScene, mesh: dict[str, np.ndarray], size: int) -> np.ndarray:
    """The texture `[size, size, 3]` uint8 whose texels have the field's mean colors."""
    vertices, faces, uv = (mesh[name] for name in ("vertices", "faces", "uv"))
    atlas = make_atlas(vertices, faces, uv, size)
    inside = atlas.faces >= 0
    colors = np.zeros((atlas.num_texels, 3), np.float32)
    colors[inside] = scene.colors(interpolated(vertices, faces, atlas.faces[inside], atlas.weights[inside]))
    known = np.zeros(size * size, bool)
    known[atlas.texels[inside]] = True
    return to_bytes(fill_unused(atlas.image(colors), known.reshape(size, size)))


def _write(
    scene: FittedScene,
    options: AssetOptions,
    out: Path,
    mesh: dict[str, np.ndarray],
    texture: np.ndarray | None,
    normals: Result | None,
    runner: StageRunner,
) -> tuple[list[Path], list[str]]:
    """Write the file. Returns all files, and sentences about them."""
    asset = Asset(
        mesh["vertices"],
        mesh["faces"],
        mesh["normals"],
        colors=mesh.get("colors"),
        uv=mesh.get("uv"),
        texture=texture,
        normal_map=None if normals is None else normals.images["map"],
        tangents=None if normals is None else normals.arrays["tangents"],
        # Light and shadow are in the photographs already.
        unlit=normals is None,
        name=out.stem,
    )
    with runner.timed("file"):
        place = placement(
            scene.cameras,
            asset.vertices,
            up=options.up,
            units=options.units,
            size=options.size,
            scale_from=options.scale_from,
            file_up=file_up(out),
        )
        placed = place.placed(asset)
        files = [out, *_asset_files(out, placed, options)]
        notes = [*place.notes, *offset_notes(out, placed.vertices)]
        if options.collision:
            collision, sentences = write_collision(out, placed, _AsExportProgress(runner.reports))
            files.append(collision)
            notes += sentences
    for note in notes:
        runner.reports.message(note)
    return files, notes


def _asset_files(out: Path, asset: Asset, options: AssetOptions) -> list[Path]:
    """Write the file, and return those beside it."""
    return write_asset(
        out,
        asset,
        quantize=options.quantize,
        meshopt=options.meshopt,
        texture_format=options.texture_format,
    )


def _metrics(
    scene: FittedScene, mesh: dict[str, np.ndarray], texture: np.ndarray | None, runner: StageRunner
) -> dict[str, float]:
    """How well the mesh agrees with the photographs that were held out, and with the true shape where it is known."""
    look = texture if texture is not None else mesh.get("colors")
    vertices, faces, metrics = mesh["vertices"], mesh["faces"], {}
    if scene.truth is None and (not scene.test or look is None):
        return {}
    with runner.timed("report"):
        if scene.test and look is not None:
            metrics["psnr"] = mesh_psnr(vertices, faces, mesh.get("uv"), look, scene.test, background=scene.background)
        if scene.truth is not None and scene.training:
            metrics["chamfer"] = chamfer(vertices, faces, scene.truth, scene.training)
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _text(report: dict[str, Any]) -> str:
    size = f"{report['bytes'] / 1e6:.1f} MB"
    texture = f", texture {report['texture']} x {report['texture']}" if report["texture"] else ""
    psnr = f", {report['metrics']['psnr']:.2f} dB on held-out photographs" if "psnr" in report["metrics"] else ""
    return f"{report['triangles']:,} triangles{texture}, {size}{psnr}"


class _AsExportProgress(ExportProgress):
    """Reports of a stage for functions that report as exports do."""

    def __init__(self, reports: Reports) -> None:
        self.reports = reports

    def message(self, text: str) -> None:
        self.reports.message(text)

    def fraction(self, done: float) -> None:
        self.reports.fraction(done)
