"""JSON of settings that is the same for the same settings, for hashes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys; what JSON does not have is its text.

    >>> canonical_json({"b": 1, "a": (2,)}), canonical_json({2: 3, "a": 1})
    ('{"a": [2], "b": 1}', '{"2": 3, "a": 1}')
    """
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except TypeError:  # numbers beside texts cannot be sorted, and other keys than these are none
        return json.dumps(_with_text_keys(value), sort_keys=True, default=str)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(inside) for key, inside in value.items()}
    return [_with_text_keys(inside) for inside in value] if isinstance(value, (list, tuple)) else value
