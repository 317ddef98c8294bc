"""Forget packages that an interrupted installation left unfinished, so that the next one installs them again.

pip takes a package whose description is there for installed, though it may have been stopped before it wrote the list of
its files, without which the package can never be replaced. `make` runs this with the system's Python: the standard
library alone.
"""

import csv
import glob
import os
import shutil
import sys


def is_whole(description):
    """Whether a package's folder of descriptions (`*.dist-info`) lists its files, and they are there."""
    try:
        with open(os.path.join(description, "RECORD"), newline="") as file:
            listed = [row[0] for row in csv.reader(file) if row]
    except OSError:
        return False
    place = os.path.dirname(description)
    # What Python compiles may be gone at any time.
    return all(name.endswith(".pyc") or os.path.lexists(os.path.join(place, name)) for name in listed)


def unfinished(environment):
    """Folders of packages in a virtual environment that are half installed, or half removed (`~` before their name)."""
    place = os.path.join(environment, "lib", "python*", "site-packages")
    described = sorted(glob.glob(os.path.join(place, "*.dist-info")))
    return [folder for folder in described if not is_whole(folder)] + sorted(glob.glob(os.path.join(place, "~*")))


def main():
    for folder in unfinished(sys.argv[1]):
        sys.stderr.write("note: " + os.path.basename(folder) + " was left unfinished and is installed again\n")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
