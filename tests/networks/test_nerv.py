"""NeRV and NeRV++: published sizes, blocks as specified, and a video that both learn."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fields.fit.metrics.samples import ssim
from fields.fit.objectives.frames import shuffled, similarity
from fields.methods.registry import make_method
from fields.networks.nerv import PlusBlock, Upsampling
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.video.signal import Video

RGB = Channels(("red", "green", "blue"), "srgb")
BUNNY = {"strides": "5,2,2,2,2", "grid_height": 9, "grid_width": 16, "hidden": 512, "loss": "fusion"}


@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("nerv", {}, {26: 3_201_905, 58: 6_282_000, 112: 12_525_000}),
        ("nervpp", {"preset": "paper"}, {8: 1_703_000, 26: 3_175_647, 58: 6_162_000, 112: 12_269_000}),
        ("nervpp", {"preset": "release"}, {8: 1_903_000, 26: 3_379_541, 58: 6_383_000, 112: 12_546_000}),
    ],
)
def test_nerv_and_nervpp_have_the_published_sizes(name, options, counts):
    for channels, count in counts.items():
        lower = {"nerv": 96, "nervpp": 80}[name]
        method = make_method(name, {**BUNNY, **options, "grid_channels": channels, "lower_width": lower})
        # Published in thousands; two are counted here exactly.
        assert method.parameters(3, 3) == pytest.approx(count, abs=1 if count % 1000 else 500)


def _domain(width: int, height: int, count: int) -> Domain:
    return Domain((Axis("x", 0, width, "px", width), Axis("y", 0, height, "px", height), Axis("t", 0, 1, "s", count)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nerv", {}),
        ("nerv", {"time_nodes": 4}),
        ("nervpp", {}),
        ("nervpp", {"time_nodes": 3}),
        ("nervpp", {"preset": "release"}),
    ],
)
@pytest.mark.parametrize("size", [(64, 36), (61, 35)])
def test_parameters_are_counted_and_frames_have_the_size_of_the_video(name, options, size):
    video = Video.from_array(np.zeros((5, size[1], size[0], 3), np.uint8) + 7)
    method = make_method(name, options).prepare(video)
    field = method.build(video.domain, video.channels, seed=1)
    assert field.num_parameters == method.parameters(3, 3)
    frames = field.frames(torch.tensor([0.1, 0.9]))
    assert frames.shape == (2, 3, size[1], size[0])
    assert frames.min() >= 0 and frames.max() <= 1
    again = method.build(video.domain, video.channels, seed=1)
    assert torch.equal(again.frames(torch.tensor([0.1, 0.9])), frames)


def test_a_block_with_convolutions_of_zero_enlarges_its_projection():
    block = PlusBlock(5, 4, 2, time_nodes=0, gated=False)
    with torch.no_grad():
        for layer in (block.before.second, block.after.second, block.enlarge.convolution):
            layer.weight.zero_()
            layer.bias.zero_()
        features = torch.randn(2, 5, 6, 7)
        expected = F.interpolate(block.project(features), scale_factor=2, mode="bilinear", align_corners=False)
        torch.testing.assert_close(block(features, torch.rand(2)), expected, atol=1e-6, rtol=0)


def test_activation_and_pixel_shuffle_commute():
    layer = Upsampling(3, 4, 2, time_nodes=0)
    features = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(layer(features, torch.rand(1)), F.pixel_shuffle(F.silu(layer.convolution(features)), 2))


def test_time_modulates_each_channel_of_each_frame_on_its_own():
    layer = Upsampling(3, 4, 2, time_nodes=5)
    features, times = torch.randn(2, 3, 5, 5), torch.tensor([0.0, 0.625])
    plain = F.pixel_shuffle(layer.convolution(features), 2)
    mean, deviation = plain.mean((2, 3), keepdim=True), plain.var((2, 3), unbiased=False, keepdim=True).add(1e-5).sqrt()
    torch.testing.assert_close(layer(features, times), F.silu((plain - mean) / deviation), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        layer.modulation.curves.table.copy_(torch.arange(40.0).reshape(5, 8))
    scale = torch.stack([torch.arange(4.0), 20 + torch.arange(4.0)])[
        ..., None, None
    ]  # 0.625 lies midway between nodes 2 and 3
    torch.testing.assert_close(
        layer(features, times), F.silu((plain - mean) / deviation * scale + scale + 4), atol=1e-3, rtol=1e-4
    )
    torch.testing.assert_close(layer(features[1:], times[1:]), layer(features, times)[1:], atol=1e-4, rtol=1e-4)


def test_differentiable_similarity_equals_the_metric(rng=np.random.default_rng(0)):
    p, t = (rng.random((24, 30, 3)).astype(np.float32) for _ in range(2))
    p = 0.7 * t + 0.3 * p
    own = similarity(*(torch.from_numpy(a).permute(2, 0, 1)[None] for a in (p, t)))
    assert float(own) == pytest.approx(ssim(p, t), abs=1e-5)


def test_every_frame_is_drawn_once_per_epoch():
    drawn = np.concatenate([shuffled(7, step, 2, seed=3) for step in range(4)])
    assert sorted(drawn.tolist()) == list(range(7))
    later = np.concatenate([shuffled(7, step, 2, seed=3) for step in range(4, 8)])
    assert sorted(later.tolist()) == list(range(7)) and later.tolist() != drawn.tolist()


def test_sizes_are_met_and_volumes_and_malformed_strides_refused():
    video = Video.from_array(np.zeros((20, 144, 176, 3), np.uint8) + 7)
    for name in ("nerv", "nervpp"):
        for count in (150_000, 456_000, 2_000_000):
            method = make_method(name).prepare(video).sized(3, 3, count)
            assert method.parameters(3, 3) == pytest.approx(count, rel=0.03)
            assert 0.4 * count < method._stem_parameters() < 0.75 * count
    from scenes.volume.signal import Volume

    with pytest.raises(BadInput, match="of the kind video"):
        make_method("nerv").prepare(Volume.from_array(np.arange(60.0).reshape(3, 4, 5)))
    with pytest.raises(BadInput, match="strides"):
        make_method("nerv", {"strides": "5;2"})


@pytest.mark.parametrize("name", ["nerv", "nervpp"])
def test_a_video_is_learned_frame_by_frame(tmp_path, capsys, name):
    from apps.cli.main import main
    from scenes.video.write import write_video

    y, x = np.mgrid[:32, :48]
    frames = np.stack(
        [np.stack([x * 4, y * 5, np.where((x - 10 - 4 * i) ** 2 + (y - 16) ** 2 < 64, 220, 40)], -1) for i in range(6)]
    )
    write_video(tmp_path / "video", frames.astype(np.uint8), 24.0)
    assert (
        main(
            [
                "fit",
                str(tmp_path / "video"),
                "--method",
                name,
                "--params",
                "40k",
                "--steps",
                "240",
                "--out",
                str(tmp_path / "run"),
                "--json",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["parameters"] == pytest.approx(40_000, rel=0.03)
    assert report["metrics"]["psnr"] > 16
    assert main(["render", str(tmp_path / "run"), "--out", str(tmp_path / "a.mp4"), "--scale", "2"]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]
    assert again == pytest.approx(report["metrics"], abs=1e-3)
