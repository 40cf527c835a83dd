"""The buckets that a relative position bias sorts distances between tokens into."""

import numpy as np
from numpy.typing import NDArray

from squadlite.config import NUM_BUCKETS

# Near distances have a bucket each, then each bucket is sqrt(2) times as wide as the one before.
_NEAR = 8
_FAR = np.array([12, 16, 23, 32, 46, 64, 91])  # where the buckets after the first far one begin


def distance_buckets(length: int) -> NDArray[np.int64]:
    """
    Sort every distance in a window.

    Args:
        length: T, tokens in the window.

    Returns:
        (2 T - 1,) the bucket of each place of a key less that of its query, from 1 - T to T - 1.

    Source: Raffel et al. 2020 (T5), which MPNet (Song et al. 2020) takes them from; the buckets of
    transformers, whose logarithms give these whole numbers. format_spec.md.
    """
    places = np.arange(1 - length, length)
    distances = np.abs(places)
    far = _NEAR + np.searchsorted(_FAR, distances, side="right")
    buckets: NDArray[np.int64] = np.where(distances < _NEAR, distances, far)
    return buckets + NUM_BUCKETS // 2 * (places > 0)
