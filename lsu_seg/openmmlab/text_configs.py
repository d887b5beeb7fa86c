"""Configs in YAML and JSON: what their readers take without a word, and no author means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lsu_seg.errors import ConfigError

_CODE = tuple(f"tag:yaml.org,2002:python/{kind}" for kind in ("object", "name", "module"))
"""Tags that import and call whatever they name. mmengine's reader obeys them; a config that is code ends in `.py`."""
_MOST = 10**6
"""Values: more than any config has, and fewer than take minutes to copy."""


def check_text_config(path: Path, seen: frozenset[Path] = frozenset()) -> None:
    """Look at the text of a config, and at those that it inherits, before mmengine makes values of it.

    Nothing is said of a text that cannot be parsed: whoever reads it says where and why.

    Raises:
        ConfigError: a key stands twice, so that all but the last would be lost; a tag would run code; a key at the top
            is no string; a value is a date; anchors are copied without end.
    """
    if path.suffix not in (".yaml", ".yml", ".json") or path.resolve() in seen:
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix == ".json":
            json.loads(text, object_pairs_hook=lambda pairs: _once(path, pairs))
            return
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return
    bases: list[str] = []
    for node in _nodes(root):
        if node.tag.startswith(_CODE):
            raise ConfigError(
                f"{_place(path, node)} the tag `{node.tag.replace('tag:yaml.org,2002:', '!!')}` would run code, and a"
                " config of YAML must not: write a value, or a config that ends in `.py`"
            )
        if node.tag == "tag:yaml.org,2002:timestamp":  # which mmengine cannot write down again
            raise ConfigError(f"{_place(path, node)} `{node.value}` is a date to YAML; write it in quotes")
        if isinstance(node, yaml.MappingNode):
            _check_keys(path, node, is_top=node is root)
            if node is root:
                bases = [base for key, value in node.value if key.value == "_base_" for base in _texts(value)]
    if _expanded(root) > _MOST:
        raise ConfigError(
            f"{path}: its anchors stand for more than {_MOST:,} values, as they are copied into each other: write fewer"
        )
    for base in bases:
        if "\0" in base:
            raise ConfigError(
                f"{path} cannot be read: its `_base_` is {base!r}; expected the name of a file, or a list"
            )
        check_text_config(path.parent / base, seen | {path.resolve()})


def _check_keys(path: Path, mapping: yaml.MappingNode, is_top: bool) -> None:
    first: dict[tuple[str, str], Any] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if is_top and not key.tag.endswith((":str", ":merge")):
            raise ConfigError(f"{_place(path, key)} the key `{key.value}` is no name; expected lines of `KEY: VALUE`")
        before = first.setdefault((key.tag, key.value), key)
        if before is not key and key.value != "<<":
            raise ConfigError(
                f"{_place(path, key)} the key `{key.value}` stands twice (first in line"
                f" {before.start_mark.line + 1}), and only the last would count; remove one"
            )


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigError(f"{path}: the key `{key}` stands twice, and only the last would count; remove one")
        found[key] = value
    return found


def _nodes(root: Any) -> Iterator[Any]:
    """All nodes once: anchors make a graph of a text, perhaps with circles."""
    seen: set[int] = set()
    todo = [root] if root is not None else []
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        todo += reversed(_parts(node))


def _expanded(root: Any) -> int:
    """How many values a text stands for: every mention of an anchor is a copy of what it names."""
    known: dict[int, int] = {}
    todo = [(root, False)] if root is not None else []
    while todo:
        node, inside_known = todo.pop()
        if inside_known:
            known[id(node)] = 1 + sum(known.get(id(part), 1) for part in _parts(node))
        elif id(node) not in known:
            known[id(node)] = 1  # until it is counted, so that circles end
            todo += [(node, True), *((part, False) for part in _parts(node))]
    return known.get(id(root), 0)


def _parts(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _texts(node: Any) -> list[str]:
    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [part.value for part in parts if isinstance(part, yaml.ScalarNode)]


def _place(path: Path, node: Any) -> str:
    return f"{path}:{node.start_mark.line + 1}:"
