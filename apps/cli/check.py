"""Check a method of your own: shapes, dtypes, gradients, storage, counting, a small fit, queries outside the domain.

PACKAGE:METHOD names a class that derives from fields.methods.base.Method. The current folder is searched, too. The exit
status is 1 where a check fails.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from apps.cli.flags import argument_type, group
from fields.options import setting
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.methods.base import Method

HELP = "run the conformance kit on a method"
EPILOG = """\
examples:
  fit-a-scene check my_package.method:MyMethod
  fit-a-scene check hashgrid --set table_size=1024       a registered method, by its name
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    place = group(parser, "method")
    place.add_argument("method", metavar="PACKAGE:METHOD", help="A class, or the name of a registered method.")
    place.add_argument(
        "--set",
        dest="settings",
        type=argument_type(setting),
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="Set options of the method; may be repeated, or take several.",
    )


def run(options: argparse.Namespace) -> dict:
    cls = find(options.method)

    from fields.fit.conformance import check_method
    from fields.methods.registry import make_method

    make_method(cls.name, dict(options.settings))
    results = check_method(cls, dict(options.settings))
    for result in results:
        print(f"{'ok    ' if result.passed else 'FAILED'}  {result.name:<16} {result.detail}", file=sys.stderr)
    failed = sum(not result.passed for result in results)
    print(f"{cls.name}: {len(results) - failed} of {len(results)} checks passed", file=sys.stderr)
    return {
        "method": cls.name,
        "passed": not failed,
        "failed": failed > 0,
        "checks": [{"name": r.name, "passed": r.passed, "detail": r.detail} for r in results],
    }


def find(place: str) -> type[Method]:
    """The class of a registered name, or of `package.module:Class`, which is then registered."""
    from fields.methods.registry import method_class, register

    module, colon, name = place.partition(":")
    if not colon:
        return method_class(place)
    sys.path.insert(0, "")
    try:
        cls = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"{place}: {error}") from None
    except Exception as error:  # noqa: BLE001  (importing runs somebody's code)
        raise BadInput(f"{place}: importing it raised {type(error).__name__}: {error}") from None
    return register(cls)
