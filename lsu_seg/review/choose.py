"""Which images people should look at first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def choose(pixels: NDArray[np.int64], doubt: NDArray[np.float32], number: int) -> list[tuple[int, int]]:
    """The images with the most doubt, class by class in turn, the rarest first, so that rare classes come up.

    Args:
        pixels: int64 `[C]`, of each class in all images.
        doubt: float32 `[N, C]`, of each image in each class.
        number: of images, at most.

    Returns:
        `(image, class)` of each; the class is the one that it was chosen for.

    >>> road_and_curb = np.array([[50, 0], [90, 0], [0, 3]], np.float32)
    >>> choose(np.array([1800, 11]), road_and_curb, 2)
    [(2, 1), (1, 0)]
    """
    queues: dict[int, list[int]] = {}
    for channel in np.argsort(pixels, kind="stable").tolist():
        # The others can have taken no more than `number` of them.
        order = np.argsort(-doubt[:, channel], kind="stable")[:number]
        queues[channel] = [image for image in order.tolist() if doubt[image, channel] > 0][::-1]
    chosen: dict[int, int] = {}
    while len(chosen) < number and any(queues.values()):
        for channel, queue in queues.items():
            while queue and queue[-1] in chosen:
                queue.pop()
            if queue and len(chosen) < number:
                chosen[queue.pop()] = channel
    return list(chosen.items())
