"""Tests of every method's weights in 8 and 16 bits."""

import pytest
import torch

from fields.fit.fit import fit_field
from fields.methods.registry import BUILT_IN, method_class
from fields.runs.run import load_field
from scenes.image.signal import Image
from scenes.posed.signal import open_radiance
from scenes.video.signal import Video
from scenes.volume.signal import Volume
from tests.fit.posed_scene import write_scene

SMALL = {"width": 32, "batch": 512}
OPTIONS = {
    "rbf": {"batch": 512, "table_size": 256},
    "hashgrid": {"table_size": 256, "batch": 512},
    "neus": SMALL | {"table_size": 256, "levels": 4, "cells": 16},
    "neurbf": {"kernels": 100, "batch": 512},
    "nerv": {},
    "nervpp": {},
    "nstr": SMALL | {"waves": 32, "nodes": 5},
    "fourier": SMALL | {"frequencies": 16},
    "cam": SMALL | {"frequencies": 16},
}


def signal_for(cls, pixels, folder):
    if cls.kinds == ("radiance",):
        return open_radiance(write_scene(folder / "scene"))
    if cls.kinds == ("video",):
        return Video.from_array(pixels[None, :32, :48].repeat(4, 0))
    return (
        Image.from_array(pixels[:32, :48])
        if 2 in cls.dimensions
        else Volume.from_array(pixels[:12, :12, :1].repeat(12, 2).astype("float32") / 255)
    )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_method_stores_few_bits_and_loads_the_same_values(name, bits, astronaut, tmp_path):
    cls = method_class(name)
    signal = signal_for(cls, astronaut[60:124, 180:276], tmp_path)
    settings = OPTIONS.get(name, {option: value for option, value in SMALL.items() if option in cls.model_fields})
    fit = fit_field(signal, name, steps=3, bits=bits, settings=settings, out=tmp_path / "run")
    again = load_field(tmp_path / "run")
    for key, tensor in fit.field.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key
    exact = sum(t.numel() for t in (*fit.field.buffers(), *(p for p in fit.field.parameters() if p.ndim < 2)))
    few = sum(p.numel() for p in fit.field.parameters() if p.ndim >= 2)
    size = (tmp_path / "run" / "field.safetensors").stat().st_size
    assert size < few * bits // 8 + exact * 8 + 12_000
    if bits == 8:
        assert all(len(p.unique()) <= 255 for p in fit.field.parameters() if p.ndim >= 2)
