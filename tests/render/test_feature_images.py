"""Images of the parts of a field."""

import numpy as np
import torch

from fields.ops.rbf_gather import pack_shapes
from fields.render.feature_images import MAX_SIDE, MIDDLE_COLOR, diverging_image, feature_image, kernel_ellipses


def test_ellipses_are_level_sets_of_kernels():
    generator = np.random.default_rng(0)
    roots = generator.normal(size=(20, 2, 2))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2)
    half_axes, angles = kernel_ellipses(pack_shapes(torch.from_numpy(matrices)), "inverse_quadratic")
    for matrix, half, turn in zip(matrices, half_axes, np.radians(angles)):
        for angle in (0.3, 2.0, 4.5):
            along, across = half[0] * np.cos(angle), half[1] * np.sin(angle)
            offset = np.array(
                [along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)]
            )
            assert abs(offset @ matrix @ offset - 1) < 1e-9


def test_a_constant_feature_is_grey_and_small_grids_keep_their_cells():
    image = feature_image(np.ones((2, 4, 1)))
    assert image.shape == (80, 160, 3) and np.ptp(image) == 0 and image[0, 0, 0] == 127


def test_the_strongest_component_of_many_features_is_red():
    features = np.zeros((4, 4, 6))
    features[:, 2:, 3] = 1.0
    image = feature_image(features).astype(int)
    difference = np.abs(image[0, 0] - image[0, -1])
    assert difference[0] > 50 and (difference[1:] == 0).all()


def test_maps_are_blue_below_their_middle_and_orange_above_and_bounded_in_size():
    image = diverging_image(np.linspace(-1, 1, 601)[None].repeat(3, 0), 0.0).astype(int)
    assert image.shape[1] == MAX_SIDE
    assert image[0, 0, 2] > image[0, 0, 0] and image[0, -1, 0] > image[0, -1, 2]
    assert np.abs(image[0, MAX_SIDE // 2] - MIDDLE_COLOR).max() < 5
