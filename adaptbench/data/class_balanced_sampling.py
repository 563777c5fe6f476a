"""Class-balanced sampling of labelled images: classes that were shown rarely so far are drawn more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Number of picks in a sub-epoch.
SUB_EPOCH = 3000
#: Added to the share of a class before its logarithm is taken.
EPSILON = 0.01

Float = npt.NDArray[np.float64]
#: The legacy generator is the one that recorded lists were drawn with.
Random = np.random.Generator | np.random.RandomState


def class_weights(
    counts: npt.NDArray[np.int64], present: npt.NDArray[np.bool_], epsilon: float = EPSILON
) -> Float:
    """Probability of drawing each class, proportional to 1 / log(1 + epsilon + share); 0 where no image shows it.

    Shape: ``(C,)`` each: how many of the images drawn so far show the class, and whether any image does.

    Source: code of FADA, arXiv 2007.09222; docs/quirks.md#a14.
    """
    share = counts / max(int(counts.sum()), 1)
    weights = np.where(present, 1.0 / np.log(1.0 + epsilon + share), 0.0)
    normalised: Float = weights / weights.sum()
    return normalised


def balanced_picks(
    shows: npt.NDArray[np.bool_],
    queues: Sequence[Sequence[int]],
    length: int,
    rng: Random,
    sub_epoch: int = SUB_EPOCH,
    epsilon: float = EPSILON,
) -> npt.NDArray[np.int64]:
    """Indices of the images to show, in order: whole sub-epochs, at least ``length`` images.

    A class is drawn, then the next image of its queue. A queue that is used up is shuffled and starts again
    with its second image, as published.

    Counts of classes start again at 0 after ``sub_epoch`` picks; ``epsilon`` is that of `class_weights`.

    Shape: ``shows``, which image shows which class, is (images, C) bool; ``queues`` are the images of each
    class.

    Raises:
        ValueError: no image shows any class.

    Source: code of FADA, arXiv 2007.09222; docs/quirks.md#a14.
    """
    present = np.asarray(shows.any(axis=0))
    if not present.any():
        raise ValueError("No image shows any class to balance.")
    waiting = [list(queue) for queue in queues]
    positions = [0] * len(waiting)
    counts = np.zeros(shows.shape[1], dtype=np.int64)
    picks = np.empty((length // sub_epoch + 1) * sub_epoch, dtype=np.int64)
    for step in range(len(picks)):
        if step % sub_epoch == 0:
            counts[:] = 0
        drawn = int(rng.choice(len(counts), p=class_weights(counts, present, epsilon)))
        picks[step] = _next(waiting[drawn], positions, drawn, rng)
        counts += shows[picks[step]]
    return picks


def _next(queue: list[int], positions: list[int], drawn: int, rng: Random) -> int:
    """The next image of the class ``drawn``."""
    if positions[drawn] >= len(queue):
        rng.shuffle(queue)
        positions[drawn] %= max(len(queue) - 1, 1)
    positions[drawn] += 1
    return queue[positions[drawn] - 1]
