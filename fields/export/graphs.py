"""Fields as graphs of plain operators: ONNX, and torch.export programs.

    points   coords [N, D] in [0, 1] -> values [N, C]
    rays     coords [N, 3], directions [N, 3] (and time [N] where the field has one) -> density [N], color [N, 3]
    clips    times [T] in [0, 1] -> frames [T, C, H, W]

What is written is run again and compared with the field before it gets its name.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.models.field import Field, FrameField, RadianceField
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

OPSET = 18
TOLERANCE = 1e-4
EXAMPLES, OTHERS = 512, 777
# How torch calls the operators on whole numbers that its exporter does not know, and what ONNX calls them.
WHOLE_NUMBERS = {
    "aten::bitwise_and": "BitwiseAnd",
    "aten::__and_": "BitwiseAnd",
    "aten::bitwise_xor": "BitwiseXor",
    "aten::__xor_": "BitwiseXor",
}


class Graph(nn.Module):
    """A field as one function of tensors; `inputs` and `outputs` are their names."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        if isinstance(field, RadianceField):
            timed = field.domain.dimensions == 4
            self.inputs, self.outputs = ("coords", "directions", *(("time",) if timed else ())), ("density", "color")
        elif isinstance(field, FrameField):
            self.inputs, self.outputs = ("times",), ("frames",)
        else:
            self.inputs, self.outputs = ("coords",), ("values",)

    def forward(self, first: Tensor, directions: Tensor | None = None, time: Tensor | None = None):
        if isinstance(self.field, RadianceField):
            # (where density depends on where it is looked at from, the direction tells)
            density, feature = self.field.density(
                first, time, *((directions,) if getattr(self.field, "sees_directions", False) else ())
            )
            return density, self.field.color(feature, directions)
        return self.field.frames(first) if isinstance(self.field, FrameField) else self.field(first)

    def example(self, count: int, seed: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        if self.inputs == ("times",):
            return (torch.rand(min(count, 1 + seed), generator=generator),)
        if self.inputs == ("coords",):
            return (torch.rand(count, self.field.domain.dimensions, generator=generator),)
        coords, directions = torch.rand(count, 3, generator=generator), torch.randn(count, 3, generator=generator)
        return (
            coords,
            nn.functional.normalize(directions, dim=-1),
            *((torch.rand(count, generator=generator),) if "time" in self.inputs else ()),
        )


def write_onnx(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise BadInput("ONNX files want two packages more: pip install 'field-studio[onnx]'") from None
    check_path_writable(out)
    graph = _graph(source)
    content = io.BytesIO()
    axes = {name: {0: "n"} for name in (*graph.inputs, *graph.outputs)}
    # The exporter prints the whole graph where it fails, and warns of constants that are ones.
    with _told(out), _whole_numbers(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            graph.example(EXAMPLES, 1),
            content,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(content.getvalue())
    for name, value in _about(source).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value
    content = model.SerializeToString()
    domains = {node.domain for node in model.graph.node}
    if domains - {"", "ai.onnx"}:
        raise BadInput(
            f"{out}: this field needs operators that ONNX has not ({', '.join(sorted(domains))}); export .npz"
        )

    def again(inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return session.run(None, {name: tensor.numpy() for name, tensor in zip(graph.inputs, inputs)})

    with _told(out):
        difference = _difference(graph, again, out)
    with atomic_write(out) as temporary:
        temporary.write_bytes(content)
    return _report(graph, out, difference, f"{len(model.graph.node)} operators (ONNX opset {OPSET})")


def write_program(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    check_path_writable(out)
    graph = _graph(source)
    count = torch.export.Dim("n", min=1, max=1 << 24)
    with _told(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = graph.example(EXAMPLES, 1)
        program = torch.export.export(graph, inputs, dynamic_shapes=tuple({0: count} for _ in inputs))
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"field_studio.json": json.dumps(_about(source))})

    def again(inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        found = torch.export.load(io.BytesIO(content.getvalue())).module()(*inputs)
        return [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]

    with _told(out):
        difference = _difference(graph, again, out)
    with atomic_write(out) as temporary:
        temporary.write_bytes(content.getvalue())
    return _report(graph, out, difference, "a torch.export program")


def _graph(source: Source) -> Graph:
    field = source.field.cpu().eval()
    for parameter in field.parameters():
        parameter.requires_grad_(False)
    return Graph(field)


def _about(source: Source) -> dict[str, str]:
    field = source.field
    return {
        "kind": source.kind,
        "method": source.run.header["method"],
        "domain": json.dumps(field.domain.to_json()),
        "channels": json.dumps(field.channels.to_json()),
    }


@torch.no_grad()
def _difference(graph: Graph, again, out: Path) -> float:
    """The largest distance of what was written from the field, on other inputs and another number of them, relative to the largest value
    where that is above 1; BadInput above 1e-4."""
    inputs = graph.example(OTHERS, 2)
    expected = graph(*inputs)
    found = again(inputs)
    worst = 0.0
    for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), found, strict=True):
        worst = max(worst, float((ours - torch.from_numpy(theirs)).abs().max()) / max(1.0, float(ours.abs().max())))
    if not worst <= TOLERANCE:
        raise BadInput(
            f"{out}: what would be written differs from the field by {worst:.2g}, more than {TOLERANCE:g}; export .npz"
        )
    return worst


def _report(graph: Graph, out: Path, difference: float, what: str) -> dict:
    return {
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "difference": difference,
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "text": f"{what}, {', '.join(graph.inputs)} to {', '.join(graph.outputs)}, within {difference:.1g} of the field",
    }


@contextlib.contextmanager
def _told(out: Path) -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (the tracer stumbles over what it does not know, in many ways)
        raise BadInput(
            f"{out}: this field cannot be written as a graph ({str(error).strip().splitlines()[0][:160]}); export .npz"
        ) from error


@contextlib.contextmanager
def _whole_numbers() -> Iterator[None]:
    """The hash of a grid's cells is of whole numbers: ONNX has the operators since opset 18, torch's exporter for truth values only."""
    from torch.onnx import symbolic_helper

    def symbolic(name: str):
        def operator(graph, a, b):
            truth = symbolic_helper._is_bool(a) and symbolic_helper._is_bool(b)
            return graph.op(name.removeprefix("Bitwise") if truth else name, a, b)

        return operator

    for name, known in WHOLE_NUMBERS.items():
        torch.onnx.register_custom_op_symbolic(name, symbolic(known), OPSET)
    try:
        yield
    finally:
        for name in WHOLE_NUMBERS:
            torch.onnx.unregister_custom_op_symbolic(name, OPSET)
