"""The parts of `make gpu`, the most important first. The standard library alone: torch is in processes of theirs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cuda_ext
from benchmarks.gpu.machine import ROOT, Here, missing_packages, wheels_to_install
from benchmarks.gpu.record import DONE, FAILED, HERE, LATER, NEEDS_GPU

# Lines of a part's output that are kept in its detail where it fails.
LAST_LINES = 3
# Status with which compute-sanitizer ends where it has found something.
FINDINGS = 9


@dataclass
class Outcome:
    """What became of a part: one of the states of `record`, a sentence, and rows."""

    state: str
    detail: str
    rows: list[dict] = field(default_factory=list)


@dataclass
class Ran:
    """A command that has ended. status: None where its time was over."""

    status: int | None
    output: str

    @property
    def why(self) -> str:
        """Its last lines, in one."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        over = ["its time was over"] if self.status is None else []
        return " | ".join([*over, *lines[-LAST_LINES:]])

    @property
    def rows(self) -> list[dict]:
        """Rows that it printed as lines `ROW {...}`."""
        found = (line.removeprefix("ROW ") for line in self.output.splitlines() if line.startswith("ROW {"))
        return [json.loads(line) for line in found]


@dataclass
class Context:
    """What a part has to work with. seconds: that are left for it. wheels: folder of wheels and sources, or None."""

    here: Here
    folder: Path
    data: Path | None
    wheels: Path | None
    seconds: float = 0.0
    name: str = ""

    @property
    def on_gpu(self) -> bool:
        """Whether there is a GPU that torch can use."""
        return self.here.why_no_gpu is None

    @property
    def site(self) -> Path:
        """Folder of packages that were installed from the wheels."""
        return self.folder / "site"

    @property
    def native(self) -> Path:
        """Folder of the libraries that were built."""
        return self.folder / "native" / "lib"

    def environment(self) -> dict[str, str]:
        """Variables of the parts' processes: this checkout, the wheels, and the libraries where they were built."""
        own = {"PYTHONPATH": os.pathsep.join([str(self.site), str(ROOT)]), "PYTHONUNBUFFERED": "1"}
        own["PATH"] = os.pathsep.join([str(Path(self.here.python).parent), os.environ.get("PATH", "")])
        if (self.native / "libfield_studio_cuda.so").is_file():
            own["FIELD_STUDIO_NATIVE"] = str(self.native)
        return {**os.environ, **own}

    def run(self, *command: str | Path, seconds: float | None = None) -> Ran:
        """Run a command with its output in the part's log, and end it with all it started when its time is over."""
        log = self.folder / f"{self.name}.log"
        limit = self.seconds if seconds is None else min(seconds, self.seconds)
        begun = time.monotonic()
        with open(log, "ab") as file:
            file.write(f"$ {' '.join(map(str, command))}\n".encode())
            file.flush()
            first = file.tell()
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                env=self.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                status = process.wait(max(1.0, limit))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = None
        self.seconds -= time.monotonic() - begun
        return Ran(status, log.read_bytes()[first:].decode(errors="replace"))

    def python(self, *arguments: str | Path, seconds: float | None = None) -> Ran:
        """Run the interpreter with these arguments."""
        return self.run(self.here.python, *arguments, seconds=seconds)


@dataclass(frozen=True)
class Part:
    """A part: what it does, the seconds that it may take, and those without which it is not begun."""

    name: str
    what: str
    limit: float
    least: float
    work: Callable[[Context], Outcome]


def packages(context: Context) -> Outcome:
    """Install the wheels whose packages are not here, without a network, and say what is missing still."""
    wheels = wheels_to_install(context.wheels, context.here)
    if wheels:
        pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade")
        ran = context.python(*pip, "--target", context.site, *wheels)
        if ran.status:
            return Outcome(FAILED, ran.why)
        names = {wheel.name.split("-")[0].lower().replace("_", "-") for wheel in wheels}
        context.here.packages.extend(names)
    installed = f"{len(wheels)} wheels installed" if wheels else "no wheels needed"
    missing = missing_packages(context.here)
    if missing:
        return Outcome(FAILED, f"{installed}; put wheels of {', '.join(missing)} into the folder of --wheels")
    return Outcome(DONE if context.on_gpu else HERE, f"{installed}; nothing is missing")


def build(context: Context) -> Outcome:
    """Build the CUDA library with plain cmake for the GPU that is here, and the CPU's where there is none yet."""
    if not (context.here.programs["nvcc"] and context.here.programs["cmake"]):
        lacking = [name for name in ("nvcc", "cmake") if not context.here.programs[name]]
        return Outcome(FAILED, f"needs {' and '.join(lacking)}")
    folder = context.native.parent
    cpu = next((path for path in cuda_ext.candidates("cpu") if path.is_file()), None)
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DFIELD_STUDIO_CUDA=ON", f"-DFIELD_STUDIO_CPU={'OFF' if cpu else 'ON'}"]
    options.append(f"-DCMAKE_CUDA_COMPILER={context.here.programs['nvcc']}")
    if context.on_gpu and context.here.gpu is not None:
        # Machine code for this GPU alone: a third of the time.
        options.append(f"-DCMAKE_CUDA_ARCHITECTURES={context.here.gpu.capability.replace('.', '')}-real")
    ninja = shutil.which("ninja", path=context.environment()["PATH"])
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    begun = time.monotonic()
    ran = context.run("cmake", "-S", ROOT / "cuda_ext", "-B", folder, *generator, *options)
    if ran.status == 0:
        parallel = [] if os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") else ["--parallel", str(os.cpu_count() or 1)]
        ran = context.run("cmake", "--build", folder, *parallel)
    if ran.status != 0:
        return Outcome(FAILED, ran.why)
    if cpu is not None:
        shutil.copy2(cpu, context.native)
    seconds = time.monotonic() - begun
    rows = [
        {"id": "build", "value": round(seconds, 1), "unit": "s", "note": "the CUDA library by cmake, all processors"}
    ]
    return Outcome(DONE if context.on_gpu else HERE, f"compiled and linked in {seconds:.0f} s", rows)


def loads(context: Context) -> Outcome:
    """Load the library, and hold every kernel's result on small inputs against its reference."""
    if context.on_gpu:
        ran = context.python("-m", "benchmarks.gpu.small_cases", "--device", "cuda")
        agreeing = len(re.findall(r": agrees \(", ran.output))
        rows = [
            {"id": "small-cases-that-agree", "value": agreeing, "unit": "cases", "note": "kernels against references"}
        ]
        return Outcome(
            DONE if ran.status == 0 else FAILED, f"{agreeing} cases agree" if ran.status == 0 else ran.why, rows
        )
    ran = context.python("-c", "import cuda_ext; cuda_ext.load('cuda'); print('loads')")
    if ran.status:
        return Outcome(FAILED, ran.why)
    ran = context.python("-m", "benchmarks.gpu.small_cases", "--device", "cpu")
    if ran.status:
        return Outcome(FAILED, ran.why)
    return Outcome(NEEDS_GPU, "the library loads here, and the cases agree on the CPU; their kernels wait")


def tests(context: Context) -> Outcome:
    """The tests that are marked `gpu`, in the files that have some: other files may import what is not here."""
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "on_gpu" in path.read_text()]
    arguments = ("-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", *files)
    if not context.on_gpu:
        ran = context.python(*arguments, "--collect-only")
        found = re.search(r"(\d+)(?:/\d+)? tests collected", ran.output)
        if found is None or ran.status:
            return Outcome(FAILED, ran.why)
        return Outcome(NEEDS_GPU, f"{found[1]} tests wait")
    ran = context.python(*arguments, "--maxfail=25")
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|skipped|error)", ran.output)}
    rows = [{"id": f"tests-{what}", "value": count, "unit": "tests"} for what, count in counts.items()]
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    return Outcome(DONE if ran.status == 0 else FAILED, said or ran.why, rows)


def sanitizer(tool: str) -> Callable[[Context], Outcome]:
    """The small cases under a tool of compute-sanitizer."""

    def work(context: Context) -> Outcome:
        if not context.on_gpu:
            return Outcome(NEEDS_GPU, "instead: python tests/ops/sanitize/cuda_races.py, on threads of the CPU")
        program = context.here.programs["compute-sanitizer"]
        if program is None:
            return Outcome(FAILED, "needs compute-sanitizer, which comes with CUDA")
        command = (program, "--tool", tool, "--error-exitcode", str(FINDINGS), "--print-limit", "20")
        cases = (context.here.python, "-m", "benchmarks.gpu.small_cases", "--device", "cuda", "--alone")
        # The library's own kernels, by their mangled names; torch's would take most of the time.
        ran = context.run(*command, "--kernel-name", "kernel_substring=_ZN2fs", *cases)
        if ran.status and "done" not in ran.output:
            # A version that has no such filter.
            ran = context.run(*command, *cases)
        if ran.status == 0:
            return Outcome(DONE, "nothing found", [{"id": f"sanitizer-{tool}", "value": 0, "unit": "findings"}])
        return Outcome(FAILED, ("findings: " if ran.status == FINDINGS else "") + ran.why)

    return work


def kernels(context: Context) -> Outcome:
    """`benchmarks.kernels` on the GPU, beside torch, tiny-cuda-nn and nerfacc."""
    if not context.on_gpu:
        ran = context.python("-m", "benchmarks.kernels", "--device", "cuda", "--quick")
        expected = ran.status == 2 and "needs a GPU" in ran.output
        return Outcome(NEEDS_GPU, "its cases run on the CPU in the tests") if expected else Outcome(FAILED, ran.why)
    ran = context.python("-m", "benchmarks.kernels", "--device", "cuda", "--quick", "--lines")
    rows = ran.rows
    state = DONE if ran.status == 0 else LATER if ran.status is None and rows else FAILED
    return Outcome(state, f"{len(rows)} rows" if state == DONE else ran.why, rows)


def fits(context: Context) -> Outcome:
    """Fits of a photograph, a shape and a scene: quality after equal time and time to equal quality, beside the CPU."""
    if context.data is None:
        return Outcome(FAILED, "needs the folder of the shared data: --data FOLDER")
    rehearse = () if context.on_gpu else ("--rehearse",)
    ran = context.python("-m", "benchmarks.gpu.fits", context.data, *rehearse)
    if not context.on_gpu:
        good = ran.status == 0 and len(ran.rows) >= 3
        return Outcome(NEEDS_GPU, "rehearsed on the CPU, a second or two each") if good else Outcome(FAILED, ran.why)
    state = DONE if ran.status == 0 else LATER if ran.status is None and ran.rows else FAILED
    return Outcome(state, f"{len(ran.rows)} rows" if state == DONE else ran.why, ran.rows)


def estimates(context: Context) -> Outcome:
    """What was measured, as fractions of what the GPU's limits allow."""
    stored = sorted(context.folder.glob("gpu-*.json"))
    arguments = ("--held", stored[0]) if context.on_gpu and stored else ()
    ran = context.python("-m", "benchmarks.kernels.estimates", *arguments)
    if ran.status:
        return Outcome(FAILED, ran.why)
    if not context.on_gpu:
        return Outcome(NEEDS_GPU, "the table is that of docs/kernels.md; nothing is held against it")
    return Outcome(DONE, "; ".join(ran.output.strip().splitlines()))


# Packages that accelerate on a GPU: the name under which each is imported, the folder of its sources that setup.py is
# in, and a fit that uses it.
PEERS = {
    "tinycudann": ("bindings/torch", "kodim05", "backend=tcnn"),
    "nerfacc": (".", "lego_200", "march=nerfacc"),
}


def peers(context: Context) -> Outcome:
    """Fits through tiny-cuda-nn and nerfacc, which are built from sources in the folder where there is no wheel."""
    said, rows = [], []
    for name, (subfolder, fitted, setting) in PEERS.items():
        if context.python("-c", f"import {name}").status:
            sources = _sources(context.wheels, name, subfolder)
            if sources is None:
                said.append(f"{name}: neither installed nor in the folder of --wheels")
                continue
            if not context.on_gpu:
                said.append(f"{name}: its sources are there")
                continue
            pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
            ran = context.python(*pip, "--target", context.site, sources)
            if ran.status:
                said.append(f"{name}: {ran.why}")
                continue
        if not context.on_gpu or context.data is None:
            said.append(f"{name}: importable")
            continue
        command = ("-m", "benchmarks.gpu.fits", context.data, "--only", fitted, "--settings", setting)
        ran = context.python(*command)
        rows += [{**row, "id": f"{row['id']}-{name}"} for row in ran.rows]
        said.append(f"{name}: {len(ran.rows)} rows" if ran.status == 0 else f"{name}: {ran.why}")
    state = DONE if rows else NEEDS_GPU if not context.on_gpu else FAILED
    return Outcome(state, "; ".join(said), rows)


def _sources(folder: Path | None, name: str, subfolder: str) -> Path | None:
    """The folder with setup.py of a package's sources; None where there is none."""
    words = {"tinycudann": "tiny-cuda-nn", "nerfacc": "nerfacc"}[name]
    found: Sequence[Path] = [] if folder is None else sorted(p for p in folder.glob(f"{words}*") if p.is_dir())
    return next((path / subfolder for path in found if (path / subfolder / "setup.py").is_file()), None)


PARTS = (
    Part("packages", "wheels that are missing", 60, 10, packages),
    Part("build", "the CUDA library by plain cmake", 180, 30, build),
    Part("loads", "every kernel once against its reference", 60, 15, loads),
    Part("tests", "the tests marked gpu", 120, 30, tests),
    Part("memcheck", "compute-sanitizer: memory", 60, 20, sanitizer("memcheck")),
    Part("kernels", "the kernel benchmark", 90, 30, kernels),
    Part("estimates", "the measured times beside the limits of the GPU", 15, 5, estimates),
    Part("fits", "fits beside the CPU", 150, 60, fits),
    Part("racecheck", "compute-sanitizer: races", 60, 20, sanitizer("racecheck")),
    Part("peers", "tiny-cuda-nn and nerfacc", 120, 30, peers),
)
