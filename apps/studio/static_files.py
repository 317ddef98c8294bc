"""The files of the page that never change while it is served, by the path under which they are served."""

from __future__ import annotations

from pathlib import Path

import fields.compare
from apps.studio.examples import IMAGE_FOLDER, names

STATIC = Path(__file__).parent / "static"
# The comparison's own page and the studio share a script and styles.
COMPARISON = Path(fields.compare.__file__).parent
SCRIPT, STYLE = "text/javascript", "text/css"
# Names of the page's modules.
SCRIPTS = sorted(file.name for file in (STATIC / "js").glob("*.js"))

# Path: file and media type. Nothing else is served from here.
STATIC_FILES: dict[str, tuple[Path, str]] = {
    "studio.css": (STATIC / "studio.css", STYLE),
    "comparison.js": (COMPARISON / "page.js", SCRIPT),
    "comparison.css": (COMPARISON / "page.css", STYLE),
    **{f"js/{name}": (STATIC / "js" / name, SCRIPT) for name in SCRIPTS},
    **{f"example-{index}.webp": (IMAGE_FOLDER / f"{index}.webp", "image/webp") for index in range(len(names()))},
}
