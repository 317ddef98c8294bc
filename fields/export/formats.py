"""The table of export formats, and `export`, which finds the row for a file and calls its writer.

A new format is a row here and its writer.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from fields.export.base import Format, Progress, Source, ending_of
from fields.export.outputs.base import option_list
from fields.export.request import ExportRequest
from fields.kinds import KINDS
from scenes.errors import BadInput

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr", ".hdr")
AUDIO = (".wav", ".flac", ".aiff", ".ogg", ".opus", ".mp3")
VIDEOS = (".mp4", ".gif", ".webm", ".mkv", ".mov", ".webp", ".apng")
VOLUMES = (".npz", ".npy", ".nrrd", ".nii.gz", ".tif")
FOLDER = "/"

# Options of meshes, of where they stand, of meshes with a texture, of points on surfaces, and of lattices of values.
MESH = ("resolution", "level", "box", "largest", "keep_components", "triangles", "error_map", "memory", "time")
PLACED = ("up", "length", "units")
TEXTURED = (*MESH, "texture", "texture_size", "normal_map", *PLACED, "texture_format")
POINTS = ("resolution", "level", "box", "largest", "keep_components", "points", "memory", "time")
LATTICE = ("resolution", "memory")


def _rows(
    endings: tuple[str, ...],
    form: str,
    needs: str,
    writer: str,
    *,
    options: tuple[str, ...] = (),
    description: str,
    bits_per_parameter: int | None = None,
) -> list[Format]:
    """Rows of the table that differ only by their ending. `writer`: "module:function" within `fields.export`."""
    return [
        Format(
            ending=ending,
            form=form,
            needs=needs,
            writer=f"fields.export.{writer}",
            options=options,
            description=description,
            bits_per_parameter=bits_per_parameter,
        )
        for ending in endings
    ]


# The first row that fits is taken, so the usual form of an ending comes first.
FORMATS: tuple[Format, ...] = (
    *_rows(
        (".glb",),
        "mesh",
        "surface",
        "meshes:write",
        options=(*TEXTURED, "quantize", "meshopt", "collision"),
        description="a mesh with material, normals and colors or a texture",
    ),
    *_rows(
        (".obj",), "mesh", "surface", "meshes:write", options=TEXTURED, description="a mesh with .mtl and a texture"
    ),
    *_rows(
        (".ply",),
        "mesh",
        "surface",
        "meshes:write",
        options=(*MESH, *PLACED),
        description="a mesh with normals and vertex colors",
    ),
    *_rows(
        (".stl",), "mesh", "surface", "meshes:write", options=(*MESH, *PLACED), description="a mesh of triangles only"
    ),
    *_rows(
        (".usdz",),
        "mesh",
        "surface",
        "meshes:write",
        options=TEXTURED,
        description="a mesh with material, normals and colors or a texture, for Quick Look on phones",
    ),
    *_rows(
        (".3mf",),
        "mesh",
        "surface",
        "meshes:write",
        options=(*MESH, *PLACED),
        description="a mesh with vertex colors and its units, for printers",
    ),
    *_rows(
        (".ply",),
        "points",
        "surface",
        "points:write",
        options=POINTS,
        description="points on the surface with normals and colors",
    ),
    *_rows(
        (".ply",),
        "splat",
        "radiance",
        "splats:write_radiance",
        options=("points", "time"),
        description="3-D Gaussians where light comes from, for 3DGS viewers",
    ),
    *_rows(
        (".ply",),
        "splat",
        "surface",
        "splats:write",
        options=POINTS,
        description="3-D Gaussians on the surface, for 3DGS viewers",
    ),
    *_rows(
        VIDEOS,
        "turntable",
        "radiance",
        "renders:write_turntable",
        options=("size", "rate", "time", "frames"),
        description="a video once around the scene",
    ),
    *_rows(
        (FOLDER,),
        "views",
        "radiance",
        "views:write",
        options=("size", "frames"),
        description="posed images with transforms.json, which can be fitted again",
    ),
    *_rows(
        VOLUMES, "volume", "lattice", "lattices:write", options=LATTICE, description="the field's values on a lattice"
    ),
    *_rows(
        (FOLDER,),
        "volume",
        "lattice",
        "lattices:write_slices",
        options=LATTICE,
        description="the field's values as PNG slices",
    ),
    *_rows(
        VOLUMES,
        "volume",
        "radiance",
        "lattices:write",
        options=(*LATTICE, "time"),
        description="the scene's density on a lattice",
    ),
    *_rows(
        (FOLDER,),
        "volume",
        "radiance",
        "lattices:write_slices",
        options=(*LATTICE, "time"),
        description="the scene's density as PNG slices",
    ),
    *_rows(
        IMAGES, "image", "image", "renders:write", options=("size", "scale", "crop"), description="an image of any size"
    ),
    *_rows(
        AUDIO, "audio", "audio", "renders:write", options=("scale", "rate", "part"), description="audio at any rate"
    ),
    *_rows(
        (*VIDEOS, FOLDER),
        "video",
        "video",
        "renders:write",
        options=("size", "scale", "crop", "rate", "part"),
        description="a video of any size and rate; as a folder, its frames",
    ),
    *_rows(
        IMAGES,
        "image",
        "video",
        "renders:write_frame",
        options=("size", "scale", "crop", "time"),
        description="one frame, at the given time",
    ),
    *_rows(
        (".fsq",),
        "small",
        "any",
        "small:write",
        options=("bits",),
        description="the field compressed to one file, which every command takes for a run",
        bits_per_parameter=8,
    ),
    *_rows(
        (".html",),
        "page",
        "any",
        "page.write:write",
        options=("bits",),
        description="one page that draws the field in any browser, without a network",
        bits_per_parameter=16,
    ),
    *_rows(
        (".npz",),
        "weights",
        "any",
        "weights:write",
        description="the parameters as arrays, with a description in JSON",
        bits_per_parameter=32,
    ),
    *_rows(
        (".onnx",),
        "network",
        "any",
        "graphs:write_onnx",
        description="a graph of plain operators, for any ONNX runtime",
        bits_per_parameter=32,
    ),
    *_rows(
        (".pt2",),
        "program",
        "any",
        "graphs:write_program",
        description="a torch.export program",
        bits_per_parameter=32,
    ),
)


def export(
    source: Source,
    out: Path,
    request: ExportRequest,
    form: str | None = None,
    *,
    progress: Progress | None = None,
) -> dict:
    """Write a field to a file in the format of its ending, and return the report of its writer.

    out: a file, or a folder if it has no ending.
    form: which of the forms that the ending can have, such as "mesh" or "points"; None: the usual one of this field.
    progress: is told what will be done and how far it is.

    The report has "form", the measurements of the writer, "text" (a line for people) and "notes" (sentences for
    people). Raises BadInput for whatever makes the export impossible; nothing half-written is left behind.
    """
    row = find_format(source, out, form)
    if wrong := [name for name in request.given() if name not in row.options]:
        takes = option_list(row.options) if row.options else "no options"
        raise BadInput(f"{option_list(wrong)}: means nothing to {row.ending} as {row.form}; it takes {takes}")
    module, _, name = row.writer.partition(":")
    report = getattr(import_module(module), name)(source, out, request, progress or Progress())
    return {"form": row.form, **report}


def formats_of(source: Source) -> list[Format]:
    """The rows that fit a field, the usual form of its kind first."""
    exports = KINDS[source.kind].exports
    return [row for row in FORMATS if row.needs == "any" or row.needs in exports]


def default_ending(source: Source) -> str:
    """The ending of the usual form of a field."""
    return formats_of(source)[0].ending


def find_format(source: Source, out: Path, form: str | None) -> Format:
    """The row for a file. Raises BadInput, which lists the forms of this field, if there is none."""
    fitting = formats_of(source)
    ending = ending_of(out)
    for row in fitting:
        if row.ending == ending and form in (None, row.form):
            return row
    wanted = _name(ending) + (f" as {form}" if form else "")
    raise BadInput(
        f"cannot export this field ({_describe(source)}) as {wanted}; "
        f"it becomes {_listing(fitting)} (choose with `form`)"
    )


def _listing(rows: list[Format]) -> str:
    """Forms with their endings: "mesh: .glb, .obj; points: .ply"."""
    endings_of: dict[str, list[str]] = {}
    for row in rows:
        endings_of.setdefault(row.form, []).append(_name(row.ending))
    return "; ".join(f"{form}: {', '.join(dict.fromkeys(endings))}" for form, endings in endings_of.items())


def _name(ending: str) -> str:
    return "a folder" if ending == FOLDER else ending


def _describe(source: Source) -> str:
    channels = source.field.channels
    return f"{source.kind}, {channels.space.replace('_', ' ')}" if channels.is_surface else source.kind
