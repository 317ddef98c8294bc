"""Small pieces of work of every kind, whose end is known to the bit, to be killed and disturbed.

A work is a command line that a person would type. It runs in a fork of this process, so that packages are imported
once and hundreds of runs take minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.trust.sound_files import sound_files

# Seconds between checkpoints in place of ten, so that small works have several.
CHECKPOINT_SECONDS = 0.1
# Seconds after which a work that should have ended is taken to hang; machines that do other things as well are slow.
HANG_SECONDS = 300.0
# Status of a process that was killed.
KILLED = -signal.SIGKILL
# Audit events of Python that change the file system; "open" counts where it is for writing.
CHANGES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree")
SMALL_GRID = ("--set", "levels=4", "table_size=1024", "width=16")

# What a disturbance does when a work is about to change a file.
Disturb = Callable[[], None]


@dataclass(frozen=True)
class Work:
    """`command`: arguments of the program, whose last ones are `--out` and a folder, or an output file.

    `resumes`: whether `--resume` continues it; else the same command does. `opens`: whether its result is a run.
    """

    name: str
    command: tuple[str, ...]
    resumes: bool = False
    opens: bool = True
    out_is_argument: bool = False

    def arguments(self, out: Path, again: bool = False) -> list[str]:
        """The command line with this output. again: to continue what was cut off."""
        if self.resumes and again and (out / "run.json").is_file():
            if self.command[0] == "fit":
                return ["fit", self.command[1], "--out", str(out), "--resume"]
            return ["distill", self.command[1], "--out", str(out), "--resume"]
        return [*self.command, str(out)] if self.out_is_argument else [*self.command, "--out", str(out)]


@dataclass
class Ended:
    """How a process ended. `status`: of `Popen`'s kind. `changes`: how often it changed the file system."""

    status: int
    text: str
    seconds: float
    changes: int

    @property
    def one_line(self) -> bool:
        """Whether an error was told by one line, with no traceback."""
        lines = [line for line in self.text.splitlines() if line.startswith(("error:", "Traceback"))]
        return len(lines) == 1 and lines[0].startswith("error:")


@dataclass
class Bench:
    """The inputs of all works in a folder, and the works by name."""

    folder: Path
    works: dict[str, Work] = field(default_factory=dict)


def prepare(folder: Path, names: Sequence[str] = ()) -> Bench:
    """Make the inputs and fit the runs that works begin with. names: the works that are wanted; empty for all."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = {}
    for name in ("image-png", "audio-wav", "video-gif", "shape-ply", "volume-npy", "posed-ngp"):
        (folder / name).mkdir()
        sources[name.partition("-")[0]] = str(sound_files()[name](folder / name))
    shapes = folder / "shapes"
    shapes.mkdir()
    for index in range(4):
        _ellipsoid(shapes / f"{index}.ply", 0.6 + 0.1 * index)
    image, teacher = sources["image"], folder / "teacher"
    works = [
        Work("fit-image", ("fit", image, *SMALL_GRID, "--steps", "300"), resumes=True),
        Work("fit-siren", ("fit", image, "--method", "siren", "--set", "width=32", "--steps", "300"), resumes=True),
        Work("fit-audio", ("fit", sources["audio"], *SMALL_GRID, "--steps", "300"), resumes=True),
        Work("fit-video", ("fit", sources["video"], *SMALL_GRID, "--steps", "200"), resumes=True),
        Work("fit-shape", ("fit", sources["shape"], *SMALL_GRID, "--steps", "100"), resumes=True),
        Work("fit-volume", ("fit", sources["volume"], *SMALL_GRID, "--steps", "300"), resumes=True),
        Work("fit-scene", ("fit", sources["posed"], *SMALL_GRID, "batch=256", "--steps", "100"), resumes=True),
        Work(
            "distill",
            ("distill", str(teacher), "--into", "siren", "--set", "width=16", "--steps", "200"),
            resumes=True,
        ),
        Work("export", ("export", str(teacher), "--scale", "8"), opens=False, out_is_argument=True),
        Work("compare", ("compare", image, "--methods", "hashgrid,frequency", "--steps", "20")),
        Work(
            "batch",
            ("batch", str(shapes), "--steps", "60", "--stack", "2", "--set", "resolution=8", "width=16", "batch=512"),
            opens=False,
        ),
    ]
    bench = Bench(folder, {work.name: work for work in works if not names or work.name in names})
    if not names or {"distill", "export", "studio"} & set(names):
        ended = run_forked(["fit", image, *SMALL_GRID, "--steps", "60", "--out", str(teacher)])
        assert ended.status == 0, ended.text
    return bench


def output(work: Work, folder: Path) -> Path:
    """Where a work writes to in a folder: the run, or the exported file."""
    return folder / ("out.png" if work.name == "export" else "out")


def run_forked(
    arguments: Sequence[str],
    *,
    kill_after: float | None = None,
    disturb: Callable[[int], None] | None = None,
    call: Callable[[], int] | None = None,
) -> Ended:
    """Run the program with these arguments in a fork, and wait for it.

    `kill_after`: seconds after which it is killed. `disturb`: called, in the fork, with the number of each change to
    the file system just before it is made. `call`: instead of the program.
    """
    errors, told = os.memfd_create("errors"), os.memfd_create("told")
    sys.stdout.flush()
    sys.stderr.flush()
    begun = time.monotonic()
    process = os.fork()
    if process == 0:
        _be_child(arguments, errors, told, disturb, call)
    status, killed = None, False
    while status is None:
        done, code = os.waitpid(process, os.WNOHANG)
        spent = time.monotonic() - begun
        if done:
            status = os.waitstatus_to_exitcode(code)
        elif (kill_after is not None and spent >= kill_after or spent > HANG_SECONDS) and not killed:
            killed = True
            os.kill(process, signal.SIGKILL)
        else:
            time.sleep(0.005)
    if killed and kill_after is None:
        raise TimeoutError(f"{' '.join(arguments)} took more than {HANG_SECONDS:g} s")
    text = os.pread(errors, 1 << 20, 0).decode(errors="replace")
    changes = os.pread(told, 1 << 10, 0)
    os.close(errors)
    os.close(told)
    return Ended(status, text, time.monotonic() - begun, int(changes or 0))


def _be_child(
    arguments: Sequence[str],
    errors: int,
    told: int,
    disturb: Callable[[int], None] | None,
    call: Callable[[], int] | None,
) -> None:
    status = 70
    try:
        os.dup2(errors, 2)
        os.dup2(errors, 1)
        _checkpoint_often()
        changes = 0

        def hook(event: str, values: tuple) -> None:
            nonlocal changes
            if event not in CHANGES or event == "open" and not _writes(values):
                return
            changes += 1
            os.pwrite(told, str(changes).encode(), 0)
            if disturb is not None:
                disturb(changes)

        sys.addaudithook(hook)
        from apps.cli.main import main

        status = call() if call is not None else main(arguments)
    except BaseException:  # noqa: BLE001  (a fork must not go on as its parent)
        import traceback

        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _writes(values: tuple) -> bool:
    path, _, flags = values[:3]
    if not isinstance(flags, int) or str(path).startswith(("/dev", "/proc")) or isinstance(path, int):
        return False
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _checkpoint_often() -> None:
    from fields.batch import stack_fit
    from fields.fit import callbacks

    callbacks.CHECKPOINT_SECONDS = stack_fit.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
    callbacks.PREVIEW_SECONDS = 4 * CHECKPOINT_SECONDS
    callbacks.LOG_SECONDS = CHECKPOINT_SECONDS / 4
    callbacks.CHECKPOINT_FRACTION = callbacks.PREVIEW_FRACTION = 0.5


def kill_at(number: int) -> Callable[[int], None]:
    """A disturbance that kills the process just before a change of the file system."""

    def disturb(change: int) -> None:
        if change == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return disturb


# Results


def digest(path: Path) -> dict[str, str]:
    """What must be the same however often a work was cut off: weights, scores, exported files, by relative path."""
    if path.is_file():
        return {path.name: _sha(path.read_bytes())}
    found = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if file.suffix == ".safetensors" and file.name != "state.safetensors":
            found[name] = _sha(_without_seconds(file))
        elif file.name == "metrics.json":
            stored = json.loads(file.read_text())
            found[name] = _sha(json.dumps([stored["metrics"], stored["steps"], stored["parameters"]]).encode())
        elif file.name == "results.jsonl":
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            kept = sorted((row["name"], row["status"], row.get("iou")) for row in rows)
            found[name] = _sha(json.dumps(kept).encode())
    return found


def _without_seconds(file: Path) -> bytes:
    """The tensors of a safetensors file: their bytes, behind the header."""
    content = file.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def unreadable(folder: Path) -> list[str]:
    """What of a folder that a killed process left cannot be opened."""
    from fields.batch.batch import HEADER as BATCH
    from fields.batch.batch import _read_rows
    from fields.compare.comparison import HEADER as COMPARISON
    from fields.compare.comparison import Comparison
    from fields.runs.run import Run, read_header
    from fields.weights.dataset import HEADER as DATASET
    from fields.weights.dataset import FieldDataset

    def run(path: Path) -> None:
        opened = Run.open(path)
        opened.metrics()
        opened.history()
        if opened.weights.is_file():
            opened.load_field()

    def batch(path: Path) -> None:
        read_header(path / BATCH)
        _read_rows(path / "results.jsonl")

    readers = {"run.json": run, COMPARISON: Comparison.open, BATCH: batch, DATASET: FieldDataset.open}
    wrong = []
    for name, read in readers.items():
        for file in sorted(folder.rglob(name)):
            try:
                read(file.parent)
            except Exception as error:  # noqa: BLE001  (whatever is raised is what this is about)
                wrong.append(f"{file.relative_to(folder)}: {type(error).__name__}: {error}")
    return wrong


def lost_seconds(run: Path) -> float:
    """Seconds of work between the last row of a run's history and its last checkpoint."""
    from safetensors import safe_open

    from fields.runs.run import Run

    rows = Run.open(run).history()
    file = run / "checkpoint" / "state.safetensors"
    if not rows:
        return 0.0
    if not file.is_file():
        return rows[-1]["seconds"] - rows[0]["seconds"]
    with safe_open(file, "pt") as opened:
        kept = json.loads(opened.metadata()["field_studio"])["elapsed"]
    return max(0.0, rows[-1]["seconds"] - kept)


def leftovers(folder: Path) -> list[str]:
    """Half-written files that are still there."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".writing-*")]


def _ellipsoid(file: Path, width: float) -> None:
    import trimesh

    mesh = trimesh.creation.icosphere(2)
    mesh.apply_scale((width, 1.0, 0.8))
    mesh.export(file)
