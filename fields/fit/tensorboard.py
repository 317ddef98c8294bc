"""A fit's curves and pictures for TensorBoard."""

from __future__ import annotations

import json
import time

import numpy as np
from PIL import Image

from fields.fit.callbacks import LOG_SECONDS
from fields.fit.trainer import Trainer
from fields.runs.run import Run
from scenes.errors import BadInput

FOLDER = "tensorboard"


class TensorBoard:
    """A callback that logs what `history.jsonl` and `preview.png` hold into the run's folder: the loss, the running quality, steps a second,
    the picture whenever there is a new one; and at last the metrics. BadInput where TensorBoard is not installed."""

    def __init__(self, run: Run) -> None:
        check_installed()
        from torch.utils.tensorboard import SummaryWriter

        self.run = run
        self._writer = SummaryWriter(str(run.path / FOLDER), purge_step=run.header.get("steps_done"))
        self._writer.add_text("run", f"```\n{json.dumps(run.header, indent=1)}\n```")
        self._last: tuple[float, int] | None = None
        self._pictured = 0

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if self._last and now - self._last[0] < LOG_SECONDS and not trainer.done:
            return
        name, value = trainer.objective.running_quality(trainer.loss)
        self._writer.add_scalar("loss", trainer.loss, trainer.index)
        self._writer.add_scalar(name, value, trainer.index)
        if self._last:
            self._writer.add_scalar(
                "steps a second", (trainer.index - self._last[1]) / (now - self._last[0]), trainer.index
            )
        self._last = now, trainer.index
        self._picture(trainer.index)

    def close(self, metrics: dict[str, float], step: int) -> None:
        """After the fit: its metrics and its last picture."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"final/{name}", value, step)
        self._picture(step)
        self._writer.close()

    def _picture(self, step: int) -> None:
        picture = self.run.path / "preview.png"
        changed = picture.stat().st_mtime_ns if picture.is_file() else 0
        if changed > self._pictured:
            self._pictured = changed
            self._writer.add_image("preview", np.asarray(Image.open(picture).convert("RGB")), step, dataformats="HWC")


def check_installed() -> None:
    """BadInput where TensorBoard is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise BadInput("--tensorboard wants a package more: pip install 'field-studio[tensorboard]'") from None
