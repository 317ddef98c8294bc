"""The Khronos validator of glTF, and OpenUSD's checks for ARKit, on written files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VALIDATE = """
const validator = require("gltf-validator"), fs = require("fs");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])), {maxIssues: 0})
    .then(report => console.log(JSON.stringify(report)));
"""


def gltf_report(path: Path) -> dict:
    """What the Khronos validator says of a GLB file. Skips the test where node is missing."""
    if shutil.which("node") is None:
        pytest.skip("the validator of glTF needs node")
    if not (ROOT / "node_modules" / "gltf-validator").is_dir():
        pytest.skip("the validator of glTF is an npm package: npm ci")
    done = subprocess.run(
        ["node", "-e", VALIDATE, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(done.stdout)


def assert_valid_gltf(path: Path, infos: tuple[str, ...] = ()) -> dict:
    """Check that the validator has neither an error, a warning nor a hint, and no other information than `infos`."""
    report = gltf_report(path)
    issues = report["issues"]
    found = [message for message in issues["messages"] if message["severity"] < 2 or message["code"] not in infos]
    assert not found, found[:5]
    assert issues["numErrors"] == issues["numWarnings"] == 0
    return report


def usd_errors(path: Path) -> list[tuple[str, str]]:
    """Names and texts of what OpenUSD's validators, the rules of `usdchecker` among them, find in a file."""
    from pxr import Usd, UsdValidation

    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    stage = Usd.Stage.Open(str(path))
    return [(error.GetName(), error.GetMessage()) for error in context.Validate(stage)]
