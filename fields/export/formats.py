"""The table of formats, and who writes one. The first row that fits is taken, so the usual form of an ending comes first."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from fields.export.base import Format, Progress, Source, ending_of
from fields.export.capabilities import can
from fields.export.outputs.base import arguments
from fields.export.request import ExportRequest
from scenes.errors import BadInput

RENDERS = "fields.export.renders:write"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr", ".hdr")
SOUNDS = (".wav", ".flac", ".aiff", ".ogg", ".opus", ".mp3")
CLIPS = (".mp4", ".gif", ".webm", ".mkv", ".mov", "/")

MESH = ("resolution", "level", "crop", "largest", "faces", "error_map", "memory", "time")
POINTS = ("resolution", "level", "crop", "largest", "points", "memory", "time")
LATTICE = ("resolution", "memory")
PAINTED = (*MESH, "texture", "normal_map")

FORMATS: tuple[Format, ...] = (
    Format(
        ".glb",
        "mesh",
        "surface",
        "fields.export.meshes:write",
        PAINTED,
        "a mesh with material, normals and colours or a texture",
    ),
    Format(".obj", "mesh", "surface", "fields.export.meshes:write", PAINTED, "a mesh with .mtl and texture"),
    Format(".ply", "mesh", "surface", "fields.export.meshes:write", MESH, "a mesh with normals and vertex colours"),
    Format(".stl", "mesh", "surface", "fields.export.meshes:write", MESH, "a mesh, triangles only"),
    Format(
        ".ply",
        "points",
        "surface",
        "fields.export.points:write",
        POINTS,
        "points on the surface with normals and colours",
    ),
    Format(
        ".ply",
        "splat",
        "radiance",
        "fields.export.splats:write_radiance",
        ("points", "time"),
        "3-D Gaussians where light ends, as 3DGS viewers read them",
    ),
    Format(
        ".ply",
        "splat",
        "surface",
        "fields.export.splats:write",
        POINTS,
        "3-D Gaussians on the surface, as 3DGS viewers read them",
    ),
    *(
        Format(
            ending,
            "turntable",
            "radiance",
            RENDERS + "_turntable",
            ("size", "rate", "time", "turntable"),
            "a film once around it",
        )
        for ending in (".mp4", ".gif", ".webm", ".mkv", ".mov")
    ),
    Format(
        "/",
        "views",
        "radiance",
        "fields.export.views:write",
        ("size", "turntable"),
        "posed pictures with transforms.json, to be fitted again",
    ),
    *(
        Format(ending, "volume", "lattice", "fields.export.lattices:write", LATTICE, "its values on a lattice")
        for ending in (".npz", ".npy", ".nrrd", ".nii.gz", ".tif")
    ),
    Format("/", "volume", "lattice", "fields.export.lattices:write_slices", LATTICE, "its values as PNG slices"),
    *(
        Format(
            ending, "volume", "radiance", "fields.export.lattices:write", (*LATTICE, "time"), "its density on a lattice"
        )
        for ending in (".npz", ".npy", ".nrrd", ".nii.gz", ".tif")
    ),
    Format(
        "/",
        "volume",
        "radiance",
        "fields.export.lattices:write_slices",
        (*LATTICE, "time"),
        "its density as PNG slices",
    ),
    *(Format(ending, "picture", "picture", RENDERS, ("size", "scale", "crop"), "a picture") for ending in PICTURES),
    *(Format(ending, "sound", "sound", RENDERS, ("scale", "rate", "part"), "a sound") for ending in SOUNDS),
    *(
        Format(
            ending,
            "clip",
            "clip",
            RENDERS,
            ("size", "scale", "crop", "rate", "part"),
            "a clip; without ending a folder of frames",
        )
        for ending in CLIPS
    ),
    *(
        Format(ending, "picture", "clip", RENDERS, ("size", "scale", "crop", "time"), "one frame, at the given time")
        for ending in PICTURES
    ),
    Format(
        ".fsq",
        "small",
        "any",
        "fields.export.small:write",
        ("bits",),
        "one small file, which every command takes for a run",
    ),
    Format(
        ".npz",
        "weights",
        "any",
        "fields.export.weights:write",
        (),
        "the numbers as they are, with a description in JSON",
    ),
    Format(".onnx", "network", "any", "fields.export.graphs:write_onnx", (), "plain operators, for any ONNX runtime"),
    Format(".pt2", "program", "any", "fields.export.graphs:write_program", (), "a torch.export program"),
)


def find(source: Source, out: Path, form: str | None) -> Format:
    """The row for `out`; BadInput that lists what fits this field where none does."""
    able = can(source)
    fitting = [row for row in FORMATS if row.needs in able]
    ending = ending_of(out)
    for row in fitting:
        if row.ending == ending and form in (None, row.form):
            return row
    name = "a folder" if ending == "/" else ending
    wanted = f"{name} as {form}" if form else name
    raise BadInput(
        f"cannot export this field ({describe(source)}) as {wanted}; it becomes {listing(fitting)} (choose with `form`)"
    )


def default_ending(source: Source) -> str:
    able = can(source)
    return next(row.ending for row in FORMATS if row.needs in able)


def listing(rows: list[Format]) -> str:
    """Forms with their endings: "mesh: .glb, .obj; points: .ply"."""
    by_form: dict[str, list[str]] = {}
    for row in rows:
        by_form.setdefault(row.form, []).append("a folder" if row.ending == "/" else row.ending)
    return (
        "; ".join(f"{form}: {', '.join(dict.fromkeys(endings))}" for form, endings in by_form.items()) or "nothing yet"
    )


def describe(source: Source) -> str:
    space = source.field.channels.space.replace("_", " ")
    return source.kind if space in ("srgb", "linear", "amplitude", "scalar") else f"{source.kind}, {space}"


def export(
    source: Source,
    out: Path,
    request: ExportRequest,
    form: str | None = None,
    *,
    progress: Progress | None = None,
) -> dict:
    """Write the file `out` in the format of its ending and return the report of its writer.

    `form` chooses among the forms that the ending can have; by default the usual one of this kind of field. `progress` is told
    what will be done and how far it is. The report has "form", what the writer measured, "text" (a line for people) and "notes".
    Raises BadInput for whatever makes the export impossible; nothing is left half-written.
    """
    row = find(source, out, form)
    if wrong := [name for name in request.given() if name not in row.takes]:
        takes = arguments(row.takes) if row.takes else "no options"
        raise BadInput(f"{arguments(wrong)}: means nothing to {row.ending} as {row.form}; it takes {takes}")
    module, _, name = row.writer.partition(":")
    report = getattr(import_module(module), name)(source, out, request, progress or Progress())
    return {"form": row.form, **report}
