"""Whether an MMSegmentation dataset sets `reduce_zero_label`, read from its source text.

If it is on, the raw value 0 is void and the classes start at 1. The word may be the default of a parameter, an argument
of `super().__init__` (as in MMSegmentation 0.x), or come with a base class.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

_WORD = "reduce_zero_label"
_PLAIN = ("BaseSegDataset", "BaseCDDataset", "BaseDataset", "CustomDataset", "Dataset", "object")
"""Base classes of MMSegmentation and torch that leave it off."""


def zero_label(tree: ast.Module, class_name: str) -> bool | None:
    """Whether a class of a module sets it. None: it is computed, or a base class in another file decides."""
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    if class_name not in classes:
        return False  # the METAINFO of a module
    waiting, seen = [class_name], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name in _PLAIN:
            continue
        seen.add(name)
        if name not in classes:
            return None
        said = _said(classes[name])
        if said:
            return said.pop() if len(said) == 1 else None
        waiting += [_last_name(b) for b in classes[name].bases]
    return False


def _said(cls: ast.ClassDef) -> set[bool | None]:
    """What the class itself says; nothing, if it leaves it to its bases."""
    init = next((n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    defaults = _defaults(init) if init else {}
    values = [defaults.get(v.id, v) if isinstance(v, ast.Name) else v for v in _passed(cls)]
    if not values and _WORD in defaults:
        values = [defaults[_WORD]]
    return {bool(v.value) if isinstance(v, ast.Constant) else None for v in values}


def _defaults(init: ast.FunctionDef) -> dict[str, ast.expr]:
    """Parameter → default."""
    plain, only = init.args.args, init.args.kwonlyargs
    with_default = plain[len(plain) - len(init.args.defaults) :]
    out = {a.arg: d for a, d in zip(with_default, init.args.defaults, strict=True)}
    return out | {a.arg: d for a, d in zip(only, init.args.kw_defaults, strict=True) if d}


def _passed(cls: ast.ClassDef) -> Iterator[ast.expr]:
    """The values that a class gives it: in a call, in `kwargs[…]`, or to an attribute."""
    for node in ast.walk(cls):
        if isinstance(node, ast.Call):
            in_init = isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
            yield from (k.value for k in node.keywords if k.arg == _WORD and in_init)
            words = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if isinstance(node.func, ast.Attribute) and node.func.attr == "setdefault" and words[:1] == [_WORD]:
                yield node.args[-1]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (node.value for t in targets if _target(t) == _WORD)


def _target(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""
    return _last_name(node)


def _last_name(node: ast.expr) -> str:
    """`Base` of `Base`, `module.Base` and `Base[T]`; of anything else, nothing."""
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
