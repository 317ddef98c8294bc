"""Methods as plain data, from which listings and controls of their options are made."""

from __future__ import annotations

from typing import Any

from fields.methods.base import Method


def describe(cls: type[Method]) -> dict[str, Any]:
    """A method as plain data: its name, summary, paper, dimensions and options.

    Its options are in the order of `Method.option_sections`, each with the title of its section.
    """
    properties = cls.model_json_schema()["properties"]
    return {
        "name": cls.name,
        "summary": cls.summary,
        "paper": cls.paper,
        "dimensions": list(cls.dimensions),
        "options": [
            {
                "name": name,
                "default": properties[name].get("default"),
                "values": _values(properties[name]),
                "description": properties[name]["description"],
                "section": section.title,
            }
            for section in cls.option_sections()
            for name in section.names
        ],
    }


def _values(entry: dict[str, Any]) -> str:
    """The range or the choices of an option, for people."""
    if "anyOf" in entry:
        return " or ".join(_values(part) for part in entry["anyOf"])
    if "enum" in entry:
        return " ".join(str(value) for value in entry["enum"])
    if entry.get("type") == "null":
        return "none"
    low = ""
    if "minimum" in entry:
        low = f"{entry['minimum']:g}"
    elif "exclusiveMinimum" in entry:
        low = f"above {entry['exclusiveMinimum']:g}"
    high = f"{entry['maximum']:g}" if "maximum" in entry else ""
    return f"{low} to {high}" if low and high else entry.get("type", "")
