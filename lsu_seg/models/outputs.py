"""What networks return, in any of the usual forms, as logits of the classes that are wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from lsu_seg.errors import TeacherError, did_you_mean

Place = str | int
"""Where something is in an output: a key or an attribute, or the number of an item."""

LOGITS = ("logits", "out")
_PLACES, _FEWEST = 64, 4
"""At how many places of each map it is seen whether it holds probabilities: of fewer, any may look like them."""

MASKS = (("class_queries_logits", "masks_queries_logits"), ("pred_logits", "pred_masks"))
"""Keys of Hugging Face's and torchvision's logits; of Hugging Face's and Mask2Former's classes and masks."""


class Output(NamedTuple):
    """Of a network that was shown N images.

    Attributes:
        logits: float `[N, K, h, w]`; with masks, their class logits, `[N, Q, K+1]`.
        masks: mask logits, float `[N, Q, h, w]`, or None.
        auxiliary: further logits, float `[N, K, h', w']` each.
    """

    logits: Tensor
    masks: Tensor | None
    auxiliary: list[Tensor]

    @property
    def channels(self) -> int:
        return self.logits.shape[1] if self.masks is None else self.logits.shape[2] - 1


@dataclass(frozen=True)
class Reader:
    """Reads what a network returns.

    Attributes:
        name: of the network, for messages. output: where the logits are; None: where they usually are.
        auxiliary: where further logits are, while the network is trained.
        channels: the number of channels. kept: those that are classes, in order. None: not known yet, so all are kept.
    """

    name: str
    output: Place | None = None
    auxiliary: tuple[Place, ...] = ()
    channels: int | None = None
    kept: tuple[int, ...] | None = None

    def dropping(self, channels: int, dropped: Sequence[int | str], names: Sequence[str] | None) -> Reader:
        """A reader of a network with so many channels that leaves some out.

        Raises:
            TeacherError: there is no such channel, none is left, or the names are not as many.
        """
        if names is not None and len(names) != channels:
            raise TeacherError(
                f"`{self.name}` makes a network of {channels} channels, and `classes` has {len(names)} names; name all"
                " of them, also those that are dropped"
            )
        numbers = {self._number(one, channels, names) for one in dropped}
        if len(numbers) == channels:
            raise TeacherError(f"`drop_channels` leaves none of the {channels} channels of `{self.name}`")
        return replace(self, channels=channels, kept=tuple(i for i in range(channels) if i not in numbers))

    def _number(self, channel: int | str, channels: int, names: Sequence[str] | None) -> int:
        if isinstance(channel, str):
            if names is None:
                raise TeacherError(
                    f"`drop_channels` has the name {channel!r}, and nothing names the channels: write its number, 0 to"
                    f" {channels - 1}, or `classes=[…]`"
                )
            if channel not in names:
                raise TeacherError(
                    f"`drop_channels` has {channel!r}, which `classes` does not have{did_you_mean(channel, names)}"
                )
            return list(names).index(channel)
        if not isinstance(channel, int) or not 0 <= channel < channels:
            raise TeacherError(
                f"`drop_channels` has {channel!r}; the channels of `{self.name}` are 0 to {channels - 1}"
            )
        return channel

    def read(self, out: Any, count: int, training: bool = False) -> Output:
        """The logits in what the network returned for `count` images.

        Raises:
            TeacherError: they are not there, have another shape, or are probabilities: their softmax would be taken
                once more, which changes confidence, sets and losses.
        """
        extra = [self._maps(self._at(out, place), place, count) for place in self.auxiliary] if training else []
        for classes, masks in MASKS if self.output is None else ():
            if (at := _get(out, classes)) is not None and (of := _get(out, masks)) is not None:
                return self._kept(Output(*self._queries(at, of, (classes, masks), count), extra))
        place = self.output if not isinstance(out, Tensor) else None
        logits = self._at(out, place) if place is not None else self._usual(out)
        return self._kept(Output(self._maps(logits, place, count), None, extra))

    def _kept(self, out: Output) -> Output:
        """Without the channels that are dropped."""
        for channels in (out.channels, *(maps.shape[1] for maps in out.auxiliary)):
            if self.channels not in (None, channels):
                raise TeacherError(f"`{self.name}` returned {channels} channels; expected {self.channels}")
        if self.kept is None or len(self.kept) == out.channels:
            return out
        kept = torch.tensor(self.kept, device=out.logits.device)
        extra = [maps.index_select(1, kept) for maps in out.auxiliary]
        if out.masks is None:
            return Output(out.logits.index_select(1, kept), None, extra)
        with_none = torch.cat([kept, kept.new_tensor([out.channels])])  # the last is no object
        return Output(out.logits.index_select(2, with_none), out.masks, extra)

    def _at(self, out: Any, place: Place) -> Any:
        value = _get(out, place)
        if value is None:
            raise TeacherError(f"`{self.name}` returned {_words(out)}, which has no `{place}`")
        return value

    def _usual(self, out: Any) -> Any:
        """The logits of an output where nothing says where they are."""
        if isinstance(out, Tensor):
            return out
        for key in LOGITS:
            if (value := _get(out, key)) is not None:
                return value
        if isinstance(out, (list, tuple)) and len(out) == 1 and out[0] is not out:
            return self._usual(out[0])
        raise TeacherError(
            f"`{self.name}` returned {_words(out)}, and nothing says where the logits are in it; expected a tensor"
            f" [N, K, h, w], or {' or '.join(f'`{key}`' for key in LOGITS)}: write `output=…`, a key or the number of"
            " an item"
        )

    def _maps(self, maps: Any, place: Place | None, count: int) -> Tensor:
        if not _are_values(maps) or maps.ndim != 4 or len(maps) != count:
            where = "" if place is None else f" as `{place}`"
            raise TeacherError(
                f"`{self.name}` returned {_words(maps)}{where} for {count} image(s); expected logits"
                f" [{count}, K, h, w], before the softmax and before the largest is taken"
                f"{', in float16 or wider' if _is_coarse(maps) else ''}"
            )
        total = _constant_sum(maps.flatten(2))
        if total:
            raise TeacherError(
                f"`{self.name}` returned {_probabilities(total)}; expected logits: leave its last softmax out, or"
                " return the logarithm of them"
            )
        return maps

    def _queries(self, classes: Any, masks: Any, places: tuple[str, str], count: int) -> tuple[Tensor, Tensor]:
        fit = _are_values(classes) and _are_values(masks) and (classes.ndim, masks.ndim) == (3, 4)
        if not fit or not len(classes) == len(masks) == count or classes.shape[1] != masks.shape[1]:
            raise TeacherError(
                f"`{self.name}` returned {_words(classes)} as `{places[0]}` and {_words(masks)} as `{places[1]}` for"
                f" {count} image(s); expected class logits [{count}, Q, K+1] and mask logits [{count}, Q, h, w]"
                f"{', in float16 or wider' if _is_coarse(classes) or _is_coarse(masks) else ''}"
            )
        total = _constant_sum(classes.transpose(1, 2))
        if total:
            raise TeacherError(
                f"`{self.name}` returned {_probabilities(total)}, as `{places[0]}`; expected class logits: leave the"
                " softmax out"
            )
        if are_shares(masks):
            raise TeacherError(
                f"`{self.name}` returned only values from 0 to 1 as `{places[1]}`; expected mask logits: leave the"
                " sigmoid out"
            )
        return classes, masks


def _are_values(value: Any) -> TypeGuard[Tensor]:
    """Whether this is a tensor of real numbers, at least one, that can be computed with."""
    strided = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
    return strided and value.is_floating_point() and value.dtype.itemsize > 1 and value.numel() > 0


def _is_coarse(value: Any) -> bool:
    """Whether this is in float8, which cannot be computed with, and has three digits of a confidence at most."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.dtype.itemsize == 1


def _some(maps: Tensor) -> Tensor:
    """A few places of each of the maps `[N, C, n]`."""
    return maps[:, :, :: max(1, maps.shape[2] // _PLACES)].detach().float()


def _change(some: Tensor) -> Tensor:
    """By how much a channel differs between two places at most."""
    channels = some.transpose(0, 1).flatten(1)
    return (channels.amax(1) - channels.amin(1)).amax()


def _constant_sum(maps: Tensor) -> float:
    """What the channels of maps `[N, C, n]` add up to at each place, if they are probabilities, or a multiple of them.

    These are nowhere negative, and add up to the same at each place, while they change from one to the next.
    Otherwise 0.
    """
    some = _some(maps)
    if maps.shape[1] < 2 or len(some) * some.shape[2] < _FEWEST:
        return 0.0
    sums = some.sum(1)
    lowest, least, most, change = torch.stack([some.amin(), sums.amin(), sums.amax(), _change(some)]).tolist()
    tolerance = max(1e-4, torch.finfo(maps.dtype).eps)
    if not (lowest >= 0 and 0 < most < math.inf and most - least <= tolerance * most):
        return 0.0
    return most if change > tolerance * most or abs(most - 1) <= tolerance else 0.0


def are_shares(maps: Tensor) -> bool:
    """Whether maps `[N, C, h, w]` have only values from 0 to 1, which change from one place to the next."""
    some = _some(maps.flatten(2))
    least, most, change = torch.stack([some.amin(), some.amax(), _change(some)]).tolist()
    return bool(some.shape[2] >= _FEWEST and least >= 0 and most <= 1 and change > 0)


def _probabilities(total: float) -> str:
    total = 1 if abs(total - 1) < 0.01 else total
    return f"probabilities{'' if total == 1 else f' times {total:g}'}, which add up to {total:g}"


def _get(out: Any, place: Place) -> Any:
    if isinstance(out, Tensor):
        return None
    if isinstance(place, int):
        return out[place] if isinstance(out, (list, tuple)) and -len(out) <= place < len(out) else None
    return out.get(place) if isinstance(out, Mapping) else getattr(out, place, None)


def _words(value: Any) -> str:
    """What something is, and what is in it.

    >>> _words({"out": torch.zeros(1, 2, 4, 4), "aux": None})
    'a dict of `out` [1, 2, 4, 4] and `aux` (NoneType)'
    """
    if isinstance(value, Tensor):
        kind = " sparse" if value.layout != torch.strided else " meta" if value.is_meta else ""
        return f"a{kind} tensor {list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    items: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    shown = [f"`{k}` {list(v.shape)}" if isinstance(v, Tensor) else f"`{k}` ({type(v).__name__})" for k, v in items[:6]]
    if len(shown) > 1:
        shown[-2:] = [f"{shown[-2]} and {shown[-1]}"]
    return f"a {type(value).__name__}{' of ' + ', '.join(shown) if shown else ''}"
