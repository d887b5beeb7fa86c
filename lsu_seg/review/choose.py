"""Which images people should look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lsu_seg.review.doubt import Doubt


def choose(doubts: Sequence[Doubt], number: int) -> list[tuple[int, int]]:
    """The images with the most doubt, class by class in turn, the rarest first, so that rare classes come up.

    Returns:
        `(image, channel)` of at most `number` images; the channel is the class that an image was chosen for.

    >>> road, curb = 0, 1
    >>> choose([Doubt({0: 900, 1: 2}, {0: 50.0}), Doubt({0: 900}, {0: 90.0}), Doubt({1: 9}, {1: 3.0})], 2)
    [(2, 1), (1, 0)]
    """
    pixels: Counter[int] = Counter()
    for each in doubts:
        pixels.update(each.pixels)
    queues = {
        channel: sorted(
            (image for image, each in enumerate(doubts) if channel in each.doubt),
            key=lambda image, channel=channel: (doubts[image].doubt[channel], -image),  # type: ignore[misc]
        )
        for channel in sorted(pixels, key=lambda channel: (pixels[channel], channel))
    }
    chosen: dict[int, int] = {}
    while len(chosen) < number and any(queues.values()):
        for channel, queue in queues.items():
            while queue and queue[-1] in chosen:
                queue.pop()
            if queue and len(chosen) < number:
                chosen[queue.pop()] = channel
    return list(chosen.items())
