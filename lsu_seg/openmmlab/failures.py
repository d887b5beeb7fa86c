"""What mmengine raises while it builds and starts a run becomes a refusal that names the key to change.

A mistake in a config shows inside a constructor of mmengine, mmseg or torch, and the traceback knows which part of the
config was being built. What a loop raises after its first step, or after the first validation, is not the config's
mistake, and stays as it is.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import Registry

from lsu_onto import interruption, ran_out, without_traceback
from lsu_seg.errors import ConfigError, TeacherError, UserError, did_you_mean
from lsu_seg.openmmlab.arguments import signature_of
from lsu_seg.openmmlab.frames import (
    SWITCHES,
    THROWN_BY,
    frames_of,
    hook_of,
    inside,
    is_made,
    is_of_stack,
    is_registry,
    is_runner,
    is_teacher,
    loop_or_optimizer,
    module_of,
    of_construction,
    path_of,
    starts_tracker,
    stated_in,
    types_in,
)
from lsu_seg.openmmlab.keys import paths_of, read_keys
from lsu_seg.openmmlab.registry import registries
from lsu_seg.runtime.own_code import failure, raised_by_own

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DIED = re.compile(
    r"DataLoader worker \(pid[^)]*(?:\(s\))?[^)]*\) (exited unexpectedly|is killed by signal: (\w[\w ]*))"
)
_LATE = re.compile(r"DataLoader timed out after [\d.e+-]+ seconds")
_LOST = re.compile(
    r"gloo/transport|Connection (closed|reset) by peer|NCCL communicator was aborted|remote process exited"
)
_UNEQUAL = re.compile(r"stack expects each tensor to be equal size|resize storage that is not resizable")
_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\nOriginal ")


@contextlib.contextmanager
def named(cfg: Config, runner: Any = None) -> Iterator[None]:
    """Turn what a config is to blame for into a ConfigError; everything else goes through as it is.

    Args:
        runner: a `RankedRunner`, whose `started` says whether its loop is on its way.
    """
    try:
        with _interrupted_as_such():
            yield
    except UserError as error:
        if error.__cause__ or _WORKER.match(str(error)):
            _write_down(error)
        if _WORKER.match(str(error)):
            raise type(error)(_said_by_worker(error)) from error
        raise
    except OSError as error:
        if gone := of_machine(error):
            raise ConfigError(gone) from error
        if error.errno in _FULL and not error.filename:  # of mmengine's log, of its copies of the config
            raise OSError(error.errno, error.strerror, str(cfg.get("work_dir", ""))) from error
        path = None if getattr(runner, "started", False) else path_of(frames_of(error), cfg)
        if path:
            said = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            raise ConfigError(f"`{path}`: {_said_by_worker(error) if _WORKER.match(said) else said}") from error
        if _WORKER.match(str(error)):
            raise OSError(_said_by_worker(error)) from error
        raise
    except Exception as error:
        message = of_machine(error, runner)
        if message is None and raised_by_own(error):  # of a network, which can run at any moment
            _write_down(error)
            raise TeacherError(f"the network's own code fails: {failure(error)}") from error
        if message is None and isinstance(error, Warning):  # where warnings are made errors
            raise
        if message is None and getattr(runner, "started", False):
            message = explain_later(error, cfg, runner)
        elif message is None and not (_WORKER.match(str(error)) and "/lsu_seg/" in str(error)):
            message = explain(error, cfg, runner)  # a transform's settings are a ConfigError by now
        if message is None:
            raise
        _write_down(error)
        raise ConfigError(message) from error


@contextlib.contextmanager
def _interrupted_as_such() -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        stop = interruption(error)
        if isinstance(stop, KeyboardInterrupt):
            raise stop from None
        if stop:
            raise ConfigError(f"a part of the config ends the program ({stop!r}), and must not") from error
        raise


def _write_down(error: Exception) -> None:
    """Keep the traceback in the log of the work folder, for whoever doubts that the config is to blame."""
    logger = MMLogger.get_current_instance()
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, "refused", (), (type(error), error, error.__traceback__)
    )
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def explain(error: Exception, cfg: Config, runner: Any = None) -> str | None:
    """The message for a config's author; None where it is not the config that is to blame."""
    frames = frames_of(error)
    building = next((f for f in reversed(frames) if f.f_code.co_name.startswith("build_") and is_registry(f)), None)
    if thrown := THROWN_BY.search(str(error)):  # mmengine has thrown the traceback away
        if not is_of_stack(thrown[1]):
            return None
        return _of_hook(error, hook_of(error, cfg))
    path = path_of(frames, cfg)
    if of_construction(frames) and (wrong := _unexpected(error, frames, building, cfg, path)):
        return wrong
    if isinstance(error, ImportError):
        ours = (error.name or "").startswith(("lsu_seg", "lsu_onto"))
        place = f"`{path}`" if path else "a part of the config"
        help_ = "" if "pip install" in str(error) else "; `lsu-onto doctor` lists what is missing"
        return None if ours else f"{place} needs what cannot be imported: {error}{help_}"
    if (
        not any(map(starts_tracker, frames))
        and path not in SWITCHES.values()
        and not all(is_of_stack(f.f_globals.get("__name__", "")) or is_made(f) for f in inside(frames))
    ):
        return None  # of ours, or of the user's own class: they need the traceback
    if group := re.match(r"(\w+)_dataloader, \1_cfg,? and (\w+) should be either", str(error)):
        return _of_group(cfg, group[1], group[2])
    if unknown := _unknown_type(cfg, path):
        return unknown
    hook = hook_of(error, cfg) or loop_or_optimizer(frames, getattr(runner, "loop", ""))
    if building and frames[-1] is building and building.f_locals.get("obj_cls", building) is None:
        name, scope = building.f_locals.get("obj_type"), cfg.get("default_scope", "mmengine")
        if path is None:  # what a hook makes of its own keys
            names = {n for registry in registries() for n in registry.module_dict}
            return f"`{hook}` names `{name}`, and no class of that name is registered{did_you_mean(str(name), names)}"
        kind, known = _of_kind(building)
        if str(name).rpartition(".")[2] not in known:
            hint = did_you_mean(str(name), known) or (
                f"; there are {', '.join(sorted(known))}" if len(known) < 9 else ""
            )
            return f"`{path}.type` is `{name}`, and no {kind} of that name is registered{hint}"
        return f"`{path}.type` is `{name}`, which the scope `{scope}` does not have: write `default_scope = 'mmseg'`"
    said = said_by(error)
    if building and (missing := _no_type(error)):
        return f"`{path or 'a part of the config'}` has no `{missing}`: write which class it is"
    if path:
        return f"`{path}` cannot be used as it is: {said}"
    where = module_of(frames, getattr(runner, "model", None))
    if any(is_teacher(f) for f in frames):
        return f"the model fails{f' in its `{where}`' if where else ''}: {said}"
    what = "validation" if getattr(runner, "loop", "") == "val" else "step"
    return f"the first {what} fails{f' in `{where}` of the model' if where else ''}: {said}{hook and f' (in `{hook}`)'}"


def of_machine(error: Exception, runner: Any = None) -> str | None:
    """Of what is nobody's mistake, at any moment: memory that is not there, a process that is there no more."""
    trains = getattr(runner, "loop", "") == "train"
    if ran_out(error):
        said = _said_by_worker(error) if _WORKER.match(str(error)) else short(str(error))
        less = "a smaller `batch_size`, smaller images or fewer `num_workers` need less"
        more = ", and so do `--precision bf16` on a GPU and `activation_checkpointing = ['backbone']`" if trains else ""
        return f"there is too little memory ({said or type(error).__name__}): {less}{more}"
    fetches = any(f.f_globals.get("__name__", "").startswith("torch.multiprocessing") for f in frames_of(error))
    if any(said in str(error) for said in ("received 0 items of ancdata", "Too many open files")):
        return "there are too many open files; this shell allows no more: see `ulimit -n`, or write fewer `num_workers`"
    if fetches and isinstance(
        error, (ConnectionError, FileNotFoundError, EOFError)
    ):  # what a process that is no more was to hand over
        return f"a process that loads images has ended ({type(error).__name__}); `num_workers = 0` shows where"
    if died := _died(error):
        why = {
            "Killed": "the system does so where memory runs out: write fewer `num_workers` or a smaller `batch_size`",
            "Bus error": "/dev/shm is full: write fewer `num_workers`, or give a container more (`docker run --shm-size"
            " 8g`)",
        }.get(died[2] or "", "`num_workers = 0` shows where")
        return f"a process that loads images {died[1]}; {why}"
    if isinstance(error, RuntimeError) and (late := _LATE.search(str(error))):
        return f"{late[0]}, which is its `timeout`: write a longer one, or 0 for none; are the images on a slow disk?"
    if isinstance(error, RuntimeError) and _LOST.search(str(error)):
        said = short(str(error))
        return f"another process of this run has ended, or cannot be reached; its own message says why ({said})"
    return None


def _died(error: BaseException | None) -> re.Match[str] | None:
    """What torch says where a process that loads images has ended, whatever was made of it: it does so at any moment,
    and where a config is laid out, yapf takes it for a mistake in that."""
    while error is not None:
        if isinstance(error, RuntimeError) and (died := _DIED.search(str(error))):
            return died
        error = error.__cause__ or error.__context__
    return None


def explain_later(error: Exception, cfg: Config, runner: Any) -> str | None:
    """Of a loop on its way: what a part of the config does wrong that acts only now and then, or the machine does.

    Whatever else a model raises after its first step is no mistake of the config, and needs its traceback.
    """
    when = f"iteration {runner.iter + 1}" if runner.loop == "train" else runner.loop
    if part := hook_of(error, cfg) or loop_or_optimizer(frames_of(error), runner.loop):
        return f"`{part}` cannot be used as it is: in {when}, {THROWN_BY.sub('', said_by(error))}"
    if "Expected more than 1 value per channel" in str(error):
        return (
            f"in {when}, a batch norm has one value of each channel, as where the last batch of an epoch has one image:"
            " write `train_dataloader.drop_last = True`, or another `batch_size`"
        )
    if _UNEQUAL.search(str(error)):
        return (
            f"in {when}, the images of a batch have several sizes ({short(str(error))}): write a transform that makes"
            " them equal, or `batch_size = 1`"
        )
    return None


# --- what ------------------------------------------------------------------------------------------------------------


def _unexpected(
    error: Exception, frames: list[FrameType], building: FrameType | None, cfg: Config, path: str | None
) -> str | None:
    """Of a call that does not take the keys that the config has, or does without one that it must have."""
    if not isinstance(error, TypeError):
        return None
    last = frames[-1]
    given: Mapping[str, Any] = building.f_locals.get("args", {}) if building else {}
    if match := re.search(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'", str(error)):
        qualname, key = match.groups()
        if path is None:
            return None
        places = [f"{path}.{key}"] if key in given else paths_of(dict(cfg.items()), key)
        place = next((p for p in places if p.startswith(f"{path}.")), None)
        if place is None:
            return None
        called = building.f_locals.get("obj_cls") if building and key in given else _called(qualname, last)
        name = getattr(called, "__name__", qualname.removesuffix(".__init__"))
        hint = did_you_mean(key, parameters_of(called)) or _other_class(given, called)
        return f"nothing reads `{place}`: `{name}` does not take `{key}`{hint}"
    direct = last is building or is_runner(last)
    if last is building and "missing" in str(error) and (unread := _unread(building, path)):
        return unread
    if direct and (match := re.search(r"([\w.]+)\(\) missing \d+ required [\w-]+ arguments?: (.+)$", str(error))):
        name = match[1].removesuffix(".__init__")
        keys = re.sub(r"'(\w+)'", r"`\1`", match[2])
        return f"`{path or name}` lacks {keys}, which `{name}` needs"
    if last is building and "takes no arguments" in str(error):
        name = getattr(building.f_locals.get("obj_cls"), "__name__", "")
        return f"`{path or name}` has keys, and `{name}` takes none: {', '.join(f'`{key}`' for key in given)}"
    return None


def _other_class(given: Mapping[str, Any], called: Any) -> str:
    """The end of a sentence that names the class of ours that takes all of a part's keys, if there is one."""
    classes = {c for registry in registries() for c in registry.module_dict.values() if isinstance(c, type)}
    ours = [c for c in classes if c.__module__.startswith("lsu_seg.") and c is not called]
    fitting = sorted(c.__name__ for c in ours if given and set(given) <= parameters_of(c))
    return f"; `{fitting[0]}` does" if len(fitting) == 1 else ""


def _unread(building: FrameType, path: str | None) -> str | None:
    """Of keys that a class does not take, in a config that lacks one that it needs: the one may be a misspelt other."""
    called, given = building.f_locals.get("obj_cls"), building.f_locals.get("args", {})
    name, known = getattr(called, "__name__", ""), parameters_of(called)
    for key in given:
        if key not in known and (hint := did_you_mean(key, known - set(given))):
            return f"nothing reads `{path or name}.{key}`: `{name}` does not take `{key}`{hint}"
    return None


def _called(qualname: str, frame: FrameType) -> Any:
    """What a frame called, by the name in the error's message."""
    first, *rest = qualname.split(".")
    value = {**vars(builtins), **frame.f_globals, **frame.f_locals}.get(first)
    for name in rest:
        value = getattr(value, name, None) if name != "__init__" else value
    return value


def parameters_of(called: Any) -> set[str]:
    """What can be given to a class or function, through `**kwargs` also to those that it inherits from."""
    return set(signature_of(called))


def _of_kind(building: FrameType) -> tuple[str, set[str]]:
    """What a registry has, in words, and the names of all that it and its relatives have."""
    tables = [building.f_locals["registry"]]
    while tables[0].parent is not None:
        tables = [tables[0].parent]
    for table in tables:
        tables += table.children.values()
    return tables[0].name, {name for table in tables for name in table.module_dict}


def _unknown_type(cfg: Config, path: str | None) -> str | None:
    """A `type` in the part that failed, or in one that it holds, that no registry has."""
    part: Any = cfg
    for key in path.split(".") if path else ():
        if isinstance(part, (list, tuple)):
            part = part[int(key)]
        elif key in part:
            part = part[key]
        else:
            return None  # a part that mmengine has added
    tables = registries()
    names = {n for registry in tables for n in registry.module_dict}
    for place, name in types_in(part, path or ""):
        if name not in names and not any(_is_built_by(registry, name) for registry in tables):
            names = {n for registry in tables for n in registry.module_dict}  # the search has imported some
            return f"`{place}` is `{name}`, and no class of that name is registered{did_you_mean(name, names)}"
    return None


def check_types(cfg: Config) -> None:
    """Refuse a class that no registry has, before anything is built."""
    for key in read_keys() & set(cfg):
        for path, name in stated_in(cfg[key], key):
            if not isinstance(name, str) and not callable(name):
                raise ConfigError(f"`{path}` is {name!r}; expected the name of a class")
        if unknown := _unknown_type(cfg, key):
            raise ConfigError(unknown)


def _is_built_by(registry: Registry, name: str) -> bool:
    """Whether a registry builds a name: also one that it would have to import, of which a module is not a class."""
    try:
        return callable(registry.get(name))
    except Exception:  # whatever the import of such a name raises; an empty one is a RuntimeError
        return False


def _no_type(error: Exception) -> str | None:
    match = re.search(r"must contain the key \"(\w+)\"|should contain the key (\w+)", str(error))
    return match and (match[1] or match[2])


def _of_hook(error: Exception, path: str) -> str:
    said = short(THROWN_BY.sub("", str(error)))
    if match := re.search(r"unexpected keyword argument '(\w+)'", said):
        return f"nothing reads `{path}.{match[1]}`: {said}"
    return f"`{path}` cannot be used as it is: {type(error).__name__}: {said}"


def _of_group(cfg: Config, kind: str, last: str) -> str:
    keys = (f"{kind}_dataloader", f"{kind}_cfg", last)
    there = [f"`{k}`" for k in keys if cfg.get(k) is not None]
    missing = [f"`{k}`" for k in keys if cfg.get(k) is None]
    return f"the config has {' and '.join(there)} and no {' and no '.join(missing)}: write all three of them, or none"


def said_by(error: Exception) -> str:
    """What an error says; of one that says nothing, as a bare `assert` does, the line of code that raised it."""
    line = traceback.extract_tb(error.__traceback__)[-1].line if error.__traceback__ else ""
    name = f"{type(error).__name__}: "
    return f"{name}{short(str(error)).removeprefix(name) or f'in `{line}`'}"


def short(text: str) -> str:
    text = re.sub(r" object at 0x[0-9a-f]+>", ">", " ".join(without_traceback(text).split()))
    return text if len(text) <= 400 else f"{text[:400]} …"


def _said_by_worker(error: Exception) -> str:
    """The message itself, of what torch has made of an error in a worker: its name, and a traceback as text."""
    name = f"{type(error).__module__}.{type(error).__qualname__}: ".removeprefix("builtins.")
    return str(error).rpartition(name)[2].strip()
