"""The method neurbf: kernels placed by the signal, sizes, options and storage."""

import numpy as np
import pytest
import torch

from fields.fit.fit import fit_field, prepare
from fields.methods.registry import make_method
from fields.runs.run import Run, load_field
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.signal import Image
from scenes.video.signal import Video
from scenes.volume.signal import Volume

SMALL = {"kernels": 40, "width": 16, "batch": 512}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def test_centres_and_shapes_are_counted_but_not_trained(image):
    method = make_method("neurbf", SMALL).prepare(image)
    field = method.build(image.domain, image.channels, 0)
    per_kernel = 2 + 3 + 32
    grid = sum(p.numel() for p in field.encoder.grid.parameters())
    mlp = sum(p.numel() for p in field.network.parameters())
    assert field.num_parameters == method.parameters(2, 3) == 40 * per_kernel + grid + field.encoder.outputs + mlp
    assert not field.encoder.kernels.centres.requires_grad and not field.encoder.kernels.shapes.requires_grad


def test_kernels_lie_where_the_image_changes():
    values = np.zeros((64, 64), np.uint8)
    values[:, 32:] = 255
    method = make_method("neurbf", SMALL).prepare(edge := Image.from_array(values))
    centres = method.build(edge.domain, edge.channels, 0).encoder.kernels.centres
    assert ((centres[:, 0] - 0.5).abs() < 0.05).all()


def test_kernels_of_a_wide_image_are_round_in_pixels():
    """Coordinates are scaled so that a pixel is a square."""
    image = Image.from_array(np.random.default_rng(0).integers(0, 255, (32, 128), np.uint8))
    kernels = make_method("neurbf", SMALL).prepare(image).build(image.domain, image.channels, 0).encoder.kernels
    assert kernels.extents.tolist() == [1.0, 0.25] and kernels.centres[:, 1].max() <= 0.25


def test_network_and_encoder_have_learning_rates_of_their_own(image):
    method = make_method("neurbf", SMALL).prepare(image)
    groups = method.parameter_groups(method.build(image.domain, image.channels, 0))
    assert [(group["lr"], group["sparse"]) for group in groups] == [(1e-2, False), (5e-3, True), (5e-3, False)]
    assert all(group["params"] for group in groups)


def test_phases_are_counted_and_trained(image):
    method = make_method("neurbf", SMALL | {"kernel_phases": True}).prepare(image)
    field = method.build(image.domain, image.channels, 0)
    assert (
        field.num_parameters
        == method.parameters(2, 3)
        == make_method("neurbf", SMALL).prepare(image).parameters(2, 3) + 32
    )
    assert any(p is field.encoder.kernels.phases for group in method.parameter_groups(field) for p in group["params"])
    plain = make_method("neurbf", SMALL).prepare(image).build(image.domain, image.channels, 0)
    x = torch.rand(50, 2)
    torch.testing.assert_close(field(x), plain(x))
    field(x).square().sum().backward()
    assert bool((field.encoder.kernels.phases.grad != 0).any())


def test_a_stored_field_loads_without_its_signal(image, tmp_path):
    result = fit_field(image, "neurbf", steps=3, settings=SMALL, out=tmp_path / "run")
    again = load_field(tmp_path / "run" / "field.safetensors")
    x = torch.rand(100, 2)
    with torch.no_grad():
        assert torch.equal(result.field(x), again(x))


def test_storage_in_eight_bits_does_not_round_the_centres(image, tmp_path):
    result = fit_field(image, "neurbf", steps=3, settings=SMALL, bits=8, out=tmp_path / "run")
    fresh = make_method("neurbf", SMALL).prepare(image).build(image.domain, image.channels, 0)
    assert torch.equal(result.field.encoder.kernels.centres, fresh.encoder.kernels.centres)
    assert len(result.field.encoder.kernels.features.unique()) <= 255


def test_a_resumed_fit_without_a_checkpoint_starts_with_the_same_kernels(photograph, tmp_path):
    import scenes
    from fields.fit.fit import resume

    signal = scenes.load(photograph, "image")
    trainer, run = prepare(signal, "neurbf", steps=4, settings=SMALL, out=tmp_path / "run")
    again = resume(signal, Run.open(run.path))
    assert torch.equal(trainer.field.encoder.kernels.centres, again.field.encoder.kernels.centres)


@pytest.mark.parametrize(
    "options",
    [
        {"grid": False},
        {"layer_sines": True},
        {"kernel_sines": False},
        {"kernel_phases": True, "max_frequency": 64.0},
        {"normalise": "off"},
        {"normalise": "full"},
        {"kernel": "markov", "shape": "diagonal"},
        {"kernel": "gaussian", "shape": "isotropic"},
        {"placement": "lattice"},
        {"placement": "random"},
        {"placement": "weighted"},
        {"backend": "torch"},
    ],
)
def test_a_fit_with_every_choice_of_options_learns(image, options):
    result = fit_field(image, "neurbf", steps=60, settings=SMALL | options)
    values = image.values()
    mean = -10 * np.log10(((values - values.mean((0, 1))) ** 2).mean())
    assert result.metrics["psnr"] > mean + 3
    assert result.field.backend == ("torch" if options.get("backend") == "torch" else "native-cpu")


def test_native_and_torch_give_the_same_values(image):
    fields = [
        make_method("neurbf", SMALL | {"backend": backend, "max_frequency": 64.0})
        .prepare(image)
        .build(image.domain, image.channels, 0)
        for backend in ("native", "torch")
    ]
    x = torch.rand(200, 2)
    for field in fields:
        with torch.no_grad():
            field.encoder.kernels.features.normal_(generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fields[0](x), fields[1](x), rtol=1e-4, atol=1e-4)


def test_hat_kernels_on_a_lattice_interpolate_as_a_grid_does():
    """Equation 1 of the paper: kernels max(0, 1 - |o| / h) at the nodes, with a cell's corners among the neighbours."""
    from fields.encoders.factor_grid import FactorGrid
    from fields.encoders.rbf import RbfKernels
    from fields.ops.factor_layout import Factor, FactorLayout

    n = 6
    axis = torch.arange(n) / (n - 1)
    centres = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
    generator = torch.Generator().manual_seed(0)
    kernels = RbfKernels(
        centres,
        torch.full((n * n, 1), float(n - 1)),
        features=3,
        neighbours=9,
        extents=torch.ones(2),
        kernel="hat",
        normalise="none",
        band=None,
        backend="auto",
        generator=generator,
    )
    grid = FactorGrid(
        FactorLayout(2, 3, (((Factor((0, 1), (n, n)),),),)),
        "auto",
        lambda table, axes: table.normal_(generator=generator),
    )
    with torch.no_grad():
        kernels.features.copy_(grid.table)
    x = torch.rand(500, 2, generator=generator)
    torch.testing.assert_close(kernels(x), grid(x), rtol=1e-5, atol=1e-5)


def test_fits_volumes_and_videos_and_refuses_audio():
    generator = np.random.default_rng(0)
    volume = Volume.from_array(generator.random((9, 10, 11), np.float32))
    assert fit_field(volume, "neurbf", steps=2, settings=SMALL).field.encoder.kernels.centres.shape == (40, 3)
    video = Video.from_array(generator.integers(0, 255, (4, 8, 12, 3), np.uint8))
    assert "psnr" in fit_field(video, "neurbf", steps=2, settings=SMALL).metrics
    with pytest.raises(
        BadInput,
        match="takes signals of 2 or 3 dimensions; this audio has 1: its kernels are placed in a plane or in space",
    ):
        make_method("neurbf").prepare(Audio.from_array(np.sin(np.arange(4000, dtype=np.float32)), 8000))


def test_refuses_bands_that_fall_and_tables_that_are_no_power_of_two():
    with pytest.raises(BadInput, match="min_frequency is above max_frequency"):
        make_method("neurbf", {"min_frequency": 10, "max_frequency": 2})
    with pytest.raises(BadInput, match="power of two"):
        make_method("neurbf", {"table_size": 100})
