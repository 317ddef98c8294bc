"""Kill a studio that has a fit and an export under way, and look what the next one finds in its folder."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from benchmarks.trust.works import KILLED, Bench, digest, kill_at, leftovers, run_forked, unreadable

# Seconds in which a job of the studio ends.
JOB_SECONDS = 120.0


def kill(bench: Bench, folder: Path, chance: random.Random, kills: int) -> tuple[dict, list[str]]:
    """Kill studios so many times. Returns a row of the report and the faults."""
    image = next((bench.folder / "image-png").iterdir())
    faults: list[str] = []
    plain_folder = folder / "whole-studio"
    plain = run_forked([], call=lambda: _work(plain_folder, image, bench.folder / "teacher"))
    if plain.status:
        return {"id": "studio", "kills": 0}, [f"studio: fails undisturbed: {plain.text[-500:]}"]
    wanted = digest(plain_folder / "photo")
    killed = late = 0
    while killed < kills and killed + late < 3 * kills:
        runs = folder / "studio"
        at = chance.randint(1, max(1, plain.changes))
        after = chance.uniform(0, plain.seconds)
        by_change = chance.random() < 0.5
        ended = run_forked(
            [],
            kill_after=None if by_change else after,
            disturb=kill_at(at) if by_change else None,
            call=lambda runs=runs: _work(runs, image, bench.folder / "teacher"),
        )
        how = f"before change {at}" if by_change else f"after {after:.2f} s"
        killed, late = (killed + 1, late) if ended.status == KILLED else (killed, late + 1)
        faults += [f"studio, killed {how}: {wrong}" for wrong in unreadable(runs)]
        again = run_forked([], call=lambda runs=runs: _work(runs, image, bench.folder / "teacher"))
        if again.status:
            faults.append(f"studio, killed {how}: the next one fails: {again.text.strip()[-400:]}")
        elif digest(runs / "photo") != wanted:
            faults.append(f"studio, killed {how}: the resumed fit ends with other bits")
        if left := leftovers(runs / "photo"):
            faults.append(f"studio, killed {how}: leaves {', '.join(left)}")
        shutil.rmtree(runs, ignore_errors=True)
    row = {"id": "studio", "kills": killed, "ended_before": late, "seconds": round(plain.seconds, 2)}
    return row, faults


def _work(runs: Path, image: Path, teacher: Path) -> int:
    """A studio that begins or resumes a fit, exports another run, and lists everything."""
    from apps.studio import exporting, gallery
    from apps.studio.server import Studio
    from apps.studio.view_renderer import OpenRun
    from fields.fit.request import FitRequest
    from fields.runs.run import Run

    if not (runs / "teacher").is_dir():
        # Whole or not at all, as by a person who puts a run there.
        runs.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(runs / ".arriving", ignore_errors=True)
        shutil.copytree(teacher, runs / ".arriving")
        (runs / ".arriving").rename(runs / "teacher")
    studio = Studio.at(runs)
    gallery.entries(studio.folders, studio.queue)
    path = runs / "photo"
    if not (path / "run.json").is_file():
        settings = {"levels": "4", "table_size": "1024", "width": "16"}
        # A folder without a header is no run; the name is free for the next wish.
        shutil.rmtree(path, ignore_errors=True)
        job = studio.queue.fit(FitRequest(source=str(image), method="hashgrid", settings=settings, steps=300), "photo")
    elif Run.open(path).header["status"] == "finished":
        job = None
    else:
        job = gallery.resume(studio.folders, studio.queue, "photo")
    run = Run.open(runs / "teacher")
    opened = OpenRun(run, run.load_field(), 0)
    choice = exporting.choices(opened)[0]
    export = studio.shelf.start(runs / "teacher", choice, 4.0, 64)
    begun = time.monotonic()
    while export.state in ("waiting", "working") or (job is not None and job.state not in ("done", "failed")):
        if time.monotonic() - begun > JOB_SECONDS:
            return 3
        time.sleep(0.01)
    listed = {entry["name"] for entry in gallery.entries(studio.folders, studio.queue)}
    states = [entry["state"] for entry in studio.shelf.entries(runs / "teacher")]
    studio.close()
    if job is not None and job.state == "failed":
        print(job.message)
        return 4
    right = {"photo", "teacher"} <= listed and "done" in states and not {"waiting", "working"} & set(states)
    return 0 if right else 5
