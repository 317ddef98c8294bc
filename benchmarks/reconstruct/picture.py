"""Join the pictures that `python -m benchmarks.reconstruct --keep KEEP` left there to one of docs/reconstruct.md.

    python -m benchmarks.reconstruct.picture KEEP OUT.jpg ROW ...

Each row is a line: four test photographs on the left, and on the right the row's file, drawn from the same cameras.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

# Width and height of a line's halves in pixels.
WIDTH, HEIGHT = 640, 160


def joined(pictures: list[Path]) -> Image.Image:
    """The lines of pictures that `benchmarks.reconstruct.score` made: photographs, drawn files and differences."""
    whole = Image.new("RGB", (2 * WIDTH, HEIGHT * len(pictures)))
    for line, path in enumerate(pictures):
        picture = Image.open(path)
        third = picture.height // 3
        for half in range(2):
            part = picture.crop((0, half * third, picture.width, (half + 1) * third))
            whole.paste(part.resize((WIDTH, HEIGHT), Image.Resampling.BOX), (half * WIDTH, line * HEIGHT))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keep", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("rows", nargs="+", metavar="ROW")
    options = parser.parse_args()
    found = {row: list((options.keep / "files").glob(f"{row}-*s.png")) for row in options.rows}
    missing = [row for row, files in found.items() if not files]
    if missing:
        raise SystemExit(f"{options.keep}: has no picture of {', '.join(missing)}")
    joined([max(files, key=lambda file: file.stat().st_mtime) for files in found.values()]).save(
        options.out, quality=88
    )


if __name__ == "__main__":
    main()
