"""Which keys of a config are read, so that a misspelt one is refused instead of being passed over in silence."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from keyword import iskeyword
from types import NoneType
from typing import Any

from mmengine.config import Config

from lsu_seg.errors import ConfigError, did_you_mean

READ_BY_MMENGINE = (
    *("custom_imports", "runner_type", "backend_args", "tta_model", "tta_pipeline"),
    *("model_wrapper_cfg", "sync_bn", "find_unused_parameters", "compile"),
    *("activation_checkpointing", "efficient_conv_bn_eval"),
)
"""Besides the parameters of its Runner."""

READ_HERE = ("data_root", "unify", "train_precision", "strategy")

SECTIONS = {
    "unify": (
        *("extra", "evaluate", "students", "unsure", "threshold", "student_init", "average_with_teacher"),
        *("refresh", "views"),
    ),
    "env_cfg": ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"),
    "randomness": ("seed", "diff_rank_seed", "deterministic"),
}
"""Top-level keys whose own keys are all known."""


def read_keys() -> set[str]:
    """The top-level keys that mmengine or this package reads."""
    from mmengine.runner import Runner

    return {*inspect.signature(Runner.__init__).parameters, *READ_BY_MMENGINE, *READ_HERE} - {"self", "cfg"}


def check_keys(cfg: Config) -> None:
    """Refuse a top-level key that is a misspelt one, and any key of a section that does not have it.

    A config is a program: its variables are top-level keys, too. So a key is taken for misspelt where it is a letter or
    two from one that is read, and the rest of the program does not use it.
    """
    known = read_keys()
    for key in cfg:
        near = _misspelt(key, known) if key not in known else None
        if near and not _is_used(key, cfg.text):
            raise ConfigError(f"{cfg.filename}: nothing reads the key `{key}`; did you mean `{near}`?")
        if not key.isidentifier() or iskeyword(key):  # of YAML and JSON: mmengine keeps a copy in Python
            raise ConfigError(f"{cfg.filename}: the key `{key}` is no name; write letters, digits and `_` alone")
        if key == "_delete_":
            raise ConfigError(
                f"{cfg.filename}: `_delete_` stands at the top, where it deletes nothing: write it into the part that"
                " is to replace an inherited one, as in `model = dict(_delete_=True, …)`, or leave out the `_base_`"
            )
    for section, keys in SECTIONS.items():
        if not isinstance(cfg.get(section), (Mapping, NoneType)):
            raise ConfigError(f"{cfg.filename}: `{section}` is {cfg[section]!r}; expected `dict(…)`")
        for key in cfg.get(section) or ():
            if key not in keys:
                hint = did_you_mean(key, keys) or f"; it has {', '.join(keys)}"
                raise ConfigError(f"{cfg.filename}: nothing reads the key `{section}.{key}`{hint}")
    check_sets(cfg)


def check_sets(cfg: Config) -> None:
    """Refuse a `unify` section whose sets are not named: `extra=dict(NAME=dict(…))`."""
    for key in ("extra", "evaluate"):
        sets = (cfg.get("unify") or {}).get(key, {})
        if not isinstance(sets, Mapping):
            raise ConfigError(f"{cfg.filename}: `unify.{key}` is {sets!r}; expected `dict(NAME=dict(…), …)`")
        for name, one in sets.items():
            if not isinstance(name, str) or not name:
                raise ConfigError(f"{cfg.filename}: a set of `unify.{key}` is called {name!r}; expected a name, a text")
            if not isinstance(one, Mapping):
                raise ConfigError(f"{cfg.filename}: `unify.{key}.{name}` is {one!r}; expected `dict(…)`")


def check_option(cfg: Config, key: str) -> None:
    """Refuse an option whose top-level key nothing reads, here or in the config."""
    first = key.partition(".")[0]
    known = read_keys()
    if key == "data_root":
        raise ConfigError(
            "`--set data_root=…` comes too late, the config's paths are made of it: write `--data-root …`"
        )
    if first in cfg and first not in known and _is_used(first, cfg.text):
        places = [f"`{place}`" for k, part in cfg.items() if k in known for place in _paths_with(part, cfg[first], k)]
        hint = f"; it may have gone into {', '.join(places[:4])}{' …' if len(places) > 4 else ''}" if places else ""
        raise ConfigError(
            f"`--set {key}=…` comes too late: `{first}` is a variable of {cfg.filename}, which other keys are made of;"
            f" set those{hint}"
        )
    if first not in cfg and first not in known:
        hint = did_you_mean(first, known | set(cfg))
        raise ConfigError(f"`--set {key}=…`: {cfg.filename} has no key `{first}`, and nothing reads one{hint}")


def _misspelt(key: str, known: set[str]) -> str | None:
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    letters = 1 if len(key) < 10 else 2
    hit = process.extractOne(key, sorted(known), scorer=OSA.distance, score_cutoff=letters)
    return hit[0] if hit else None


def _is_used(name: str, text: str) -> bool:
    """Whether a config's text, with those that it inherits from, does more with a name than to give it a value."""
    return re.search(rf"(?<![\w'\"]){name}\b(?!\s*=[^=])", text) is not None


def _paths_with(part: Any, value: Any, path: str) -> list[str]:
    """Where a part of a config has a value."""
    if type(part) is type(value) and part == value:
        return [path]
    items = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, (list, tuple)) else ()
    return [place for key, inside in items for place in _paths_with(inside, value, f"{path}.{key}")]


def find(value: Any, part: Any, path: str = "") -> str | None:
    """The dotted path of a part of a config: of an equal one, or else of one that was given more keys since.

    >>> find({"model": {"neck": {"type": "FPN", "in": [1]}}}, {"type": "FPN", "in": [1], "out": 3})
    'model.neck'
    """
    equal = next((place for place, v in _parts(value, path) if v == part), None)
    had = [(len(v), place) for place, v in _parts(value, path) if _has(part, v)]
    return equal or (max(had, key=lambda one: one[0])[1] if had else None)  # the most like it, the first of several


def _has(part: Any, value: Any) -> bool:
    return (
        isinstance(part, Mapping)
        and isinstance(value, Mapping)
        and "type" in value
        and all(key in part and part[key] == v for key, v in value.items())
    )


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All parts of a config, by their paths."""
    if path:
        yield path, value
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    )
    for key, v in items:
        if isinstance(v, (Mapping, list, tuple)):
            yield from _parts(v, f"{path}.{key}" if path else str(key))


def paths_of(value: Any, key: str, path: str = "") -> list[str]:
    """Where a config has a key.

    >>> paths_of({"a": [{"lr": 1}], "lr": 2}, "lr")
    ['a.0.lr', 'lr']
    """
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    )
    out = []
    for k, v in items:
        inside = f"{path}.{k}" if path else str(k)
        out += [inside] if k == key else []
        out += paths_of(v, key, inside)
    return out
