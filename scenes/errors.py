"""The exception for input that the user can correct, and for packages that the user can install."""


class BadInput(ValueError):
    """Input that cannot be used. The message is one line: what is wrong, where, and what would help."""


# The extras whose packages are imported where they are needed, and those packages.
_EXTRAS = {
    "media": ("av", "soundfile"),
    "shapes": ("trimesh", "igl", "xatlas", "fast_simplification"),
    "plots": ("matplotlib",),
}


def missing_package(error: ImportError) -> BadInput | None:
    """What to install where the package of an extra is missing; None for any other module."""
    name = (error.name or "").partition(".")[0]
    for extra, packages in _EXTRAS.items():
        if name in packages:
            return BadInput(f"this needs the package {name}: pip install 'field-studio[{extra}]'")
    return None
