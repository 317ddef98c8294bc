"""Fields as graphs of plain operators: ONNX files and torch.export programs.

    point fields      coords [N, D] in [0, 1] -> values [N, C]
    radiance fields   coords [N, 3], directions [N, 3] (and time [N] if the scene moves) -> density [N], color [N, 3]
    frame fields      times [T] in [0, 1] -> frames [T, C, H, W]

Each file is loaded, run and compared with the field before it gets its name.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.models.field import Field, FrameField, PointField, RadianceField
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

OPSET = 18
# Largest difference from the field, relative to its largest value if that is above 1.
TOLERANCE = 1e-4
# Inputs with which the graph is traced, and another number of inputs with which it is checked.
TRACED_INPUTS = 512
CHECKED_INPUTS = 777
# Torch's operators on integers that its exporter does not know, and their names in ONNX.
INTEGER_OPERATORS = {
    "aten::bitwise_and": "BitwiseAnd",
    "aten::__and_": "BitwiseAnd",
    "aten::bitwise_xor": "BitwiseXor",
    "aten::__xor_": "BitwiseXor",
}

# Runs a written graph: from input tensors to output arrays.
Runner = Callable[[tuple[Tensor, ...]], list[np.ndarray]]


class Graph(nn.Module):
    """A field as one function of tensors.

    inputs, outputs: names of the tensors.

    Raises BadInput for a field of none of the three kinds.
    """

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        self.inputs: tuple[str, ...]
        self.outputs: tuple[str, ...]
        if isinstance(field, RadianceField):
            self.inputs = ("coords", "directions", "time") if field.moving else ("coords", "directions")
            self.outputs = ("density", "color")
        elif isinstance(field, FrameField):
            self.inputs, self.outputs = ("times",), ("frames",)
        elif isinstance(field, PointField):
            self.inputs, self.outputs = ("coords",), ("values",)
        else:
            raise BadInput(f"a {type(field).__name__} is neither a point field, a radiance field nor a frame field")

    def forward(
        self, first: Tensor, directions: Tensor | None = None, time: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        field = self.field
        if isinstance(field, RadianceField) and directions is not None:
            density, feature = field.density(first, time, directions if field.directional_density else None)
            return density, field.color(feature, directions)
        return field.frames(first) if isinstance(field, FrameField) else field(first)

    def example(self, count: int, seed: int) -> tuple[Tensor, ...]:
        """Random inputs, `count` points or at most as many times."""
        generator = torch.Generator().manual_seed(seed)
        if self.inputs == ("times",):
            return (torch.rand(min(count, 1 + seed), generator=generator),)
        if self.inputs == ("coords",):
            return (torch.rand(count, self.field.domain.dimensions, generator=generator),)
        coords, directions = torch.rand(count, 3, generator=generator), torch.randn(count, 3, generator=generator)
        tensors = [coords, nn.functional.normalize(directions, dim=-1)]
        if "time" in self.inputs:
            tensors.append(torch.rand(count, generator=generator))
        return tuple(tensors)


def write_onnx(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Write the field as an ONNX file. BadInput if it needs operators that ONNX does not have."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise BadInput("ONNX files want two packages more: pip install 'field-studio[onnx]'") from None
    check_path_writable(out)
    graph = _graph(source)
    buffer = io.BytesIO()
    axes = {name: {0: "n"} for name in (*graph.inputs, *graph.outputs)}
    # The exporter prints the whole graph if it fails, and warns of constants that are ones.
    with _as_bad_input(out), _integer_operators(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            graph.example(TRACED_INPUTS, 1),
            buffer,  # pyright: ignore[reportArgumentType]  (the legacy exporter takes files, its stubs do not say so)
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    for name, value in _metadata(source).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value
    content = model.SerializeToString()
    unknown = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if unknown:
        raise BadInput(
            f"{out}: this field needs operators that ONNX does not have ({', '.join(sorted(unknown))}); export .npz"
        )

    # The exporter drops inputs that no output depends on, such as directions if colors are the same from all sides.
    used = {entry.name for entry in model.graph.input}

    def run(inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        given = {name: tensor.numpy() for name, tensor in zip(graph.inputs, inputs) if name in used}
        found = session.run(None, given)
        return [np.asarray(part) for part in found]

    with _as_bad_input(out):
        difference = _difference(graph, run, out)
    with atomic_write(out) as temporary:
        temporary.write_bytes(content)
    graph.inputs = tuple(name for name in graph.inputs if name in used)
    return _report(graph, out, difference, f"{len(model.graph.node)} operators (ONNX opset {OPSET})")


def write_program(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Write the field as a torch.export program."""
    check_path_writable(out)
    graph = _graph(source)
    count = torch.export.Dim("n", min=1, max=1 << 24)
    with _as_bad_input(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = graph.example(TRACED_INPUTS, 1)
        program = torch.export.export(graph, inputs, dynamic_shapes=tuple({0: count} for _ in inputs))
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"field_studio.json": json.dumps(_metadata(source))})

    def run(inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        found = torch.export.load(io.BytesIO(content.getvalue())).module()(*inputs)
        return [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]

    with _as_bad_input(out):
        difference = _difference(graph, run, out)
    with atomic_write(out) as temporary:
        temporary.write_bytes(content.getvalue())
    return _report(graph, out, difference, "a torch.export program")


def _graph(source: Source) -> Graph:
    field = source.field.cpu().eval()
    for parameter in field.parameters():
        parameter.requires_grad_(False)
    return Graph(field)


def _metadata(source: Source) -> dict[str, str]:
    """What a file says about its field."""
    field = source.field
    return {
        "kind": source.kind,
        "method": source.run.header["method"] if source.run else "",
        "domain": json.dumps(field.domain.to_json()),
        "channels": json.dumps(field.channels.to_json()),
    }


@torch.no_grad()
def _difference(graph: Graph, run: Runner, out: Path) -> float:
    """Largest difference of the written graph from the field, on other inputs than it was traced with.

    Relative to the largest value if that is above 1. BadInput if it exceeds `TOLERANCE`.
    """
    inputs = graph.example(CHECKED_INPUTS, 2)
    expected = graph(*inputs)
    worst = 0.0
    for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), run(inputs), strict=True):
        error = float((ours - torch.from_numpy(theirs)).abs().max())
        worst = max(worst, error / max(1.0, float(ours.abs().max())))
    if not worst <= TOLERANCE:
        raise BadInput(
            f"{out}: what would be written differs from the field by {worst:.2g}, more than {TOLERANCE:g}; export .npz"
        )
    return worst


def _report(graph: Graph, out: Path, difference: float, what: str) -> dict:
    names = f"{', '.join(graph.inputs)} to {', '.join(graph.outputs)}"
    return {
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "difference": difference,
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "text": f"{what}, {names}, within {difference:.1g} of the field",
    }


@contextlib.contextmanager
def _as_bad_input(out: Path) -> Iterator[None]:
    """Raise whatever goes wrong inside as BadInput.

    The exporters fail in many ways on operators that they do not know.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001
        reason = str(error).strip().splitlines()[0][:160]
        raise BadInput(f"{out}: this field cannot be written as a graph ({reason}); export .npz") from error


@contextlib.contextmanager
def _integer_operators() -> Iterator[None]:
    """Teach torch's exporter the bitwise operators of ONNX, which the hash of a grid's cells needs.

    ONNX has them since opset 18; the exporter knows them for booleans only.
    """
    from torch.onnx import symbolic_helper

    def symbolic(name: str):
        def operator(graph, a, b):
            booleans = symbolic_helper._is_bool(a) and symbolic_helper._is_bool(b)
            return graph.op(name.removeprefix("Bitwise") if booleans else name, a, b)

        return operator

    for name, onnx_name in INTEGER_OPERATORS.items():
        torch.onnx.register_custom_op_symbolic(  # pyright: ignore[reportPrivateImportUsage]
            name, symbolic(onnx_name), OPSET
        )
    try:
        yield
    finally:
        for name in INTEGER_OPERATORS:
            torch.onnx.unregister_custom_op_symbolic(name, OPSET)  # pyright: ignore[reportPrivateImportUsage]
