"""HashNeRF-pytorch (Bhalgat 2022, MIT licence) as a peer on a CPU, from a checkout that is named on the command line.

Encoder, networks, rendering, optimizer and losses are its own, called as its training loop calls them, with the options
of its README and `configs/lego.txt`. The loop itself is written here, because its own needs a GPU and packages that
this comparison does not use. Its table has 2^16 entries per level, like ours; its default of 2^19 takes longer.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

# Rays per step.
RAYS = 1024
# Fraction of each image's sides from which rays come in the first steps.
PRECROP = 0.5
PRECROP_STEPS = 500
# Learning rate, and the steps in which it falls to a tenth.
RATE = 1e-2
DECAY_STEPS = 10_000
# Weight of the total variation of the tables, and the steps that have it.
TV_WEIGHT = 1e-6
TV_STEPS = 1000
SPARSITY_WEIGHT = 1e-10
# Options of its command line.
OPTIONS = {
    "multires": 10,
    "multires_views": 4,
    "i_embed": 1,
    "i_embed_views": 2,
    "use_viewdirs": True,
    "N_importance": 128,
    "N_samples": 64,
    "perturb": 1.0,
    "white_bkgd": True,
    "raw_noise_std": 0.0,
    "lindisp": False,
    "no_ndc": True,
    "dataset_type": "blender",
    "netchunk": 1 << 16,
    "lrate": RATE,
    "finest_res": 512,
    "log2_hashmap_size": 16,
    "basedir": "",
    "expname": "",
    "ft_path": "none",
    "no_reload": True,
}
# Modules that it imports for other data, for videos and for its command line, and that we replace by empty ones.
ABSENT = (
    "load_llff",
    "load_deepvoxels",
    "load_blender",
    "load_scannet",
    "load_LINEMOD",
    "kornia",
    "imageio",
    "configargparse",
    "cv2",
)


def to_target(
    checkout: Path,
    scene: Path,
    views: list[str],
    *,
    stride: int,
    wanted: float,
    give_up: float,
    score_every: float,
) -> dict:
    """Seconds of training until the test views reach a PSNR; scoring is not counted.

    views: names of the test views that are scored, at every `stride`-th pixel along both axes.
    wanted: mean PSNR in dB. give_up: seconds of training after which to stop. score_every: seconds between two scores.

    Returns `seconds`, `steps`, `psnr` and whether the PSNR was `reached`.
    """
    import torch

    nerf, utils, losses = _imported(checkout)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    cameras = json.loads((scene / "transforms_train.json").read_text())
    images, poses = _views(scene, cameras["frames"])
    height, width = images.shape[1:3]
    focal = 0.5 * width / np.tan(0.5 * float(cameras["camera_angle_x"]))
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    box = utils.get_bbox3d_for_blenderobj(cameras, height, width, near=2.0, far=6.0)
    train, test, _, _, optimizer = nerf.create_nerf(SimpleNamespace(**OPTIONS, bounding_box=box))
    train, test = train | {"near": 2.0, "far": 6.0}, test | {"near": 2.0, "far": 6.0}
    held_out = [
        f
        for f in json.loads((scene / "transforms_test.json").read_text())["frames"]
        if Path(f["file_path"]).stem in views
    ]
    targets, test_poses = _views(scene, held_out)

    def mean_psnr() -> float:
        found = []
        with torch.no_grad():
            for target, pose in zip(targets, test_poses):
                rays = torch.stack(nerf.get_rays(height, width, intrinsics, pose))[:, ::stride, ::stride].reshape(
                    2, -1, 3
                )
                color = nerf.render(height, width, intrinsics, chunk=1 << 12, rays=rays, **test)[0].clamp(0, 1)
                found.append(
                    -10 * float(torch.log10((color - target[::stride, ::stride].reshape(-1, 3)).square().mean()))
                )
        return float(np.mean(found))

    embedder = train["embed_fn"]
    clock, due, reached, step = 0.0, 0.0, 0.0, 0
    while clock < give_up and reached < wanted:
        begun = time.perf_counter()
        step += 1
        view = random.integers(len(images))
        half = [int(n // 2 * (PRECROP if step < PRECROP_STEPS else 1.0)) for n in (height, width)]
        pixel = random.choice(4 * half[0] * half[1], RAYS, replace=False)
        row, column = height // 2 - half[0] + pixel // (2 * half[1]), width // 2 - half[1] + pixel % (2 * half[1])
        rays = torch.stack(nerf.get_rays(height, width, intrinsics, poses[view]))[:, row, column]
        color, _, _, extras = nerf.render(height, width, intrinsics, chunk=1 << 15, rays=rays, retraw=True, **train)
        target = images[view][row, column]
        loss = (color - target).square().mean() + (extras["rgb0"] - target).square().mean()
        loss = loss + SPARSITY_WEIGHT * (extras["sparsity_loss"].sum() + extras["sparsity_loss0"].sum())
        if step <= TV_STEPS:
            loss = loss + TV_WEIGHT * sum(
                losses.total_variation_loss(
                    embedder.embeddings[i],
                    embedder.base_resolution,
                    embedder.finest_resolution,
                    i,
                    embedder.log2_hashmap_size,
                    n_levels=embedder.n_levels,
                )
                for i in range(embedder.n_levels)
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.1 ** (step / DECAY_STEPS)
        clock += time.perf_counter() - begun
        if clock >= due:
            reached = mean_psnr()
            due = clock + max(score_every, 0.05 * clock)
    return {"seconds": round(clock, 2), "steps": step, "psnr": reached, "reached": reached >= wanted}


def _views(scene: Path, frames: list[dict]):
    """Images on white `[V, H, W, 3]` and poses `[V, 3, 4]`, as tensors."""
    import torch
    from PIL import Image

    values = np.stack(
        [
            np.asarray(Image.open(scene / (frame["file_path"] + ".png")).convert("RGBA"), np.float32) / 255
            for frame in frames
        ]
    )
    images = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    poses = torch.tensor([frame["transform_matrix"] for frame in frames], dtype=torch.float32)
    return torch.from_numpy(images), poses[:, :3, :4]


def _imported(checkout: Path):
    """Its modules `run_nerf`, `utils` and `loss`, which ask for a GPU when they are imported."""
    import torch

    for name in ABSENT:
        sys.modules.setdefault(name, ModuleType(name))
        for function in (
            "load_llff_data",
            "load_dv_data",
            "load_blender_data",
            "load_scannet_data",
            "load_LINEMOD_data",
        ):
            setattr(sys.modules[name], function, None)
    setattr(sys.modules["kornia"], "create_meshgrid", _meshgrid)  # noqa: B010  modules declare no such attribute
    sys.path.insert(0, str(checkout))
    with _without_device(torch):
        import loss  # pyright: ignore[reportMissingImports]
        import run_nerf  # pyright: ignore[reportMissingImports]
        import utils  # pyright: ignore[reportMissingImports]
    return run_nerf, utils, loss


def _meshgrid(height: int, width: int, normalized_coordinates: bool = False):
    """Stand-in for kornia's function: (column, row) of each pixel, `[1, H, W, 2]`."""
    import torch

    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32), indexing="ij"
    )
    return torch.stack([columns, rows], dim=-1)[None]


@contextmanager
def _without_device(torch):
    """Ignore the argument `device` of `torch.tensor` inside the block."""
    tensor = torch.tensor
    torch.tensor = lambda *values, device=None, **named: tensor(*values, **named)
    try:
        yield
    finally:
        torch.tensor = tensor
