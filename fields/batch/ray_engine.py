"""Stacks of a batch on the workers of a Ray cluster. Ray is an optional extra.

Each stack is a task. A worker that dies in the middle of one costs its work alone: Ray hands the stack to another
worker, and what fails again and again is recorded item by item. Files are read by the workers, so the folder has to be
at the same place on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fields.batch.request import BatchRequest
from fields.batch.sources import Source
from fields.batch.stack import why_not_stacked
from fields.batch.stack_fit import FittedStack, StackFit, open_stack
from fields.methods.base import Method
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.shape.signal import Shape

if TYPE_CHECKING:
    from fields.batch.batch import Batch

# Stacks that are fitted at once where the number is not given.
WORKERS = 2
# Times that a stack is handed to another worker after one has died.
RETRIES = 2
# Seconds between looks at what is finished.
POLL_SECONDS = 0.5


def import_ray() -> Any:
    """The package `ray`. Raises BadInput, which names the extra, where it is absent."""
    try:
        import ray
    except ImportError:
        raise BadInput("`engine=ray` needs the package ray: pip install 'field-studio[ray]'") from None
    return ray


def run_with_ray(batch: Batch) -> bool:
    """Fit what is missing by Ray. Returns False where it was stopped before the last item.

    Raises BadInput where Ray is absent or its cluster cannot be reached, and for methods and kinds that are not fitted
    together.
    """
    ray = import_ray()
    request = batch.request
    first = batch.first_that_opens(batch.missing)
    if first is None:
        return True
    _, signal, field, method = first
    reason = why_not_stacked(field)
    if reason or not isinstance(signal, Shape):
        raise BadInput(f"`engine=ray` hands out stacks of shapes: {reason or f'this is of the kind {signal.kind}'}")
    channels = signal.channels if batch.dataset is None else batch.dataset.channels
    connect(ray, request)
    try:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(fit_sources)
        missing = batch.missing
        parts = [missing[i : i + request.stack] for i in range(0, len(missing), request.stack)]
        running = {task.remote(part, request, method, channels): part for part in parts}
        while running and not batch.stopped:
            finished, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            batch.tell(f"{len(running)} stacks at work", 0.0)
            for one in finished:
                part = running.pop(one)
                try:
                    batch.keep(ray.get(one), method, 0.0)
                except ray.exceptions.RayError as error:
                    for source in part:
                        batch.fail(source, f"{source.name}: its worker died ({type(error).__name__})")
        return not running
    finally:
        ray.shutdown()


def connect(ray: Any, request: BatchRequest) -> None:
    """Connect to the request's cluster, or start one on this machine."""
    try:
        if request.address:
            ray.init(address=request.address, log_to_driver=False, logging_level="error")
        else:
            ray.init(
                num_cpus=request.workers or WORKERS,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"`address={request.address}`" if request.address else "`engine=ray`"
        raise BadInput(f"{where}: no Ray cluster answers ({str(error).splitlines()[0]})") from None


def fit_sources(sources: list[Source], request: BatchRequest, method: Method, channels: Channels) -> FittedStack:
    """Fit one stack, on one thread: what a worker does."""
    import torch

    torch.set_num_threads(1)
    opened = open_stack(sources, request, channels)
    if not opened.shapes:
        return FittedStack(channels, [], {}, opened.failed, 0)
    fit = StackFit(opened, method, request)
    fit.train()
    return fit.result()
