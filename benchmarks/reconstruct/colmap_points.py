"""COLMAP's sparse points at cameras that are known: `python -m benchmarks.reconstruct.colmap_points JOB.json OUT.npz`.

A program of its own, since pycolmap's libraries clash with others' in one process. The job has `folder` with `images`
and perhaps `masks` of the same names with `.png` behind, and `cameras`: name → `width`, `height`, `params` (fx, fy, cx,
cy) and `pose` (`[3, 4]`, world to camera, OpenCV's axes). OUT gets `points` and `towards` `[N, 3]`: where each is, and
the mean direction to the cameras that see it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pycolmap

# As many features of an image as COLMAP takes by default.
MAX_FEATURES = 8192
# Contrast of a feature, of COLMAP's 0.0067, with which only two thirds of the points are found on a cow of few details.
LOW_CONTRAST = 0.002
# glog's level of messages that are errors.
GLOG_ERROR = 2
# Views that see a point, at least; of 400 x 400 pixels two are often wrong.
MIN_TRACK = 3


def triangulated(folder: Path, cameras: dict[str, dict]) -> tuple[np.ndarray, np.ndarray]:
    """The points that features of all pairs of images give at these cameras, and directions to those that see them."""
    database, images = folder / "database.db", folder / "images"
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE"
    if (folder / "masks").is_dir():
        reader.mask_path = folder / "masks"
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.sift.max_num_features = MAX_FEATURES
    extraction.sift.peak_threshold = LOW_CONTRAST
    pycolmap.extract_features(
        database,
        images,
        camera_mode=pycolmap.CameraMode.PER_IMAGE,
        reader_options=reader,
        extraction_options=extraction,
    )
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for image in opened.read_all_images():
            given = cameras[image.name]
            camera = pycolmap.Camera(
                model="PINHOLE",
                width=given["width"],
                height=given["height"],
                params=given["params"],
                camera_id=image.camera_id,
            )
            opened.update_camera(camera)
            model.add_camera_with_trivial_rig(camera)
            placed = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image.image_id)
            model.add_image_with_trivial_frame(placed, pycolmap.Rigid3d(np.array(given["pose"])))
    pycolmap.match_exhaustive(database)
    (folder / "sparse").mkdir()
    model = pycolmap.triangulate_points(model, database, images, folder / "sparse")
    centres = {number: image.projection_center() for number, image in model.images.items()}
    points, towards = [], []
    for point in model.points3D.values():
        seen = {element.image_id for element in point.track.elements}
        if len(seen) < MIN_TRACK:
            continue
        ways = np.stack([centres[number] - point.xyz for number in seen])
        points.append(point.xyz)
        towards.append((ways / np.linalg.norm(ways, axis=1, keepdims=True)).mean(axis=0))
    return np.array(points).reshape(-1, 3), np.array(towards).reshape(-1, 3)


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    pycolmap.logging.minloglevel = GLOG_ERROR
    pycolmap.set_random_seed(0)
    points, towards = triangulated(Path(job["folder"]), job["cameras"])
    np.savez(sys.argv[2], points=points, towards=towards)


if __name__ == "__main__":
    main()
