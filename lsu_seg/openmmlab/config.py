"""Configs of MMSegmentation: read, moved to another data root, changed by options."""

from __future__ import annotations

import copy
import errno
import re
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lsu_onto import interruption
from lsu_seg.errors import ConfigError, no_file
from lsu_seg.openmmlab.bases import check_bases, check_put_in, place_of
from lsu_seg.openmmlab.keys import check_keys, check_option
from lsu_seg.openmmlab.text_configs import check_text_config
from lsu_seg.runtime.streams import complete_streams

LOAD = ("LoadTaxImage", "LoadTaxAnnotations", "PackTaxInputs")
"""The pipeline of datasets for which a config has none: images and labels as they are stored."""


def _line(error: BaseException, path: str | Path) -> str:
    """The line of a config that raised an error without words, as a bare `assert` is; or what such a file may be."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((f for f in reversed(frames) if f.line and Path(f.filename).name == Path(path).name), None)
    return f"in line {line.lineno}, `{line.line}`" if line else "it is no config, or too deep for Python"


def load_config(
    path: str | Path,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
    paths: Sequence[str] = (),
) -> Config:
    """An MMSeg config, with `data_root` moved and options merged.

    Args:
        data_root: put in place of the config's own top-level `data_root`, wherever that is the beginning of a
            string.
        options: dotted keys, as `--set` takes them.
        paths: folders to search for taxonomies before those that the config names, and the shipped ones.
    """
    if not Path(path).is_file():
        raise ConfigError(no_file("config", path))
    check_text_config(Path(path))
    check_bases(Path(path))
    streams = sys.stdout, sys.stderr
    try:
        cfg = Config.fromfile(path)
    except (Exception, SystemExit) as e:  # a config is a program, and fails like one
        traceback.clear_frames(e.__traceback__)  # mmengine leaves a temporary file open in them
        stop = interruption(e)
        if isinstance(stop, KeyboardInterrupt):
            raise stop from None
        if stop:
            raise ConfigError(f"{path} cannot be read: it ends the program ({stop!r}), and a config must not") from e
        if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            small = e.errno == errno.EFBIG
            why = "this shell allows no file of that size" if small else "there is no space left"
            mend = "see `ulimit -f`" if small else "make room, or set TMPDIR to a folder on another disk"
            raise ConfigError(
                f"{path} cannot be read: mmengine copies configs to {tempfile.gettempdir()} first, and {why}; {mend}"
            ) from e
        if isinstance(e, FileNotFoundError) and (shipped := _shipped(str(e.filename))):
            raise ConfigError(
                f"{path} cannot be read: there is no `{e.filename}`, because a `_base_` is relative to the folder of"
                f" the config; write `{shipped}`"
            ) from e
        if isinstance(e, RecursionError):
            what = "a `_base_` leads back to its own file, or a part" if Path(path).suffix == ".py" else "a part of it"
            raise ConfigError(
                f"{path} cannot be read: {what} has itself as a part, or parts in parts without end"
            ) from e
        without_keys = isinstance(e, AttributeError) and str(e).endswith("object has no attribute 'get'")
        if without_keys and Path(path).suffix != ".py":
            raise ConfigError(f"{path} cannot be read: it has no keys; expected lines of `KEY: VALUE`") from e
        said = str(e).partition(", the current sys.path is")[0]  # of `custom_imports`, mmengine prints all of it
        where = "" if isinstance(e, FileNotFoundError) else place_of(Path(path), e)
        said = re.sub(rf"{re.escape(tempfile.gettempdir())}/tmp\w+/tmp\w+\.(py|json|ya?ml)", "mmengine's copy", said)
        said = said.replace("(<unknown>, line", "(line") or ("without a word" if where else _line(e, path))
        raise ConfigError(f"{path} cannot be read: {type(e).__name__}: {said}{where}") from e
    finally:
        complete_streams(streams)
    if data_root is not None:
        old = cfg.get("data_root")
        if not old:
            raise ConfigError(f"{path} has no top-level `data_root`, so `--data-root` has nothing to replace")
        rebased = _rebase(cfg.to_dict(), old.rstrip("/"), str(data_root).rstrip("/"))
        cfg = Config(rebased, cfg_text=cfg.text, filename=cfg.filename)  # the text of its bases, too
    merge(cfg, options or {})
    if cfg.get("unify", {}) is None:  # so a config removes the section that it inherits
        cfg.pop("unify")
    try:  # mmengine imports what a config imports only when the value is looked at
        check_keys(cfg)
        for key, part in cfg.items():
            check_put_in(Path(path), part, key)
            search_in(part, paths)
    except ImportError as e:
        raise ConfigError(f"{path} cannot be read: {type(e).__name__}: {e}") from e
    return cfg


def _shipped(path: str) -> str:
    """The file of the package that a path elsewhere is meant to be, or ""."""
    _, found, name = path.rpartition("lsu_seg/configs/")
    file = Path(__file__).parents[1] / "configs" / name
    return str(file) if found and file.is_file() else ""


def merge(cfg: Config, options: Mapping[str, Any]) -> None:
    """Change keys of a config; `options` has dotted keys.

    Raises:
        ConfigError: nothing reads the key, or it does not fit what the config has there.
    """
    for key, value in options.items():
        check_option(cfg, key)
        whole, new = _in_list(cfg, key, value)
        try:
            cfg.merge_from_dict({whole: new})
        except (KeyError, TypeError, IndexError, AssertionError, AttributeError, ValueError) as e:
            raise ConfigError(f"`--set {key}=…` does not fit {cfg.filename}: {e}") from e


def _in_list(cfg: Config, key: str, value: Any) -> tuple[str, Any]:
    """The key and the value to merge: where the last name is a number in a list, the whole list, changed there.

    mmengine merges dicts into a list of dicts, and nothing into a tuple or a list of anything else.
    """
    part: Any = cfg
    path = ""
    for name in key.split("."):
        if isinstance(part, (list, tuple)):
            if not (name.isdecimal() and int(name) < len(part)):
                raise ConfigError(
                    f"`--set {key}=…` does not fit {cfg.filename}: `{path}` has {len(part)} entries, and none is"
                    f" `{name}`; they are counted from 0"
                )
            if f"{path}.{name}" == key and not isinstance(value, Mapping):
                changed = [*part[: int(name)], value, *part[int(name) + 1 :]]
                return _in_list(cfg, path, type(part)(changed))
            part = part[int(name)]
        elif isinstance(part, Mapping) or part is cfg:
            part = part.get(name)
        elif part is None:
            break
        else:
            raise ConfigError(f"`--set {key}=…` does not fit {cfg.filename}: `{path}` is {part!r}, which has no keys")
        path = f"{path}.{name}" if path else name
    return key, value


def search_in(value: Any, paths: Sequence[str]) -> None:
    """Have every part of a config that names a taxonomy search these folders first.

    >>> cfg = {"datasets": [{"taxonomy": "farm"}, {"taxonomy": "idd", "paths": ["b"]}]}
    >>> search_in(cfg, ["a"])
    >>> cfg["datasets"]
    [{'taxonomy': 'farm', 'paths': ['a']}, {'taxonomy': 'idd', 'paths': ['a', 'b']}]
    """
    if isinstance(value, dict):
        if paths and isinstance(value.get("taxonomy"), str):
            value["paths"] = list(dict.fromkeys([*paths, *value.get("paths", ())]))
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            search_in(part, paths)


def _rebase(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {k: _rebase(v, old, new) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_rebase(v, old, new) for v in value)
    if isinstance(value, str) and (value == old or value.startswith(old + "/")):
        return new + value[len(old) :]
    return value


def is_type(config: Any, *names: str) -> bool:
    """Whether a part of a config is of one of these classes, which may be written with the scope that has them.

    >>> is_type({"type": "lsu_seg.TaxDataset"}, "TaxDataset"), is_type({"type": "mmdet.TaxDataset"}, "TaxDataset")
    (True, False)
    """
    if not isinstance(config, Mapping):
        return False
    kind = config.get("type")
    scope, _, name = (kind.__name__ if isinstance(kind, type) else str(kind)).rpartition(".")
    return scope in _SCOPES and name in names


def hooks_of(cfg: Config) -> list[Any]:
    """The hooks of a config, wherever it has them: mmengine takes any under `default_hooks`, too.

    >>> hooks_of(Config(dict(default_hooks=dict(ema=dict(type="EMAHook")), custom_hooks=[dict(type="PanelHook")])))
    [{'type': 'EMAHook'}, {'type': 'PanelHook'}]
    """
    named, listed = cfg.get("default_hooks"), cfg.get("custom_hooks")
    return [*(named.values() if isinstance(named, Mapping) else ()), *(listed or ())]


_SCOPES = ("", "mmengine", "mmseg", "lsu_seg")
"""In which a class of ours, or of theirs, is registered."""


def renamed(cfg: Config, name: str) -> Config:
    """A copy named `<name>.py`: under its name mmengine writes a config into the work folder, over one of that name.

    It is written as mmengine lays it out, without yapf: a run writes its config five times, which takes yapf longer
    than to load a small model.
    """
    return Config(copy.deepcopy(cfg.to_dict()), cfg_text="#", filename=f"{name}.py", format_python_code=False)
