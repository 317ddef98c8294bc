"""What an asset of a scene shall be: the options of its stages, which several requests are turned into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fields.surface.cleanup import MIN_AREA
from scenes.shape.writers.asset import TextureFormat


@dataclass(frozen=True, kw_only=True)
class AssetOptions:
    """Options of the stages. Every stage depends on its own options and on the stages before.

    resolution: cells along the longest side in which the surface is extracted.
    box: lower and upper corner of what is kept, in units of the scene, or None.
    level: signed distance of the surface from the field's zero, in units of the scene.
    min_component: area of components that are kept, as a fraction of the largest one's.
    close_holes, cut_base: as in `fields.surface.scene_mesh.scene_mesh`.
    triangles: of the mesh, at most; None: as many as there are.
    refine: whether vertices are moved to agree with the photographs.
    texture_size: texels along a side; None: colors of vertices instead of a texture.
    normal_map: whether the normals before simplification are baked; the mesh is then one that programs light.
    up, units, size, scale_from: as in `fields.surface.placement.placement`.
    quantize, meshopt, texture_format, collision: as in the writers of `scenes.shape.writers`.
    """

    resolution: int
    box: tuple[float, ...] | None = None
    level: float = 0.0
    min_component: float = MIN_AREA
    close_holes: bool = False
    cut_base: bool = False
    triangles: int | None = None
    refine: bool = False
    texture_size: int | None = None
    normal_map: bool = False
    up: str | None = None
    units: Literal["metres", "source"] = "source"
    size: float | None = None
    scale_from: str | None = None
    quantize: bool = False
    meshopt: bool = False
    texture_format: TextureFormat = "png"
    collision: bool = False

    def only(self, *names: str) -> Mapping[str, Any]:
        """Some of the options, as plain JSON data."""
        values = asdict(self)
        return {name: values[name] for name in names}
