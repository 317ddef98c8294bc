"""The exports of each run: made one after another on a thread, kept in the run's folder, listed, cancelled, deleted."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from apps.studio import exporting
from apps.studio.exporting import ExportChoice
from apps.studio.memory import give_back
from apps.studio.messages import message_of, unexpected
from fields.export.base import Progress
from fields.runs.run import Run, write_json
from scenes.errors import BadInput

State = Literal["waiting", "working", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("waiting", "working")
# Folder of a run's exports inside of the run's folder, and the description of each one in a folder of its own.
EXPORTS, RECORD = "exports", "export.json"
ID = re.compile(r"[0-9a-f]{12}")
# Exports that may wait at a time.
MAX_WAITING = 20


class Cancelled(Exception):
    """Raised inside of an export that somebody cancelled."""


@dataclass
class Export:
    """One file that is made of a run, or was. It never belongs to another run than the one in whose folder it lies.

    `label`, `scale`, `cells`, `options`: what was asked for, see `exporting.choices`. `made`: time of the wish, in
    seconds since 1970. `file`: name of the file once it is there. `fraction`: how much is done, where the format
    reports it.
    """

    label: str
    scale: float
    cells: int
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    made: float = field(default_factory=time.time)
    state: State = "waiting"
    file: str = ""
    bytes: int = 0
    seconds: float = 0.0
    message: str = ""
    fraction: float | None = None
    begun: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON data, with the seconds that are left where they can be told."""
        data = asdict(self)
        begun = data.pop("begun")
        seconds = self.seconds if begun is None or self.state != "working" else time.monotonic() - begun
        left = seconds * (1 / self.fraction - 1) if self.state == "working" and self.fraction else None
        return {**data, "seconds": round(seconds, 1), "remaining": left}


class Shelf:
    """The exports of all runs. Finished ones are found in the runs' folders, also after a restart."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "studio-exporting")
        self._lock = threading.Lock()
        # Exports that wait or are made now, by their folders.
        self._active: dict[Path, Export] = {}

    def start(self, path: Path, choice: ExportChoice, scale: float, cells: int) -> Export:
        """Begin to make a file of the run in the folder `path`. Raises BadInput where too many wait."""
        wanted = Export(choice.label, scale, cells, options=dict(choice.options))
        folder = path / EXPORTS / wanted.id
        with self._lock:
            if len(self._active) >= MAX_WAITING:
                raise BadInput(f"{MAX_WAITING} exports wait already; let some of them end first")
            folder.mkdir(parents=True)
            self._active[folder] = wanted
        self._keep(folder, wanted)
        self._thread.submit(self._make, folder, choice, wanted)
        return wanted

    def submit(self, function: Callable[[], Any]) -> Any:
        """Call another function that takes long on the same thread. Returns its future."""
        return self._thread.submit(function)

    def entries(self, path: Path) -> list[dict[str, Any]]:
        """The exports of the run in a folder as JSON data, the newest first."""
        found = []
        for record in (path / EXPORTS).glob(f"*/{RECORD}"):
            if record.is_symlink() or not ID.fullmatch(record.parent.name):
                continue
            known = self._active.get(record.parent) or _read(record)
            if known is not None:
                found.append(known.to_dict())
        return sorted(found, key=lambda entry: -entry["made"])

    def find(self, path: Path, export_id: str) -> Export:
        """An export of a run. Raises BadInput where the run has none with this id."""
        record = self._folder(path, export_id) / RECORD
        known = self._active.get(record.parent) or _read(record)
        if known is None:
            raise BadInput("there is no such export of this run")
        return known

    def file(self, path: Path, export_id: str) -> Path:
        """The file of an export. Raises BadInput where it is not there."""
        known = self.find(path, export_id)
        # The record may come with a run that somebody else made.
        file = self._folder(path, export_id) / Path(known.file).name
        if known.state != "done" or not known.file or file.is_symlink() or not file.is_file():
            raise BadInput("this export has no file; make it again")
        return file

    def cancel(self, path: Path, export_id: str) -> None:
        """Stop an export. Has no effect where it has ended."""
        known = self.find(path, export_id)
        with self._lock:
            if known.state in ACTIVE:
                known.state = "cancelled"
        self._keep(self._folder(path, export_id), known)

    def delete(self, path: Path, export_id: str) -> None:
        """Delete an export and its file; one that is being made is cancelled before."""
        self.cancel(path, export_id)
        shutil.rmtree(self._folder(path, export_id), ignore_errors=True)

    def under_way(self) -> list[dict[str, Any]]:
        """Exports of all runs that wait or are made now, as JSON data, with the name of each run."""
        with self._lock:
            active = list(self._active.items())
        return [{**known.to_dict(), "run": folder.parent.parent.name} for folder, known in active]

    def is_busy(self, path: Path) -> bool:
        """Whether something is made of the run in this folder."""
        with self._lock:
            return any(folder.parent.parent == path for folder in self._active)

    def close(self) -> None:
        """Cancel what is under way, and wait for that."""
        with self._lock:
            for known in self._active.values():
                known.state = "cancelled"
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _folder(self, path: Path, export_id: str) -> Path:
        if not ID.fullmatch(export_id):
            raise BadInput("there is no such export of this run")
        return path / EXPORTS / export_id

    def _make(self, folder: Path, choice: ExportChoice, wanted: Export) -> None:
        wanted.begun = time.monotonic()
        try:
            self._begin(wanted)
            # The run is opened anew, and its field loaded anew: nothing that is viewed meanwhile is delayed or changed.
            run = Run.open(folder.parent.parent)
            file = exporting.write(run, choice, wanted.scale, wanted.cells, folder, _Reports(wanted))
            with self._lock:
                if wanted.state == "cancelled":
                    raise Cancelled
                wanted.file, wanted.bytes, wanted.state = file.name, file.stat().st_size, "done"
        except Cancelled:
            for file in folder.glob("*"):
                if file.name != RECORD:
                    file.unlink(missing_ok=True)
        except BadInput as error:
            wanted.state, wanted.message = "failed", message_of(error)
        except MemoryError:
            wanted.state, wanted.message = "failed", "there is not enough memory for this; make it smaller"
        except Exception as error:  # noqa: BLE001  (whatever a library raises: the thread outlives it)
            traceback.print_exc()
            wanted.state, wanted.message = "failed", unexpected(error)
        finally:
            wanted.seconds = time.monotonic() - wanted.begun
            wanted.fraction = None
            try:
                self._keep(folder, wanted)
            finally:
                # Also where the disk is full or the run was moved: the run is no longer busy.
                with self._lock:
                    self._active.pop(folder, None)
                give_back()

    def _begin(self, wanted: Export) -> None:
        with self._lock:
            if wanted.state == "cancelled":
                raise Cancelled
            wanted.state = "working"

    @staticmethod
    def _keep(folder: Path, known: Export) -> None:
        # The folder has gone where the export was deleted meanwhile.
        if folder.is_dir():
            write_json(folder / RECORD, asdict(known))


class _Reports(Progress):
    """Keeps how far an export is, and interrupts it where it was cancelled."""

    def __init__(self, wanted: Export) -> None:
        self.wanted = wanted

    def message(self, text: str) -> None:
        self.fraction(self.wanted.fraction or 0.0)

    def fraction(self, done: float) -> None:
        if self.wanted.state == "cancelled":
            raise Cancelled
        self.wanted.fraction = min(max(done, 0.0), 1.0)


def _read(record: Path) -> Export | None:
    """What is kept of an export; None where that cannot be read. One that a restart interrupted has failed."""
    try:
        known = Export(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if known.state in ACTIVE:
        known.state, known.message = "failed", "the studio was stopped meanwhile; make it again"
    return known
