"""Forget packages that an interrupted installation left unfinished, so that the next one installs them again.

pip and uv take a package whose description is there for installed, though they may have been stopped before they had
linked all of its files or written its commands. `make` runs this with the system's Python: the standard library alone.
"""

import csv
import glob
import os
import shutil
import sys


def is_whole(description):
    """Whether a package's folder of descriptions (`*.dist-info`) is finished, and the files that it lists are there."""
    # The name of the installer is written when the commands of the package have been.
    if not os.path.exists(os.path.join(description, "INSTALLER")):
        return False
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
