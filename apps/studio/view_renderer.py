"""Render views of fitted fields for the studio, on one worker thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from apps.studio.chosen_signal import OPENED
from fields.export.signal_windows import SignalWindows
from fields.export.viewers import Viewer
from fields.fit.fit import reopen
from fields.kinds import viewer_for
from fields.models.field import Field
from fields.runs.run import Run
from scenes.errors import BadInput

T = TypeVar("T")
# Fields that are kept in memory, those viewed last.
MAX_FIELDS = 3


@dataclass
class OpenRun:
    """A run with its field. `modified`: when the file of the weights was written, in ns."""

    run: Run
    field: Field
    modified: int

    @property
    def kind(self) -> str:
        return self.run.header["kind"]

    @cached_property
    def viewer(self) -> Viewer:
        return viewer_for(self.kind, self.field, self.run.path)

    def signal_windows(self) -> SignalWindows:
        """Windows into the run's signal. Raises BadInput where its file has gone or is another one by now."""
        signal = OPENED.get(("signal of", self.run.path, self.modified), lambda: reopen(self.run))
        return SignalWindows(self.viewer, signal)


class ViewRenderer:
    """Thread that evaluates fields. It keeps those viewed last, and loads a field anew where its file has changed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="studio-views")
        self._open_runs: OrderedDict[Path, OpenRun] = OrderedDict()

    def render(self, path: Path, function: Callable[[OpenRun], T]) -> Future[T]:
        """Call `function` on the thread, with the run in the folder `path`. BadInput where it has no weights yet."""
        return self._thread.submit(lambda: function(self._open(path)))

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _open(self, path: Path) -> OpenRun:
        run = Run.open(path)
        if not run.weights.is_file():
            raise BadInput(f"{path.name} has no weights yet; it can be viewed when it has been paused or is done")
        modified = run.weights.stat().st_mtime_ns
        opened = self._open_runs.pop(path, None)
        if opened is None or opened.modified != modified:
            opened = OpenRun(run, run.load_field(), modified)
        self._open_runs[path] = opened
        while len(self._open_runs) > MAX_FIELDS:
            self._open_runs.popitem(last=False)
        return opened
