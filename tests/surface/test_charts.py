"""Charts of good and hostile meshes: nothing overlaps, gaps are kept, and the time is."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from fields.surface.chart_packing import FlatCharts, pack_by_xatlas, pack_on_shelves
from fields.surface.chart_regions import FaceAreas, chart_regions, manifold_pairs
from fields.surface.charts import Charts, gap_of, unwrap
from fields.surface.padding import fill_unused
from tests.surface.meshes import loose_triangles, noise, non_manifold, sphere, spiral, wavy_torus


def children() -> set[psutil.Process]:
    """Children of this process; tests before may have left some that stay, such as a browser's driver."""
    return set(psutil.Process().children())


def twice_covered(charts: Charts, size: int) -> int:
    """Texels whose center lies in two triangles, by 5 % of a texel and more, counted one triangle after the other."""
    count = np.zeros((size, size), np.int32)
    corners = charts.uv[charts.faces] * size
    for a, b, c in corners:
        low = np.maximum(np.floor(np.min([a, b, c], axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(np.max([a, b, c], axis=0)).astype(int), size)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        inside = np.full(x.shape, True)
        turn = np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
        for p, q in ((a, b), (b, c), (c, a)):
            edge = q - p
            distance = (edge[0] * (y - p[1]) - edge[1] * (x - p[0])) / max(np.hypot(*edge), 1e-12)
            inside &= turn * distance > 0.05
        count[low[1] : high[1], low[0] : high[0]] += inside
    return int((count > 1).sum())


def chart_image(charts: Charts, size: int) -> np.ndarray:
    """The chart of each texel `[size, size]`, with v upwards; -1 where there is none."""
    from fields.surface.texel_raster import rasterize

    texels, triangle, _ = rasterize(charts.uv, charts.faces, size)
    image = np.full(size * size, -1)
    image[texels] = charts.chart[triangle]
    return image.reshape(size, size)


def free_texels(image: np.ndarray) -> int:
    """Least number of free texels between two charts, also across the borders of a repeated texture, up to 19."""
    for gap in range(20):
        # A window of gap + 2 texels holds both charts if `gap` texels lie between them.
        low = minimum_filter(np.where(image < 0, 10**9, image), gap + 2, mode="wrap")
        high = maximum_filter(image, gap + 2, mode="wrap")
        if ((high >= 0) & (low < 10**9) & (low != high)).any():
            return gap
    return 20


HOSTILE = {
    "non-manifold": lambda: non_manifold(1500),
    "loose triangles": lambda: loose_triangles(1000),
    "noise": lambda: noise(12),
    "spiral staircase": spiral,
    "torus": lambda: wavy_torus(40, 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_texel_is_covered_twice_and_gaps_are_kept(name):
    vertices, faces = HOSTILE[name]()
    charts = unwrap(vertices, faces, 1024, seconds=20)
    assert twice_covered(charts, 1024) == 0
    assert charts.gap == gap_of(1024) == 5 and free_texels(chart_image(charts, 1024)) >= charts.gap
    assert charts.uv.min() >= 0 and charts.uv.max() <= 1
    assert np.array_equal(charts.source[charts.faces], faces)
    assert len(charts.chart) == len(faces) and charts.count == len(np.unique(charts.chart))


@pytest.fixture(scope="module")
def torus():
    """Vertices, faces, charts and chart image of a torus in a texture of 2,048 texels."""
    vertices, faces = wavy_torus(60, 30)
    charts = unwrap(vertices, faces, 2048)
    return vertices, faces, charts, chart_image(charts, 2048)


def test_a_torus_has_few_charts_with_the_same_density(torus):
    vertices, faces, charts, image = torus
    assert charts.packer == "xatlas" and charts.count <= 40 and charts.gap == 10
    assert free_texels(image) >= 10 and (image >= 0).mean() > 0.4
    a, b, c = (charts.uv[charts.faces[:, k]] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    on_surface = FaceAreas.of(vertices, faces).area
    density = np.bincount(charts.chart, area) / np.bincount(charts.chart, on_surface)
    assert density.max() / density.min() < 1.1
    of_faces = area / on_surface
    assert np.percentile(of_faces, 99.5) / np.percentile(of_faces, 0.5) < 2


def test_charts_grow_until_the_end_only():
    vertices, faces = wavy_torus(60, 30)
    stopped, complete = chart_regions(vertices, faces, end=0.0), chart_regions(vertices, faces)
    assert stopped.max() + 1 == len(faces) and complete.max() < 40


def test_charts_end_at_edges_of_three_faces_and_where_orientations_differ():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1]])
    first, second, edges = manifold_pairs(np.array([[0, 1, 2], [2, 1, 3]]))
    assert (first, second) == (0, 1) and edges.tolist() == [[1, 2]]
    assert not len(manifold_pairs(np.array([[0, 1, 2], [1, 2, 3]]))[0]), "the same direction along the edge"
    three = np.array([[0, 1, 2], [2, 1, 3], [2, 1, 4]])
    assert not len(manifold_pairs(three)[0]) and chart_regions(vertices, three).max() == 2


def test_many_charts_get_a_smaller_gap():
    vertices, faces = loose_triangles(3000)
    charts = unwrap(vertices, faces, 256, seconds=20)
    assert 1 <= charts.gap < gap_of(256) and free_texels(chart_image(charts, 256)) >= charts.gap
    assert (chart_image(charts, 256) >= 0).mean() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["non-manifold", "loose triangles", "noise"])
def test_large_hostile_meshes_end_before_the_deadline(name):
    make = {
        "non-manifold": lambda: non_manifold(40_000),
        "loose triangles": lambda: loose_triangles(10_000),
        "noise": lambda: noise(55),
    }
    vertices, faces = make[name]()
    start = time.monotonic()
    charts = unwrap(vertices, faces, 2048, seconds=25)
    assert time.monotonic() - start < 25 and len(charts.faces) == len(faces)
    if name == "loose triangles":
        assert charts.gap >= 8 and free_texels(chart_image(charts, 2048)) >= 8


def test_xatlas_is_killed_at_the_deadline():
    """10,000 charts take it minutes."""
    vertices, faces = loose_triangles(10_000)
    flat = FlatCharts(vertices[:, :2], faces, np.repeat(np.arange(len(faces)), 3))
    start, seen, before = time.monotonic(), [], children()
    pack_by_xatlas(flat, 1024, 4, seconds=1.0, progress=seen.append)
    assert time.monotonic() - start < 5 and children() <= before
    assert len(seen) > 2 and seen == sorted(seen) and seen[-1] <= 1


def test_the_child_is_killed_when_the_caller_is_interrupted():
    vertices, faces = loose_triangles(10_000)
    flat = FlatCharts(vertices[:, :2], faces, np.repeat(np.arange(len(faces)), 3))

    before = children()

    def interrupt(fraction: float) -> None:
        assert children() > before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_by_xatlas(flat, 1024, 4, seconds=60, progress=interrupt)
    assert children() <= before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the child ends by its timer")
def test_the_child_ends_when_its_parent_is_killed():
    script = (
        "import numpy as np\n"
        "from tests.surface.meshes import loose_triangles\n"
        "from fields.surface.chart_packing import FlatCharts, pack_by_xatlas\n"
        "v, f = loose_triangles(10_000)\n"
        "flat = FlatCharts(v[:, :2], f, np.repeat(np.arange(len(f)), 3))\n"
        "pack_by_xatlas(flat, 1024, 4, seconds=120, progress=lambda fraction: print(fraction, flush=True))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    for _ in range(20):
        parent.stdout.readline()
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    child.wait(timeout=10)
    assert not child.is_running()


def test_shelves_keep_charts_apart_and_whole():
    vertices, faces = loose_triangles(60)
    flat = FlatCharts(vertices[:, :2], faces, np.repeat(np.arange(len(faces)), 3))
    packed = pack_on_shelves(flat, 512, 6)
    image = np.full((512, 512), -1)
    for chart in range(60):
        low, high = packed[flat.chart == chart].min(axis=0), packed[flat.chart == chart].max(axis=0)
        x, y = slice(int(low[0]), int(np.ceil(high[0]))), slice(int(low[1]), int(np.ceil(high[1])))
        assert (image[y, x] == -1).all()
        image[y, x] = chart
    assert free_texels(image) >= 6
    before, after = flat.areas, FlatCharts(packed, faces, flat.chart).areas
    assert np.allclose(after / before, (after / before)[0])


def test_a_mesh_of_one_point_and_an_empty_one():
    charts = unwrap(np.zeros((3, 3)), np.array([[0, 1, 2]]), 64)
    assert charts.uv.shape == (3, 2) and np.isfinite(charts.uv).all()
    with pytest.raises(ValueError, match="without faces"):
        unwrap(np.zeros((3, 3)), np.zeros((0, 3), int), 64)


def test_charts_fit_into_a_small_texture():
    vertices, faces = sphere(2)
    charts = unwrap(vertices, faces, 64)
    assert charts.uv.min() >= 0 and charts.uv.max() <= 1 and set(charts.source) == set(range(len(vertices)))
    assert free_texels(chart_image(charts, 64)) >= charts.gap == 4


def mip_levels(image: np.ndarray, count: int):
    """Levels 0 to `count` of an image, each the mean of two by two texels of the one before."""
    yield image
    for _ in range(count):
        image = (image[0::2, 0::2] + image[1::2, 0::2] + image[0::2, 1::2] + image[1::2, 1::2]) / 4
        yield image


def test_no_mip_level_mixes_in_what_is_beside_a_chart(torus):
    """A one-color texture, with noise in its unused texels before they are filled, keeps that color on every level."""
    used = torus[3] >= 0
    generator = np.random.default_rng(0)
    texture = generator.integers(0, 256, (2048, 2048, 3)).astype(np.uint8)
    texture[used] = (200, 100, 50)
    for image in mip_levels(fill_unused(texture, used).astype(np.float32), 5):
        assert np.abs(image - (200, 100, 50)).max() == 0


@pytest.fixture(scope="module")
def colored(torus):
    """A color for each chart of the torus, and the filled texture."""
    _, _, charts, image = torus
    colors = np.random.default_rng(1).integers(0, 256, (charts.count, 3)).astype(np.uint8)
    return colors, fill_unused(colors[image], image >= 0).astype(np.float32)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_charts_of_different_colors_do_not_bleed_into_each_other(level, torus, colored):
    """Bilinear lookups at all texels of a chart return its own color: the gap is wide enough."""
    image, (colors, filled) = torus[3], colored
    *_, mip = mip_levels(filled, level)
    rows, columns = np.nonzero(image >= 0)
    picked = np.random.default_rng(2).choice(len(rows), 20_000)
    y, x = ((part[picked] + 0.5) / 2**level - 0.5 for part in (rows, columns))
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    found = np.zeros((len(picked), 3))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dy - (y - y0)) * np.abs(1 - dx - (x - x0))
            found += weight[:, None] * mip[(y0 + dy) % len(mip), (x0 + dx) % len(mip)]
    error = np.abs(found - colors[image[rows[picked], columns[picked]]]).max()
    assert error <= 2
