"""Meshes of fitted shapes: how far from the file, and how far from the field, at which resolution, time and memory.

    python -m benchmarks.meshes [--json] [--quick] [--store] [--only PART] [--run NAME=RUN ...]

The armadillo (from `shared/data/meshes` beside the repository; without it a procedural shape stands in, under another
id) is fitted for 120 seconds and meshed at 64 to 512 cells along the longest side, each in a process of its own. Rows:
`to-source` and `from-source` (mean point-to-surface distances in units of the longest side), `to-field` (mean distance
to the field's zero set, in cells), `seconds` and `megabytes` (the peak of the whole process). Against: `dense`,
marching cubes (scikit-image's) of the same field on a plain dense lattice of the same resolution, vertices interpolated
along edges. Parts: `resolutions` (these), `images` and `exports` (`benchmarks/mesh_pictures.py`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.mesh_pictures import image_rows, large_rows
from benchmarks.report import add_arguments, emit, report

ARMADILLO = Path(__file__).resolve().parents[2] / "shared" / "data" / "meshes" / "armadillo.obj"
RESOLUTIONS = (64, 128, 256, 512)
FIT_SECONDS = 120
# A dense lattice takes minutes beyond this.
DENSEST = 512


def measure(
    quick: bool, only: str | None = None, given: dict[str, str] | None = None, keep: Path | None = None
) -> dict:
    given, rows = given or {}, []
    with tempfile.TemporaryDirectory() as folder:
        if only in (None, "resolutions"):
            rows += _resolutions(quick, folder, given.get("armadillo"))
        if only in (None, "images"):
            rows += image_rows(folder, given, quick, keep)
        if only in (None, "exports"):
            rows += large_rows(folder, given, quick)
    return report("meshes", rows)


def _resolutions(quick: bool, folder: str, run: str | None) -> list[dict]:
    resolutions = RESOLUTIONS[:3] if quick else RESOLUTIONS
    source, name = (str(ARMADILLO), "armadillo") if ARMADILLO.is_file() else (_knot(folder), "knot")
    run = run or _fit(source, f"{folder}/run", 10 if quick else FIT_SECONDS)
    rows = []
    for resolution in resolutions:
        ours = _in_process(run, resolution, "ours")
        dense = _in_process(run, resolution, "dense") if resolution <= DENSEST else {}
        for key, unit, digits in (
            ("to-source", "longest sides", 7),
            ("from-source", "longest sides", 7),
            ("to-field", "cells", 5),
            ("seconds", "s", 2),
            ("megabytes", "MB", 0),
        ):
            rows.append(
                {
                    "id": f"{name}-{resolution}-{key}",
                    "value": round(ours[key], digits),
                    "unit": unit,
                    "against": "dense",
                    "against_value": round(dense[key], digits),
                    "ratio": round(dense[key] / ours[key], 2),
                }
            )
        rows[-1]["triangles"] = ours["triangles"]
        rows[-1]["watertight"] = ours["watertight"]
    return rows


def plot(result: dict, out: Path) -> None:
    """Distances against resolution."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    rows = {
        row["id"].split("-", 2)[1] + "/" + row["id"].split("-", 2)[2]: row for row in result["rows"] if "against" in row
    }
    resolutions = sorted({int(key.split("/")[0]) for key in rows})
    for axes, key, label in (
        (left, "to-source", "mesh to source"),
        (left, "from-source", "source to mesh"),
        (right, "to-field", "mesh to field"),
    ):
        for value, name, style in (("value", "", "o-"), ("against_value", ", dense", "s--")):
            axes.plot(
                resolutions, [rows[f"{n}/{key}"][value] for n in resolutions], style, label=label + name, markersize=4
            )
    left.axhline(5e-4, color="grey", linewidth=0.8)
    left.set_ylabel("mean distance, longest sides")
    right.set_ylabel("mean distance, cells")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(resolutions, [str(n) for n in resolutions])
        axes.set_xlabel("cells along the longest side")
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def one(run: str, resolution: int, who: str) -> dict:
    """One mesh of a run, measured; the peak is that of this process."""
    import resource
    import time

    from fields.fit.fit import reopen
    from fields.models.field import PointField
    from fields.runs.run import Run
    from fields.surface.implicit import implicit_shape
    from fields.surface.quality import against_field, against_source
    from fields.surface.surface_mesh import surface_mesh
    from scenes.shape.signal import Shape

    kept = Run.open(Path(run))
    fitted, shape = kept.load_field("cpu"), reopen(kept)
    assert isinstance(fitted, PointField) and isinstance(shape, Shape)
    implicit = implicit_shape(fitted)
    begun = time.perf_counter()
    mesh = surface_mesh(implicit, resolution) if who == "ours" else dense_mesh(implicit, resolution)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    field, source = against_field(implicit, mesh), against_source(mesh, shape)
    return {
        "to-source": source["distance_to_source"],
        "from-source": source["distance_from_source"],
        "to-field": field["distance_to_field_cells"],
        "seconds": seconds,
        "megabytes": peak,
        "triangles": len(mesh.faces),
        "watertight": mesh.watertight,
    }


def dense_mesh(implicit, resolution: int):
    """Every node of the lattice is asked; vertices where straight lines between the values cross zero."""
    import numpy as np
    import torch
    from skimage.measure import marching_cubes

    from fields.render.sphere_trace import in_chunks
    from fields.surface.project import colors_at, normals_at
    from fields.surface.surface_mesh import SurfaceMesh

    axis = torch.arange(resolution + 1) / resolution
    values = np.empty((resolution + 1,) * 3, np.float32)
    with torch.no_grad():
        for index, x in enumerate(axis):
            y, z = torch.meshgrid(axis, axis, indexing="ij")
            positions = torch.stack([torch.full_like(y, float(x)), y, z], dim=-1).reshape(-1, 3)
            values[index] = in_chunks(implicit.function, positions).reshape(resolution + 1, -1).numpy()
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    mesh = SurfaceMesh(
        vertices.astype(np.float64) / resolution, faces.astype(np.int64), np.zeros((0, 3)), None, 1.0 / resolution
    )
    mesh.normals = normals_at(implicit, mesh.vertices, mesh.normal_width)
    mesh.colors = colors_at(implicit, mesh.vertices)
    return mesh


def _fit(source: str, out: str, seconds: int) -> str:
    subprocess.run(
        [sys.executable, "-m", "apps.cli.main", "fit", source, "--seconds", str(seconds), "--out", out],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return out


def _in_process(run: str, resolution: int, who: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.meshes", "--one", run, str(resolution), who],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def _knot(folder: str) -> str:
    """A trefoil of round cross-section as a file."""
    import numpy as np
    import trimesh

    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    path = np.stack([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], axis=1)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    aside = np.cross(along, [0.0, 0.0, 1.0])
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    above = np.cross(along, aside)
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ring = 0.45 * (np.cos(turn)[None, :, None] * aside[:, None] + np.sin(turn)[None, :, None] * above[:, None])
    vertices = (path[:, None] + ring).reshape(-1, 3)
    i, j = (grid.reshape(-1) for grid in np.meshgrid(np.arange(400), np.arange(48), indexing="ij"))
    corner = [((i + a) % 400) * 48 + (j + b) % 48 for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
    faces = np.concatenate(
        [np.stack([corner[0], corner[1], corner[2]], 1), np.stack([corner[0], corner[2], corner[3]], 1)]
    )
    out = f"{folder}/knot.ply"
    trimesh.Trimesh(vertices, faces, process=False).export(out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw distances against resolution")
    parser.add_argument("--only", choices=("resolutions", "images", "exports"), help="this part alone")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="NAME=RUN",
        help="this run of spot, armadillo, duck or lego instead of a fresh one",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep images of the first view there, the field's beside the mesh's",
    )
    parser.add_argument("--one", nargs=3, metavar=("RUN", "RESOLUTION", "WHO"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]), options.one[2])))
        return
    result = measure(options.quick, options.only, dict(entry.split("=", 1) for entry in options.run), options.keep)
    if options.plot:
        plot(result, options.plot)
    emit(result, options)


if __name__ == "__main__":
    main()
