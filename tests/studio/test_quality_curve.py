"""The quality curve of a job: drawn rarely during a fit, and completely after it."""

from apps.studio import quality_curve


def test_a_curve_needs_two_points_and_is_drawn_rarely_while_it_grows(monkeypatch):
    drawn = []
    monkeypatch.setattr(quality_curve, "svg", lambda lines, *labels, size: drawn.append(lines) or f"svg {len(drawn)}")
    points = [(float(index), float(index)) for index in range(9)]
    curve = quality_curve.QualityCurve()
    assert curve.svg("psnr", points[:1], active=True) == ""
    assert curve.svg("psnr", points[:2], active=True) == "svg 1"
    curve._next = float("inf")
    assert curve.svg("psnr", points[:5], active=True) == "svg 1"
    assert curve.svg("psnr", points, active=False) == "svg 2" and drawn[-1][0].points == points
    assert curve.svg("psnr", points, active=False) == "svg 2"
