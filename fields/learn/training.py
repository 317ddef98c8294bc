"""Train a network on items: AdamW with a one-cycle schedule, the best epoch kept, continued from a checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes

# Of the schedule: fraction of the steps in which the rate rises, and the first rate as a fraction of the largest.
WARM_UP, FIRST = 0.3, 1 / 25
WEIGHT_DECAY = 1e-3
# Loss of a batch `(model, batch)`, and scores of a model, of which the first key decides.
Loss = Callable[[nn.Module, list[Tensor]], Tensor]
Score = Callable[[nn.Module], dict[str, float]]


def batches(dataset: Dataset, order: list[int], size: int) -> Iterator[list[Tensor]]:
    """Items of a dataset in an order, in stacks of `size`; the last may be smaller."""
    for first in range(0, len(order), size):
        items = [dataset[i] for i in order[first : first + size]]
        yield [torch.stack([torch.as_tensor(part) for part in column]) for column in zip(*items)]


class Learning:
    """The training of a network. `best` is the state with the best score so far.

    The same seed gives the same network on the same machine, whether or not it was continued from a checkpoint.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Dataset,
        *,
        loss: Loss,
        score: Score,
        epochs: int,
        batch: int,
        rate: float,
        seed: int = 0,
    ) -> None:
        self.model, self.train_set, self.loss, self.score = model, train, loss, score
        self.epochs, self.batch, self.rate, self.seed = epochs, batch, rate, seed
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
        self.epoch = 0
        self.best: dict[str, Tensor] = _copied(model)
        self.best_scores: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self._stopped = False

    def stop(self) -> None:
        """End after the present epoch."""
        self._stopped = True

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        count = len(self.train_set)  # pyright: ignore[reportArgumentType]
        return max(1, math.ceil(count / self.batch))

    def run(self, on_epoch: Callable[[Learning], None] = lambda learning: None, checkpoint: Path | None = None) -> bool:
        """Train to the last epoch; the model then has the best state. Returns False where it was stopped first."""
        while self.epoch < self.epochs and not self._stopped:
            self._one_epoch()
            if checkpoint is not None:
                self.save(checkpoint)
            on_epoch(self)
        self.model.load_state_dict(self.best)
        self.model.eval()
        return self.epoch >= self.epochs

    def _one_epoch(self) -> None:
        count = len(self.train_set)  # pyright: ignore[reportArgumentType]
        if hasattr(self.train_set, "set_epoch"):
            self.train_set.set_epoch(self.epoch)  # pyright: ignore[reportAttributeAccessIssue]
        self.model.train()
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            # Order and dropout depend on the epoch alone, so that a continued training draws the same.
            torch.manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(count).tolist()
            for index, batch in enumerate(batches(self.train_set, order, self.batch)):
                if len(batch[-1]) < 2:
                    # Batch norm knows nothing of a single item.
                    continue
                step = self.epoch * self.steps + index
                for group in self.optimizer.param_groups:
                    group["lr"] = self.rate * one_cycle(step / max(1, self.epochs * self.steps))
                self.optimizer.zero_grad()
                loss = self.loss(self.model, batch)
                loss.backward()
                self.optimizer.step()
                total += loss.item() * len(batch[-1])
        self.epoch += 1
        self.model.eval()
        scores = self.score(self.model)
        self.history.append({"epoch": self.epoch, "loss": total / max(1, count), **scores})
        first = next(iter(scores))
        # Later epochs win ties: they have seen more.
        if not self.best_scores or scores[first] >= self.best_scores[first]:
            self.best, self.best_scores = _copied(self.model), scores

    def save(self, path: Path) -> None:
        """Write everything that continuing needs to one file, whole or not at all."""
        from safetensors.torch import save

        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in entry.items()}
        described = {"epoch": self.epoch, "best_scores": self.best_scores, "history": self.history}
        tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        atomic_write_bytes(path, save(tensors, {"learning": json.dumps(described)}))

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint. Raises BadInput where it does not belong to this training."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as opened:
                described = json.loads((opened.metadata() or {})["learning"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            self.model.load_state_dict(_part(tensors, "model."))
            self.best = _part(tensors, "best.")
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _part(tensors, "optimizer.").items():
                index, _, entry = name.partition(".")
                state.setdefault(int(index), {})[entry] = tensor
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise BadInput(f"{path}: does not belong to this training ({str(error).splitlines()[0]})") from None
        self.epoch, self.best_scores = described["epoch"], described["best_scores"]
        self.history = described["history"]


def one_cycle(progress: float) -> float:
    """Factor on the largest rate at `progress` in [0, 1] (Smith and Topin 2018, with cosines)."""
    if progress < WARM_UP:
        return FIRST + (1 - FIRST) * 0.5 * (1 - math.cos(math.pi * progress / WARM_UP))
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
