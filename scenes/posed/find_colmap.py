"""Find cameras with COLMAP, as a program of its own: `python -m scenes.posed.find_colmap JOB.json`.

pycolmap holds the interpreter for seconds, ends the process where a check of its own fails, and its libraries clash
with Pillow's in one process (writing a PNG after an import of pycolmap aborts). So nothing else imports it.
`scenes.posed.find_child` starts this program and reads its lines of JSON: `{"stage": ..., "fraction": ...}`.

The job names a folder with `features` and perhaps `feature_masks` (see `find_pictures`). The program writes
`database.db`, which a later start continues; `sparse/0`, the best model so far; and `result.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from scenes.io.atomic import atomic_write_bytes
from scenes.posed.find_pairs import MAX_EXHAUSTIVE, alike_pairs, all_pairs, film_pairs, largest_group, nearest_first

# glog's level of messages that are errors: what COLMAP prints by itself is left out.
GLOG_ERROR = 2
# Features of an image, the largest ones; matching takes time with the square of their number. The last try has more.
MAX_FEATURES = 2048
MAX_FEATURES_DENSE = 6144
# Pictures and pairs of one call of COLMAP, between two reports.
PICTURES_A_CALL = 4
PAIRS_A_CALL = 32
# Fraction of the time until the deadline after which no more pairs are matched, once a picture has so many on average.
MATCHING_TIME = 0.6
LEAST_PARTNERS = 4
# Fraction of the pairs that look like one watermark from which on the background stands still: on a turntable 33 of 36.
STILL_FRACTION = 0.3
# Fraction of the pictures with a camera that is good enough: no second try follows.
GOOD_FRACTION = 0.9
# Points seen in three pictures or more that a picture must see for its camera to count, and their fraction of all
# points that it sees. Of 45 pictures of lego_200, the two with wrong cameras had 4 and 6 %, and no other less than 40.
MIN_POINTS_SEEN = 12
MIN_SURE_FRACTION = 0.2
# Points that two pictures share where one holds the other in its place.
MIN_SHARED = 8
# Pictures from which on two views of a point are not enough.
MIN_SURE_PICTURES = 6
# Fraction of the pictures that a later try must find more than the best one before it.
LEAST_GAIN = 0.03
# Mean reprojection error in pixels above which a model counts as wrong.
MAX_ERROR = 3.0
# Up to this many pictures the last try matches all with all.
MAX_DENSE = 120
# The last try: contrast of a feature, of COLMAP's 0.0067; and matches of a pair, of its 15.
LOW_CONTRAST = 0.002
FEW_MATCHES = 10


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
        folder: with the folder `features`.
        names: file names of the pictures.
        cameras: the same, those of each camera.
        order: whether neighbours among the names were taken one after another: "film", "numbered" or "none".
        deadline: time (`time.time()`) after which no further try begins; None for none. Matching ends before.
    """

    folder: str
    names: list[str]
    cameras: list[list[str]]
    order: str
    seed: int
    threads: int
    deadline: float | None


@dataclass
class Try:
    """A try to find the cameras."""

    name: str
    registered: int
    error: float
    seconds: float


@dataclass
class Result:
    """What was found; `sparse/0` holds the model.

    Attributes:
        registered: file names of the pictures with a camera.
        error: mean reprojection error in pixels of `features`; points: number of points.
        mapper: name of the try that found the model; empty where there is no model.
        tries: all tries.
        features: number of features of each picture.
        partners: matches of each picture with the one that it has most in common with.
        groups: file names of the pictures of other models than the largest.
        geometries: number of pairs by how COLMAP explains them.
        still_background: whether what stands still in the pictures was ignored.
        seconds: by stage.
    """

    registered: list[str] = field(default_factory=list)
    error: float = 0.0
    points: int = 0
    mapper: str = ""
    tries: list[Try] = field(default_factory=list)
    features: dict[str, int] = field(default_factory=dict)
    partners: dict[str, int] = field(default_factory=dict)
    groups: list[list[str]] = field(default_factory=list)
    geometries: dict[str, int] = field(default_factory=dict)
    still_background: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


Report = Callable[[str, float], None]


class Finder:
    """Runs the stages of a job. `report` is called with a stage and the fraction of it that is done."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job, self.report = job, report
        self.folder = Path(job.folder)
        self.images = self.folder / "features"
        self.names = job.names
        self.result = Result()
        now = time.time()
        self._match_until = None if job.deadline is None else now + MATCHING_TIME * (job.deadline - now)
        # Whether the best model's error is low, and its number of pictures.
        self._best: tuple[bool, int] = (False, 0)

    def run(self) -> None:
        """Find the cameras, and write the result after each try that is better than those before."""
        database = self.folder / "database.db"
        with self._timed("features"):
            options = pycolmap.FeatureExtractionOptions()
            options.sift.max_num_features = MAX_FEATURES
            self._features(database, options, "features")
            self.result.features = _feature_counts(database)
        with self._timed("matching"):
            pairs = self._pairs(database)
            self._match(database, pairs, pycolmap.TwoViewGeometryOptions(), "matching")
            self._describe_pairs(database)
            if self._background_stands_still():
                self._ignore_still(database, pairs)
        self._write()
        with self._timed("cameras"):
            self._try("incremental", lambda: self._incremental(database, "cameras"))
        with self._timed("second tries"):
            self._second_tries(database)
        self._write()

    def _second_tries(self, database: Path) -> None:
        """Try other mappers and looser thresholds until enough pictures have a camera."""
        dense = self.folder / "dense.db"
        if not self._good():
            self._try("global", lambda: self._global(database))
        if not self._good():
            self._densely(dense)
            self._try("more features", lambda: self._incremental(dense, "second try"))
        if not self._good() and dense.is_file():
            self._try("more features, global", lambda: self._global(dense))
        if not self._good() and dense.is_file():
            # Last, as it also finds wrong cameras: 7 of 31 in a hard scene, where stricter tries found 12, all right.
            self._try(
                "looser thresholds",
                lambda: self._incremental(dense, "second try", loose=True, min_matches=FEW_MATCHES),
            )

    def _good(self) -> bool:
        late = self.job.deadline is not None and time.time() > self.job.deadline
        return late or (self._best[0] and len(self.result.registered) >= GOOD_FRACTION * len(self.names))

    # ---- features and matches

    def _features(self, database: Path, options: Any, stage: str) -> None:
        """Find the features of pictures that have none yet. Images are entered in order, so their numbers are fixed."""
        pycolmap.Database.open(database).close()
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = "SIMPLE_RADIAL"
        if (self.folder / "feature_masks").is_dir():
            reader.mask_path = self.folder / "feature_masks"
        single = pycolmap.CameraMode.SINGLE
        with pycolmap.Database.open(database) as opened:
            known = {image.name for image in opened.read_all_images()}
        for names in self.job.cameras:
            if not known.issuperset(names):
                pycolmap.import_images(database, self.images, camera_mode=single, image_names=names, options=reader)
        options.num_threads = self.job.threads
        for first in range(0, len(self.names), PICTURES_A_CALL):
            some = self.names[first : first + PICTURES_A_CALL]
            pycolmap.extract_features(
                database,
                self.images,
                image_names=some,
                camera_mode=single,
                reader_options=reader,
                extraction_options=options,
            )
            self.report(stage, min(1.0, (first + len(some)) / len(self.names)))

    def _pairs(self, database: Path) -> list[tuple[str, str]]:
        names = self.job.names
        if len(names) <= MAX_EXHAUSTIVE:
            pairs = all_pairs(len(names))
        elif self.job.order == "film":
            pairs = film_pairs(len(names))
        else:
            with pycolmap.Database.open(database) as opened:
                numbers = {image.name: image.image_id for image in opened.read_all_images()}
                descriptors = [_descriptors(opened, numbers[name]) for name in names]
            pairs = alike_pairs(descriptors, self.job.seed, numbered=self.job.order == "numbered")
        return [(names[i], names[j]) for i, j in nearest_first(pairs, len(names))]

    def _match(self, database: Path, pairs: list[tuple[str, str]], verification: Any, stage: str) -> None:
        """Match pairs, the first ones where there is no time for all."""
        verification.ransac.random_seed = self.job.seed
        matching = pycolmap.FeatureMatchingOptions()
        matching.num_threads = self.job.threads
        listed = self.folder / "pairs.txt"
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listed
        for first in range(0, len(pairs), PAIRS_A_CALL):
            late = self._match_until is not None and time.time() > self._match_until
            if late and first >= LEAST_PARTNERS * len(self.names):
                break
            some = pairs[first : first + PAIRS_A_CALL]
            listed.write_text("".join(f"{a} {b}\n" for a, b in some))
            pycolmap.match_image_pairs(
                database, matching_options=matching, pairing_options=pairing, verification_options=verification
            )
            self.report(stage, (first + len(some)) / len(pairs))

    def _describe_pairs(self, database: Path) -> None:
        with pycolmap.Database.open(database) as opened:
            names = {image.image_id: image.name for image in opened.read_all_images()}
            numbers, geometries = opened.read_two_view_geometries()
        kinds: Counter[str] = Counter()
        partners = dict.fromkeys(names.values(), 0)
        for number, geometry in zip(numbers, geometries, strict=True):
            count = len(geometry.inlier_matches)
            if count == 0:
                continue
            kinds[pycolmap.TwoViewGeometryConfiguration(geometry.config).name] += 1
            for image in pycolmap.pair_id_to_image_pair(number):
                partners[names[image]] = max(partners[names[image]], count)
        self.result.geometries, self.result.partners = dict(kinds), partners

    def _background_stands_still(self) -> bool:
        """Whether many pairs have most in common what is at the same pixels in both, as in front of a turntable.

        COLMAP takes that for a watermark.
        """
        geometries = self.result.geometries
        return geometries.get("WATERMARK", 0) > STILL_FRACTION * sum(geometries.values())

    def _ignore_still(self, database: Path, pairs: list[tuple[str, str]]) -> None:
        """Verify the matches again without those that stand still."""
        self.result.still_background = True
        with pycolmap.Database.open(database) as opened:
            opened.clear_two_view_geometries()
        options = pycolmap.TwoViewGeometryOptions()
        options.filter_stationary_matches = True
        options.detect_watermark = False
        options.ransac.random_seed = self.job.seed
        listed = self.folder / "pairs.txt"
        listed.write_text("".join(f"{a} {b}\n" for a, b in pairs))
        pycolmap.verify_matches(database, listed, options)
        self._describe_pairs(database)

    def _densely(self, database: Path) -> None:
        """More, fainter and better described features, and more pairs, in a database of its own."""
        options = pycolmap.FeatureExtractionOptions()
        options.sift.max_num_features = MAX_FEATURES_DENSE
        options.sift.peak_threshold = LOW_CONTRAST
        # Shapes and sizes of features as they are seen from the side (Mikolajczyk and Schmid 2004; Dong and Soatto
        # 2015). Of 31 photographs of a nearly plain wooden bird, all get their right cameras; without, 4 wrong ones.
        options.sift.estimate_affine_shape = True
        options.sift.domain_size_pooling = True
        self._features(database, options, "second try: more features")
        verification = pycolmap.TwoViewGeometryOptions()
        verification.min_num_inliers = FEW_MATCHES
        verification.filter_stationary_matches = self.result.still_background
        verification.detect_watermark = not self.result.still_background
        names = self.job.names
        dense = [(names[i], names[j]) for i, j in nearest_first(all_pairs(len(names)), len(names))]
        pairs = dense if len(names) <= MAX_DENSE else self._pairs(database)
        self._match(database, pairs, verification, "second try: matching")

    # ---- mappers

    def _try(self, name: str, find: Callable[[], dict[int, Any]]) -> None:
        """Keep the largest model of a mapper if it is better than those of earlier tries."""
        begin = time.perf_counter()
        models = sorted((_trimmed(model) for model in find().values()), key=lambda model: -model.num_reg_images())
        seconds = time.perf_counter() - begin
        if not models or models[0].num_reg_images() < 2:
            self.result.tries.append(Try(name, 0, 0.0, seconds))
            return
        model = models[0]
        error = float(model.compute_mean_reprojection_error())
        self.result.tries.append(Try(name, model.num_reg_images(), error, seconds))
        good = error <= MAX_ERROR
        # Later tries are less strict, so a picture more is not worth a change.
        better = model.num_reg_images() > self._best[1] + LEAST_GAIN * len(self.names)
        if self._best[1] and not (good > self._best[0] or (good == self._best[0] and better)):
            return
        self._best = good, model.num_reg_images()
        self.result.registered = _registered(model)
        self.result.error, self.result.points, self.result.mapper = error, model.num_points3D(), name
        self.result.groups = [_registered(other) for other in models[1:]]
        target = self.folder / "sparse" / "0"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        model.write_binary(str(target))
        self._write()

    def _incremental(self, database: Path, stage: str, *, loose: bool = False, min_matches: int = 15) -> dict[int, Any]:
        options = pycolmap.IncrementalPipelineOptions()
        options.random_seed = self.job.seed
        options.num_threads = self.job.threads
        options.min_model_size = 3
        options.min_num_matches = min_matches
        options.extract_colors = False
        if loose:
            # Another first pair, too: one that is near enough in its looks to begin with little texture.
            options.mapper.init_min_num_inliers = 40
            options.mapper.init_min_tri_angle = 6.0
            options.mapper.abs_pose_min_num_inliers = 15
            options.mapper.abs_pose_min_inlier_ratio = 0.15
            options.mapper.filter_min_tri_angle = 1.0
            options.triangulation.min_angle = 1.0
            options.triangulation.ignore_two_view_tracks = len(self.names) >= MIN_SURE_PICTURES
        found = 0

        def registered() -> None:
            nonlocal found
            found += 1
            self.report(stage, min(1.0, found / len(self.names)))

        models = self._folder("models")
        return pycolmap.incremental_mapping(
            database,
            self.images,
            models,
            options,
            initial_image_pair_callback=registered,
            next_image_callback=registered,
        )

    def _global(self, database: Path) -> dict[int, Any]:
        """The global mapper (Pan et al. 2024), on a copy of the database, whose focal lengths it estimates first."""
        self.report("second try: global", 0.0)
        copy = self.folder / "global.db"
        shutil.copyfile(database, copy)
        calibration = pycolmap.ViewGraphCalibrationOptions()
        calibration.random_seed = self.job.seed
        pycolmap.calibrate_view_graph(copy, calibration)
        options = pycolmap.GlobalPipelineOptions()
        options.random_seed = self.job.seed
        options.num_threads = self.job.threads
        models = pycolmap.global_mapping(copy, self.images, self._folder("models"), options)
        self.report("second try: global", 1.0)
        return models

    def _folder(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    # ---- the result

    def _write(self) -> None:
        content = json.dumps(asdict(self.result), indent=1)
        atomic_write_bytes(self.folder / "result.json", content.encode())

    def _timed(self, stage: str) -> _Timer:
        return _Timer(self.result.seconds, stage)


class _Timer:
    """A context that stores its seconds."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self.seconds, self.stage = seconds, stage

    def __enter__(self) -> None:
        self.begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] = time.perf_counter() - self.begin


def _feature_counts(database: Path) -> dict[str, int]:
    with pycolmap.Database.open(database) as opened:
        return {image.name: int(opened.num_keypoints_for_image(image.image_id)) for image in opened.read_all_images()}


def _descriptors(opened: Any, image: int) -> np.ndarray:
    """The descriptors `[n, 128]` uint8 of an image, the largest features first."""
    keypoints = np.asarray(pycolmap.keypoints_to_matrix(opened.read_keypoints(image)))
    data = np.asarray(opened.read_descriptors(image).data)
    if not len(keypoints):
        return np.zeros((0, 128), np.uint8)
    # The columns are x, y and an affine shape, whose determinant is the squared size.
    sizes = np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4])
    return data[np.argsort(-sizes, kind="stable")]


def _registered(model: Any) -> list[str]:
    return sorted(model.image(image).name for image in model.reg_image_ids())


def _trimmed(model: Any) -> Any:
    """The model without the cameras that its points do not hold in their place.

    Left out are pictures whose points hardly any third picture sees, and those that share too few points with the
    others: mappers also place pictures by a few matches of things that only look alike.
    """
    images = list(model.reg_image_ids())
    if len(images) < MIN_SURE_PICTURES:
        return model
    seen, sure = Counter[int](), Counter[int]()
    shared: Counter[tuple[int, int]] = Counter()
    for point in model.points3D.values():
        tracked = sorted({element.image_id for element in point.track.elements})
        seen.update(tracked)
        if len(tracked) >= 3:
            sure.update(tracked)
        shared.update(combinations(tracked, 2))
    held = {i for i in images if sure[i] >= max(MIN_POINTS_SEEN, MIN_SURE_FRACTION * seen[i])}
    kept = largest_group(held, [pair for pair, count in shared.items() if count >= MIN_SHARED])
    for image in images:
        if image not in kept:
            model.deregister_frame(model.image(image).frame_id)
    return model


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, which closes the standard input."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Do the job that the first argument names."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    # Libraries print to the standard output as they like; the reports have it for themselves.
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pycolmap.logging.minloglevel = GLOG_ERROR
    pycolmap.set_random_seed(job.seed)

    def report(stage: str, fraction: float) -> None:
        reports.write(json.dumps({"stage": stage, "fraction": fraction}) + "\n")
        reports.flush()

    Finder(job, report).run()
    # Without the interpreter's end, which fails where a thread waits for the standard input.
    os._exit(0)


if __name__ == "__main__":
    main()
