"""Order of the channels of surround sound: that of WAV files (front left, front right, centre, low frequency, ...)."""

from __future__ import annotations

# For each number of channels, the place in a Vorbis or Opus stream (Vorbis I, section 4.3.9; RFC 7845, section 5.1.1.2)
# of each channel of a WAV file. libsndfile does not convert between the two. Other numbers are in the same order.
OGG_PLACES = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


def from_ogg_order(channels: int) -> list[int]:
    """Index that brings `[N, C]` samples of an Ogg stream into the order of WAV files."""
    return list(OGG_PLACES.get(channels, range(channels)))


def to_ogg_order(channels: int) -> list[int]:
    """Index that brings `[N, C]` samples in the order of WAV files into that of an Ogg stream."""
    places = from_ogg_order(channels)
    return [places.index(place) for place in range(channels)]
