"""Run all parts one after another, keep their reports, and write docs/results/trust.md.

python -m benchmarks.trust [PART ...]
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.trust.page import PAGE, page

# The command of each part.
PARTS = {
    "files": ("benchmarks.trust.files", "--store"),
    "kills": ("benchmarks.trust.kills", "--store"),
    "hazards": ("benchmarks.trust.hazards", "--store"),
    "security": ("benchmarks.trust.security", "--store"),
    "packages": ("benchmarks.trust.security", "--packages", "--store"),
    "fuzz": ("benchmarks.trust.fuzz", "--store"),
}


def main() -> int:
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        print(f"no part {unknown[0]}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = [name for name in chosen if subprocess.run([sys.executable, "-m", *PARTS[name]]).returncode]
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}; " + (f"faults in {', '.join(failed)}" if failed else "no faults"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
