"""Live previews: images are drawn while a page watches, and take little of the fit's time."""

import time

from studio_jobs import ended, fit_request, until

from apps.studio.live_preview import thinned


def test_live_images_are_small_and_rare_and_drawn_only_while_a_page_watches(queue, photograph, monkeypatch):
    import fields.fit.objectives.image as images

    drawn = []
    original = images.ImageObjective.preview

    def slow(self, field, side=1024):
        drawn.append((time.perf_counter(), side))
        time.sleep(0.05)
        return original(self, field, side)

    monkeypatch.setattr(images.ImageObjective, "preview", slow)
    job = queue.fit(fit_request(photograph, 10_000_000), "live")
    until(lambda: job.step > 0)
    time.sleep(0.5)
    assert not drawn
    for _ in range(25):
        job.watched = time.monotonic()
        time.sleep(0.1)
    assert 1 <= len(drawn) <= 6 and all(side**2 <= 100_000 for _, side in drawn)
    assert all(b - a >= 0.5 for (a, _), (b, _) in zip(drawn, drawn[1:]))
    job.stop()
    ended(job)
    assert drawn[-1][1] == 1024


def test_slow_images_become_smaller_and_delay_nothing(queue, photograph, monkeypatch):
    import fields.fit.objectives.image as images

    sides = []
    original = images.ImageObjective.preview

    def slow(self, field, side=1024):
        sides.append(side)
        time.sleep(1.0 if len(sides) == 1 else 0.3)
        return original(self, field, side)

    monkeypatch.setattr(images.ImageObjective, "preview", slow)
    job = queue.fit(fit_request(photograph, 10_000_000), "slow")
    seen = set()
    begun = time.monotonic()
    while time.monotonic() - begun < 40 and len(sides) < 3:
        job.watched = time.monotonic()
        seen.add(job.step)
        time.sleep(0.1)
    job.stop()
    ended(job)
    assert sides[0] == sides[1] == 316 and sides[2] < 230 and len(seen) >= 6


def test_thinned_curves_keep_their_ends():
    points = [(float(i), 0.0) for i in range(1000)]
    kept = []
    for point in points:
        kept = thinned([*kept, point])
    assert len(kept) <= 240 and kept[0] == points[0] and kept[-1] == points[-1] and kept == sorted(kept)
