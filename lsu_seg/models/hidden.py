"""Layers that a network keeps where torch does not look for them: no checkpoint has them, and no optimizer."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

_DEPTH = 5
"""Of lists in lists, and of objects in objects."""


def hidden_weights(net: nn.Module) -> dict[str, Tensor]:
    """The weights of layers in plain lists, dicts, objects and functions, by where in the network they are.

    `nn.ModuleList` and `nn.ModuleDict` are for lists and dicts of layers. Some networks hide a frozen part on purpose,
    so that checkpoints do not contain it.
    """
    known = {id(one) for one in (*net.modules(), *net.parameters(), *net.buffers())}
    hidden: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in ("_modules", "_parameters", "_buffers"):
                place = f"{name}.{attribute}" if name else attribute
                hidden |= dict(_weights(value, place, known, _DEPTH))
    return hidden


def _weights(value: Any, place: str, known: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
    if id(value) in known or depth == 0:
        return
    known.add(id(value))
    if isinstance(value, nn.Parameter):
        yield place, value
    elif isinstance(value, nn.Module):
        yield from ((f"{place}.{name}", weight) for name, weight in value.named_parameters() if id(weight) not in known)
    else:
        for part, inside in _inside(value):
            yield from _weights(inside, f"{place}{part}", known, depth - 1)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What a plain value consists of, each with what is written to get it."""
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", one) for key, one in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{i}]", one) for i, one in enumerate(value))
    elif isinstance(value, functools.partial):
        yield from (("", one) for one in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, MethodType):
        yield "", value.__self__
    elif isinstance(value, FunctionType):
        yield from (("", cell.cell_contents) for cell in value.__closure__ or () if _is_filled(cell))
    elif not isinstance(value, (Tensor, ModuleType, type)) and hasattr(value, "__dict__"):
        yield from ((f".{name}", one) for name, one in vars(value).items())


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # of a variable that has no value yet
        return False
