"""Bodies of requests, which anybody may write: JSON objects with values of the types that are asked for."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from scenes.errors import BadInput


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. Raises BadInput where it holds anything else."""
    try:
        given = await request.json()
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadInput("the request holds no JSON object")
    return given


def number(given: dict[str, Any], name: str, default: float) -> float:
    """A finite number of an object, or the default where there is none. Raises BadInput for anything else."""
    value = given.get(name, default)
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not abs(found) < float("inf"):
        raise BadInput(f"{name} is no number")
    return found
