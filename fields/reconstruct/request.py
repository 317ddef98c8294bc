"""The options of `reconstruct`, each described once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from fields.options import Corners, Count, Natural, PathText, Positive, Request, Settings, option

# Time of a whole reconstruction, in seconds, and of a preview as a fraction of it.
DEFAULT_SECONDS = 480.0
PREVIEW_FRACTION = 0.1
# Size of a result, and of a preview.
TRIANGLES, PREVIEW_TRIANGLES = 100_000, 30_000
TEXTURE_SIZE, PREVIEW_TEXTURE_SIZE = 2048, 1024
RESOLUTION, PREVIEW_RESOLUTION = 320, 160
# The methods that measure best where silhouettes show what is empty, and elsewhere; see docs/reconstruct.md.
METHOD, METHOD_WITHOUT_SILHOUETTES = "neus", "hashgrid"


class ReconstructRequest(Request):
    """Every option of a reconstruction. None: decided from `preview`."""

    sections: ClassVar[Mapping[str, str]] = {
        "source": "source and result",
        "budget": "budget",
        "fit": "fit",
        "surface": "surface and texture",
        "place": "orientation and scale",
        "file": "file",
    }
    first: ClassVar[tuple[str, ...]] = ("source", "asset")

    source: PathText = option(
        ...,
        section="source",
        metavar="SOURCE",
        positional=True,
        recipe=False,
        help="A folder or zip of photographs, a film, or a scene whose cameras are known.",
    )
    asset: Path = option(
        ...,
        section="source",
        metavar="OUT",
        positional=True,
        recipe=False,
        help="The file to write: .glb, .usdz, .obj, .ply, .stl or .3mf.",
    )
    out: Path | None = option(
        None,
        section="source",
        metavar="RUN",
        recipe=False,
        help="Folder that keeps the result of every stage; a reconstruction that was cut off continues there. By "
        "default runs/NAME.",
    )
    seconds: Positive | None = option(
        None,
        section="budget",
        metavar="S",
        help=f"Time for everything, from the poses to the file (default {DEFAULT_SECONDS:g}).",
    )
    preview: bool = option(
        False,
        section="budget",
        label="Quick preview",
        help="A coarse result in a tenth of the time, to see whether the photographs suffice.",
    )
    steps: Count | None = option(
        None, section="budget", hidden=True, help="Steps of the fit instead of a share of the time."
    )
    seed: Natural = option(0, section="budget", metavar="N", help="Seed of all random numbers.")
    device: Literal["auto", "cpu", "cuda", "mps"] = option(
        "auto",
        section="budget",
        recipe=False,
        help="Where to compute; auto is an NVIDIA GPU where one can be used. mps is Apple's, which scenes cannot use.",
    )
    method: str | None = option(
        None,
        section="fit",
        metavar="NAME",
        help=f"How the scene is fitted. By default {METHOD}, whose field has a surface; where the photographs show "
        "more than the subject, this is cut out of them first. Another method is fitted to all that they show, and its "
        "meshes are rougher.",
    )
    settings: Settings = option(
        {},
        section="fit",
        flag="--set",
        metavar="KEY=VALUE",
        repeated=True,
        help="Set options of the method; may be repeated, or take several.",
    )
    background: Literal["white", "black"] | None = option(
        None, section="fit", help="Color that transparent pixels of the photographs show in scores (default white)."
    )
    unbounded: bool | None = option(
        None,
        section="fit",
        label="Bounds of the scene",
        switches={"bounded": False, "unbounded": True},
        help="bounded: all that the photographs show is the object; unbounded: there is something behind it. By "
        "default told from the photographs' transparency.",
    )
    orientation: Literal["stored", "upright"] | None = option(
        None,
        section="fit",
        label="Pixels of photographs",
        help="Whether known poses belong to the photographs' pixels as they are stored, or turned upright as EXIF "
        "says. By default as sizes tell, else stored.",
    )
    pose_convention: Literal["opengl", "opencv", "w2c", "w2c-opencv"] | None = option(
        None,
        section="fit",
        help="Convention of known poses in a transforms file or NPZ: camera to world with OpenGL's or OpenCV's axes, "
        "or world to camera (w2c). By default opengl, unless the cameras look at one place only as w2c.",
    )
    triangles: Count | None = option(
        None,
        section="surface",
        label="Triangles at most",
        metavar="N",
        help=f"Triangles of the mesh, at most (default {TRIANGLES:,}).",
    )
    texture_size: Count | None = option(
        None,
        section="surface",
        label="Texture size (pixels)",
        metavar="N",
        help=f"Texels along the side of the texture (default {TEXTURE_SIZE}).",
    )
    resolution: Count | None = option(
        None,
        section="surface",
        label="Surface detail (cells)",
        metavar="N",
        help=f"Cells along the longest side in which the surface is extracted (default {RESOLUTION}).",
    )
    box: Corners | None = option(
        None,
        section="surface",
        metavar="X0,Y0,Z0,X1,Y1,Z1",
        help="Keep only what lies in this box, in the units of the poses, which `info` shows. Negative numbers need an "
        "equals sign: --box=-1,...",
    )
    close_holes: bool = option(False, section="surface", help="Close holes, such as a base that no photograph shows.")
    cut_base: bool = option(
        False,
        section="surface",
        label="Cut off the base",
        help="Cut off the plane that the object stands on, such as a turntable.",
    )
    refine: bool | None = option(
        None,
        section="surface",
        label="Refine on the photographs",
        switches={"refine": True, "no-refine": False},
        help="Move the vertices so that the drawn mesh agrees with the photographs (by default, but not in a preview).",
    )
    normal_map: bool = option(
        False,
        section="surface",
        help="Bake the normals of the surface before simplification, for programs that light the mesh. Without it the "
        "mesh shows its texture as it is, since light and shadow are in the photographs already.",
    )
    up: str | None = option(
        None,
        section="place",
        label="Up axis",
        metavar="AXIS",
        choices=("x", "y", "z", "-x", "-y", "-z"),
        help="Axis of the poses that points up. By default told from the cameras.",
    )
    units: Literal["source", "metres"] = option(
        "metres",
        section="place",
        help="metres: upright and centred on the ground, as glTF and USD have it, in the poses' units unless a length "
        "is given. source: the coordinates and axes of the poses.",
    )
    length: Positive | None = option(
        None,
        section="place",
        label="Longest side (metres)",
        metavar="METRES",
        help="Length of the longest side of the object, in metres.",
    )
    scale_from: str | None = option(
        None,
        section="place",
        label="Scale from two points",
        metavar="A,B=LENGTH",
        help="Two points X,Y,Z of the scene, one after the other with a comma between, and their distance in metres.",
    )
    texture_format: Literal["png", "jpeg", "webp"] = option(
        "png", section="file", help="How textures are stored. jpeg and webp are smaller."
    )
    meshopt: bool = option(
        False, section="file", help="Compress the mesh further, for viewers on the web (EXT_meshopt_compression)."
    )
    collision: bool = option(
        False, section="file", label="Convex parts for physics", help="Add convex parts for collisions (.glb only)."
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: Any) -> Any:
        """Records of earlier versions have the length under `size`."""
        if not isinstance(values, Mapping) or "size" not in values:
            return values
        return {"length" if name == "size" else name: value for name, value in values.items()}

    def resolved(self, name: str) -> Any:
        """The value of an option that `preview` decides where it was not given."""
        value = getattr(self, name)
        if value is not None:
            return value
        full, coarse = {
            "seconds": (DEFAULT_SECONDS, DEFAULT_SECONDS * PREVIEW_FRACTION),
            "triangles": (TRIANGLES, PREVIEW_TRIANGLES),
            "texture_size": (TEXTURE_SIZE, PREVIEW_TEXTURE_SIZE),
            "resolution": (RESOLUTION, PREVIEW_RESOLUTION),
            "refine": (True, False),
        }[name]
        return coarse if self.preview else full
