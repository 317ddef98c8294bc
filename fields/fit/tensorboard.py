"""Curves and images of a fit for TensorBoard."""

from __future__ import annotations

import json
import time

import numpy as np
from PIL import Image

from fields.fit.callbacks import LOG_SECONDS
from fields.fit.trainer import Trainer
from fields.runs.run import Run
from scenes.errors import BadInput

# Folder of the logs inside the run's.
FOLDER = "tensorboard"


class TensorBoard:
    """A callback that logs the loss, the running quality, the steps per second and each new preview; then the metrics.

    Raises BadInput where TensorBoard is not installed.
    """

    def __init__(self, run: Run) -> None:
        check_installed()
        from torch.utils.tensorboard import SummaryWriter

        self.run = run
        self._writer = SummaryWriter(str(run.path / FOLDER), purge_step=run.header.get("steps_done"))
        self._writer.add_text("run", f"```\n{json.dumps(run.header, indent=1)}\n```")
        self._last: tuple[float, int] | None = None
        # Time of change of the preview that was logged last, in nanoseconds.
        self._preview_time = 0

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if self._last and now - self._last[0] < LOG_SECONDS and not trainer.done:
            return
        name, value = trainer.objective.running_quality(trainer.loss)
        self._writer.add_scalar("loss", trainer.loss, trainer.index)
        self._writer.add_scalar(name, value, trainer.index)
        if self._last:
            rate = (trainer.index - self._last[1]) / (now - self._last[0])
            self._writer.add_scalar("steps per second", rate, trainer.index)
        self._last = now, trainer.index
        self._log_preview(trainer.index)

    def close(self, metrics: dict[str, float], step: int) -> None:
        """Log the metrics and the last preview, after the fit."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"final/{name}", value, step)
        self._log_preview(step)
        self._writer.close()

    def _log_preview(self, step: int) -> None:
        file = self.run.path / "preview.png"
        changed = file.stat().st_mtime_ns if file.is_file() else 0
        if changed > self._preview_time:
            self._preview_time = changed
            image = np.asarray(Image.open(file).convert("RGB"))
            self._writer.add_image("preview", image, step, dataformats="HWC")


def check_installed() -> None:
    """Raise BadInput where TensorBoard is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise BadInput("`tensorboard` needs another package: pip install 'field-studio[tensorboard]'") from None
