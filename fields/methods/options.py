"""Options that a method decides from the signal where the user leaves them open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

from pydantic import Field

if TYPE_CHECKING:
    T = TypeVar("T")
    # Type checkers see the type that the option has in a prepared method, because nothing else uses its value.
    Undecided = Annotated[T, "None until `prepare` has decided it"]
else:
    Undecided = Optional


def undecided(description: str, **constraints: Any) -> Any:
    """Declare an option that is None until `prepare` decides it from the signal.

        octaves: Undecided[int] = undecided("Octaves per axis. Default: by the number of samples.", ge=1, le=24)

    `description` says what the default depends on. `constraints` are those of `pydantic.Field`.
    """
    return Field(None, description=description, **constraints)
