"""Endings of shape files, without importing anything that reads them."""

from __future__ import annotations

# Module of `scenes.shape.readers` for each ending.
READERS = {
    ".obj": "obj", ".ply": "ply", ".stl": "stl", ".glb": "gltf", ".gltf": "gltf", ".vrm": "gltf", ".off": "off",
    ".3mf": "threemf", ".dae": "collada", ".usd": "usd", ".usda": "usd", ".usdc": "usd", ".usdz": "usd",
    ".xyz": "xyz", ".xyzn": "xyz", ".xyzrgb": "xyz", ".pts": "xyz", ".asc": "xyz", ".csv": "xyz", ".txt": "xyz",
    ".pcd": "pcd", ".las": "las", ".laz": "las",
}  # fmt: skip
# Texts that are points only if they look like it.
DOUBTFUL = (".csv", ".txt", ".asc")
# Endings by which a file of a folder is a shape.
ENDINGS = tuple(ending for ending in READERS if ending not in DOUBTFUL)
# What an ending says, for people.
DESCRIPTIONS = {
    "obj": "an OBJ file", "stl": "an STL file", "gltf": "a glTF scene", "off": "an OFF file", "ply": "a PLY file",
    "threemf": "a 3MF file", "collada": "a COLLADA file", "usd": "a USD scene", "xyz": "a list of points",
    "pcd": "a PCD file", "las": "a laser scan",
}  # fmt: skip
# Formats of shapes that nothing here reads.
UNREAD = {
    ".fbx": "FBX files", ".blend": "Blender's own files", ".3ds": "3ds files", ".x": "DirectX files",
    ".wrl": "VRML files", ".vrml": "VRML files", ".x3d": "X3D files", ".step": "STEP files", ".stp": "STEP files",
    ".iges": "IGES files", ".igs": "IGES files", ".e57": "E57 scans", ".skp": "SketchUp's files", ".ctm": "CTM files",
    ".drc": "bare Draco files", ".vtk": "VTK files", ".vtp": "VTK files", ".3dm": "Rhino's files", ".ifc": "IFC files",
    ".max": "3ds Max's files", ".c4d": "Cinema 4D's files", ".lwo": "LightWave's files", ".amf": "AMF files",
    ".splat": "splat files", ".spz": "SPZ files",
}  # fmt: skip
