"""What the classes of a training say that they take, compared with what a config gives them, before they are built.

mmengine and torch look at few of their arguments, and compute with the rest: a text for a number shows after a step,
or at the first validation, hours later; NaN for a learning rate shows in the weights, and a negative norm to clip
gradients to has the training climb. The signatures say which kind of value each argument is. Whatever these leave open
is taken.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from lsu_seg.errors import ConfigError, did_you_mean
from lsu_seg.openmmlab.config import is_type
from lsu_seg.openmmlab.registry import HOOKS, registries
from lsu_seg.openmmlab.written import check_written

_SECTIONS = {
    "train_cfg": "",
    "val_cfg": "",
    "optim_wrapper": "OptimWrapper",
    "param_scheduler": "",
    "default_hooks": "",
    "custom_hooks": "",
    "log_processor": "LogProcessor",
    "visualizer": "",
}
"""The keys whose parts are compared, and the class that mmengine takes where such a part names none."""
_OPEN = ("mmengine", "mmseg", "torch", "lsu_seg")
"""Packages whose signatures are known to be right, but for `_WRONG`."""
_WORDS: dict[Any, str] = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
_WRONG = {("AmpOptimWrapper", "loss_scale"), ("PolyLRRatio", "eta_min_ratio")}
"""Arguments that take more than their signatures say."""

_READ_BEFORE = ("type", "_scope_", "priority", "by_epoch", "constructor", "paramwise_cfg", "convert_to_iter_based")
"""What is taken out of a part before its class gets the rest."""
_FACTORS = tuple(
    f"{what}_mult" for what in ["bias_lr", "bias_decay", "norm_decay", "dwconv_decay", "flat_decay", "dcn_offset_lr"]
)
_PARAMWISE = ("custom_keys", "bypass_duplicate", "force_default_settings")
"""What mmengine's own constructor reads of `paramwise_cfg`, with `_FACTORS`."""


def check_arguments(cfg: Config) -> None:
    """Refuse values that the class that a config gives them to cannot compute with.

    Raises:
        ConfigError: one is of another kind than the class's signature says, or a number with which a run does harm.
    """
    HOOKS.get("OntologyHook")  # the first look-up imports all that registers
    for section, default in _SECTIONS.items():
        for path, part in _parts(cfg.get(section), section):
            called = _class(part.get("type", default if path == section else ""))
            if called is not None:
                _check(path, part, called)
    if isinstance(random := cfg.get("randomness"), Mapping):
        _check("randomness", random, Runner.set_randomness)
    if isinstance(scale := cfg.get("auto_scale_lr"), Mapping):
        size = scale.get("base_batch_size", 1)
        if not _fits(size, int) or size < 1:
            raise ConfigError(f"`auto_scale_lr.base_batch_size` is {size!r}; expected a whole number, 1 or more")
        if not _fits(scale.get("enable"), bool):
            raise ConfigError(f"`auto_scale_lr.enable` is {scale['enable']!r}; expected True or False")
    wrapper = cfg.get("optim_wrapper")
    if isinstance(wrapper, Mapping):
        if isinstance(clip := wrapper.get("clip_grad"), Mapping) and _class(wrapper.get("type", "OptimWrapper")):
            _check_clip(clip)
        if wrapper.get("constructor") in (None, "DefaultOptimWrapperConstructor"):
            _check_paramwise(wrapper)
    check_written(cfg, dict(_hooks(cfg)))
    loop = cfg.get("train_cfg")
    changes = loop.get("dynamic_intervals") if isinstance(loop, Mapping) else None
    for change in changes if isinstance(changes, (list, tuple)) else ():
        interval = change[1] if isinstance(change, (list, tuple)) and len(change) == 2 else None
        if isinstance(interval, Real) and interval < 1:
            raise ConfigError(f"`train_cfg.dynamic_intervals` has the interval {interval!r}; expected 1 or more")
    for path, part in _parts(cfg.get("param_scheduler"), "param_scheduler"):
        begin = part.get("begin", 0)
        if isinstance(begin, Real) and begin < 0:  # mmengine takes the step after the first for a later one
            raise ConfigError(f"`{path}.begin` is {begin!r}; expected a whole number, 0 or more")
    known = isinstance(loop, Mapping) and (is_type(loop, "IterBasedTrainLoop") or "type" not in loop)
    if known and not is_by_epoch(loop):
        _check_by_epoch(cfg)


def is_by_epoch(loop: Mapping[str, Any]) -> bool:
    """Whether a training's loop counts epochs, as mmengine reads `train_cfg`."""
    return is_type(loop, "EpochBasedTrainLoop") or bool(loop.get("by_epoch", "type" not in loop))


def _check_by_epoch(cfg: Config) -> None:
    """A loop of iterations is one epoch, after which the training is over: what counts epochs would never act."""
    for path, part in _parts(cfg.get("param_scheduler"), "param_scheduler"):
        made = _class(part.get("type"))
        counts = part.get("by_epoch", True) and not part.get("convert_to_iter_based")
        looks = getattr(made, "need_val_args", False)  # at validations, which both kinds of loops have
        if made is not None and counts and not looks and not _has_others(part, made):
            raise ConfigError(
                f"`{path}` counts epochs, and the training's loop counts iterations, so it would never change anything:"
                " write `by_epoch=False` into it, with `begin` and `end` in iterations"
            )
    for path, part in _hooks(cfg):
        interval, first = part.get("interval", -1), part.get("begin_epoch", 0)
        if is_type(part, "CheckpointHook") and part.get("by_epoch", True) and _above(interval, 1):
            raise ConfigError(
                f"`{path}` saves every {interval!r} epochs, and the training's loop counts iterations, so it would save"
                " the last step alone: write `by_epoch=False` into it, with `interval` in iterations"
            )
        if is_type(part, "EMAHook") and _above(first, 1):
            raise ConfigError(
                f"`{path}.begin_epoch` is {first!r}, and the training's loop counts iterations, so it would never"
                " begin: write `begin_iter` instead"
            )


def _above(value: Any, least: int) -> bool:
    """Whether it is a number above another. Anything else is said when the part is built."""
    return isinstance(value, (Integral, float)) and value > least  # type: ignore[operator]


def _hooks(cfg: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from _parts(cfg.get("default_hooks"), "default_hooks")
    yield from _parts(cfg.get("custom_hooks"), "custom_hooks")


def _check_clip(clip: Mapping[str, Any]) -> None:
    by = "clip_value" if clip.get("type") == "value" else "max_norm"
    if "type" in clip and clip["type"] not in ("norm", "value"):
        raise ConfigError(f"`optim_wrapper.clip_grad.type` is {clip['type']!r}; expected 'norm' or 'value'")
    function = torch.nn.utils.clip_grad_value_ if by == "clip_value" else torch.nn.utils.clip_grad_norm_
    if clip:
        if clip.get("norm_type") == "inf":  # torch takes the text, too
            clip = {**clip, "norm_type": math.inf}
        _check_known("optim_wrapper.clip_grad", clip, {"type", *signature_of(function)} - {"parameters"})
        if by not in clip:
            raise ConfigError(f"`optim_wrapper.clip_grad` lacks `{by}`: write `clip_grad=dict({by}=…)`")
        _check("optim_wrapper.clip_grad", clip, function)
        if not clip[by] > 0:
            raise ConfigError(
                f"`optim_wrapper.clip_grad.{by}` is {clip[by]!r}; expected a number above 0: 0 leaves no gradient, and"
                " a negative number turns them round"
            )


def _check_paramwise(wrapper: Mapping[str, Any]) -> None:
    """mmengine makes a group's option of what it does not know, and torch passes over those that it does not."""
    parts, path = wrapper.get("paramwise_cfg"), "optim_wrapper.paramwise_cfg"
    if isinstance(parts, Mapping):
        _check_known(path, parts, {*_PARAMWISE, *_FACTORS})
        _check_factors(path, parts)
        optimizer, own = wrapper.get("optimizer"), parts.get("custom_keys")
        made = _class(optimizer.get("type")) if isinstance(optimizer, Mapping) else None
        for name, options in own.items() if isinstance(own, Mapping) else ():
            if not isinstance(options, Mapping):
                raise ConfigError(f"`{path}.custom_keys.{name}` is {options!r}; expected `dict(lr_mult=…)`")
            if made is not None:
                known = {"lr_mult", "decay_mult", *signature_of(made)} - {"params"}
                _check_known(f"{path}.custom_keys.{name}", options, known)
            _check_factors(f"{path}.custom_keys.{name}", options)


def _check_factors(path: str, part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        if str(key).endswith("_mult") and value is not None and not (_fits(value, float) and value >= 0):
            raise ConfigError(f"`{path}.{key}` is {value!r}; expected a number, 0 or more")


def _check_known(path: str, part: Mapping[str, Any], known: set[str]) -> None:
    for key in part:
        if key not in known:
            near = "; did you mean `decay_mult`?" if key == "wd_mult" else did_you_mean(str(key), known)
            hint = near or f"; it has {', '.join(sorted(known))}"
            raise ConfigError(f"nothing reads `{path}.{key}`{hint}")


def _parts(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A part of a config, and those in it, by their paths."""
    if isinstance(value, Mapping):
        yield path, value
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    )
    for key, inside in items:
        yield from _parts(inside, f"{path}.{key}")


def _class(named: Any) -> type | None:
    """The class of this name, if there is one, and its signature can be relied on."""
    if isinstance(named, str):
        name = named.rpartition(".")[2]
        found = {id(c): c for registry in registries() if (c := registry.module_dict.get(name)) is not None}
        named = next(iter(found.values())) if len(found) == 1 else None
    return named if isinstance(named, type) and named.__module__.partition(".")[0] in _OPEN else None


def _check(path: str, part: Mapping[str, Any], called: Any) -> None:
    if _has_others(part, called):
        return  # what it does not take is said when it is built, and may be a misspelt one of these
    known = signature_of(called)
    for key, value in part.items():
        if key not in known or (called.__name__, key) in _WRONG:
            continue
        hint, default = known[key]
        if not _fits(value, hint) and not (value is default or (type(value) is type(default) and value == default)):
            like = f", such as {default!r}" if default and type(default) in (int, float, str, tuple) else ""
            raise ConfigError(f"`{path}.{key}` is {value!r}; expected {_words(hint)}{like}")


def _has_others(part: Mapping[str, Any], called: Any) -> bool:
    """Whether a part has a key that its class does not take."""
    known = signature_of(called)
    return any(key not in known and key not in _READ_BEFORE for key in part)


def signature_of(called: Any) -> dict[str, tuple[Any, Any]]:
    """What can be given to a class or function, through `**kwargs` also to those that it inherits from.

    Returns:
        name → its annotation, or `Any` where it has none, and its default, or `Parameter.empty`.
    """
    makers = (
        [c.__dict__["__init__"] for c in called.__mro__ if "__init__" in c.__dict__]
        if isinstance(called, type)
        else [called]
    )
    out: dict[str, tuple[Any, Any]] = {}
    for maker in makers:
        try:
            parameters = inspect.signature(maker).parameters.values()
        except (TypeError, ValueError):
            continue
        try:
            hints = get_type_hints(maker)
        except Exception:  # of names that are imported for type checkers alone
            hints = {}
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self":
                stated = p.annotation is not p.empty  # and could not be read, if `hints` lacks it
                plain = Any if p.default is None or p.default is p.empty or stated else type(p.default)
                default_hint = float if plain is int else plain if plain in _WORDS else Any
                out.setdefault(p.name, (hints.get(p.name, default_hint), p.default))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return out


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value may be what a signature says. What a config does not write down, such as a class, is taken."""
    if hint in _WORDS:
        return _is(value, hint)
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if hint in (None, types.NoneType):
        return value is None
    if hint is torch.Tensor:
        return not isinstance(value, (bool, Real, str, list, tuple, Mapping, complex, types.NoneType))
    if get_origin(hint) in (tuple, list):
        inside = get_args(hint)
        if not isinstance(value, (tuple, list)) or not inside:  # `List` says nothing of its entries
            return isinstance(value, (tuple, list))
        if get_origin(hint) is list or (len(inside) == 2 and inside[1] is ...):
            return all(_fits(each, inside[0]) for each in value)
        return len(value) == len(inside) and all(map(_fits, value, inside))
    return True


def _is(value: Any, kind: type) -> bool:
    if not isinstance(value, (bool, Real, str, list, tuple, Mapping, complex, types.NoneType)):
        return True
    if kind is bool:
        return value is None or (isinstance(value, Real) and value in (0, 1))
    if kind is str:
        return isinstance(value, str)
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    if isinstance(value, Integral):  # of any size: more than a float has
        return True
    return not math.isnan(value) and (kind is float or math.isinf(value) or value % 1 == 0)


def _words(hint: Any) -> str:
    """
    >>> _words(Union[float, None]), _words(tuple[float, float])
    ('a number, or None', '2 values, each a number')
    """
    if hint in _WORDS:
        return _WORDS[hint]
    inside = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        said = [_words(each) for each in inside if each not in (types.NoneType, torch.Tensor)]
        return " or ".join(said) + (", or None" if types.NoneType in inside else "")
    if get_origin(hint) is tuple and inside and ... not in inside:
        return f"{len(inside)} values, each {_words(inside[0])}"
    if get_origin(hint) in (tuple, list) and inside:
        return f"a list, each entry {_words(inside[0])}"
    return "a list" if get_origin(hint) is not None else f"a {getattr(hint, '__name__', 'value')}"
