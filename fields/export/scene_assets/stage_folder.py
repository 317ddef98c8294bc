"""Results of stages that are kept in a run's folder, so that work which was cut off, or is asked for again, continues.

    asset/stages.json        the stages that are done: key, seconds, notes and facts of each
    asset/NAME.safetensors   arrays that a stage made
    asset/NAME.png           images that a stage made

The key of a stage is a digest of its options and of the key of the stage before. A stage whose key has changed is done
anew, and with it all later ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fields.runs.run import write_json
from scenes.io.atomic import atomic_write

# Version of the stages' results. Results of another version are made anew.
FORMAT = 1
FOLDER = "asset"


@dataclass
class Stage:
    """A stage that is done.

    Attributes:
        key: digest of its options and of the stages before.
        seconds: time that it took.
        notes: sentences that a person should read.
        facts: plain values about the result.
    """

    key: str
    seconds: float
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def stage_key(options: Mapping[str, Any], before: str = "") -> str:
    """The digest of a stage's options, which are plain JSON data, and of the key of the stage before."""
    text = json.dumps({"format": FORMAT, "options": options, "before": before}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class StageFolder:
    """The kept results of a run's stages."""

    def __init__(self, run_folder: Path) -> None:
        self.path = run_folder / FOLDER
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def stages(self) -> dict[str, Stage]:
        """All stages that are done, in the order in which they were done first."""
        try:
            stored = json.loads((self.path / "stages.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # (nothing was done yet; a damaged file costs the work, not the result)
        return {name: Stage(**stage) for name, stage in stored.items()}

    def done(self, name: str, key: str) -> Stage | None:
        """The kept stage, if it was done with this key."""
        stage = self.stages.get(name)
        return stage if stage is not None and stage.key == key else None

    def finish(self, name: str, stage: Stage) -> None:
        """Record a stage, after its files were written."""
        stages = self.stages | {name: stage}
        write_json(self.path / "stages.json", {name: asdict(stage) for name, stage in stages.items()})

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the arrays that a stage made."""
        from safetensors.numpy import save

        content = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
        with atomic_write(self.path / f"{name}.safetensors") as temporary:
            temporary.write_bytes(content)

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays that a stage made."""
        from safetensors.numpy import load_file

        return load_file(self.path / f"{name}.safetensors")

    def save_image(self, name: str, image: np.ndarray) -> None:
        """Write an image `[H, W, 3]` uint8 that a stage made."""
        from PIL import Image

        with atomic_write(self.path / f"{name}.png") as temporary:
            Image.fromarray(image).save(temporary)

    def load_image(self, name: str) -> np.ndarray:
        """An image `[H, W, 3]` uint8 that a stage made."""
        from PIL import Image

        with Image.open(self.path / f"{name}.png") as image:
            return np.asarray(image.convert("RGB"))
