"""The files and folders that a config has mmengine write to: what is none, or is another file, is said before a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from mmengine.config import Config

from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.bases import inherited
from lsu_seg.openmmlab.config import is_type
from lsu_seg.runtime.lock import LOCK

LAST = "last_checkpoint"
"""In the work folder, names the checkpoint to go on from."""
RECORD = "precision.json"
"""In the work folder, keeps the precision of a training."""
_LONGEST = 200
"""Bytes of a name, of which file systems take 255: that of the best checkpoint has its figure before it."""
_TEXTS = ("scalars.json", "config.py")
"""What `LocalVisBackend` calls its files."""


def check_written(cfg: Config, hooks: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse names with which checkpoints, logs and figures cannot be written, or replace another file of the run.

    Args:
        hooks: path → hook.

    Raises:
        ConfigError: as said; mmengine uses most of these names for the first time after hours.
    """
    work = _absolute(cfg.get("work_dir") or "work_dirs")
    for path, hook in hooks.items():
        if is_type(hook, "CheckpointHook", "LoggerHook") and hook.get("out_dir"):
            _check_folder(f"{path}.out_dir", hook["out_dir"])
        if is_type(hook, "CheckpointHook") and isinstance(name := hook.get("filename_tmpl"), str):
            _check_template(f"{path}.filename_tmpl", name)
            folder = hook.get("out_dir")
            into = _absolute(folder) / work.name if isinstance(folder, (str, Path)) and folder else work
            _check_target(f"{path}.filename_tmpl", name, into, work, cfg)
        if is_type(hook, "LoggerHook") and hook.get("out_dir"):
            _check_suffixes(f"{path}.out_suffix", hook.get("out_suffix"))
    for path, part in _backends(cfg.get("visualizer")):
        if is_type(part, "LocalVisBackend"):
            _check_backend(path, part, cfg)


def _check_template(path: str, name: str) -> None:
    """mmengine fills in the number of the step when it saves, and then only."""
    try:
        fields = [(field, spec or "") for _, field, spec, _ in Formatter().parse(name) if field is not None]
        wide = any("{" in spec or any(len(run) > 2 for run in _digits(spec)) for _, spec in fields)
        filled = "" if wide else name.format(1)
    except (ValueError, LookupError, AttributeError):
        wide = True
    if wide:  # of 9999999999 places, a name would take all memory
        raise ConfigError(
            f"`{path}` is {name!r}; expected a name with one `{{}}` for the step, such as 'iter_{{}}.pth'"
        )
    if not filled.isprintable() or len(os.fsencode(Path(filled).name)) > _LONGEST or Path(filled).name in ("", ".."):
        raise ConfigError(
            f"`{path}` is {name!r}, which is no name of a file, or too long for one; write one such as 'iter_{{}}.pth'"
        )


def _digits(spec: str) -> list[str]:
    return "".join(c if c.isdigit() else " " for c in spec).split()


def _check_target(path: str, name: str, folder: Path, work: Path, cfg: Config) -> None:
    """Refuse a name that is another file's: a checkpoint replaces what is there."""
    target = _absolute(folder / name.format(1))
    own = (LAST, RECORD, LOCK, "stage.json", Path(cfg.filename or "config.py").name)
    if target in [work / file for file in own] or target.is_dir() or is_read(cfg, target):
        raise ConfigError(
            f"`{path}` is {name!r}, and {target} is another file or a folder of this run, which a checkpoint would"
            " replace: write a name such as 'iter_{}.pth'"
        )


def is_read(cfg: Config, path: Path) -> bool:
    """Whether a file is the config's own, or one that it inherits from."""
    own = Path(cfg.filename or "")
    return path.is_file() and own.is_file() and any(path.samefile(file) for file in inherited(own) if file.is_file())


def _check_folder(path: str, folder: Any) -> None:
    if not isinstance(folder, (str, Path)):
        raise ConfigError(f"`{path}` is {folder!r}; expected a folder")
    if "://" in str(folder) or "\0" in str(folder):
        return  # of another service; or refused by the system, with the key
    own = _absolute(folder)
    there = next(part for part in (own, *own.parents) if os.path.lexists(part))
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "cannot be written to" if there.is_dir() else "is no folder"
        raise ConfigError(f"`{path}` is {str(folder)!r}, and {there} {why}: choose another one")


def _check_suffixes(path: str, suffixes: Any) -> None:
    """mmengine copies what has one of these as a text, when the training is over."""
    for suffix in [suffixes] if isinstance(suffixes, str) else suffixes if isinstance(suffixes, (list, tuple)) else ():
        if isinstance(suffix, str) and any(f"x{kind}".endswith(suffix) for kind in (".png", ".jpg", ".pth", ".db")):
            raise ConfigError(
                f"`{path}` has {suffix!r}, with which files end that are no texts, and only texts are copied: write"
                " endings such as '.json', '.log', '.py'"
            )


def _backends(visualizer: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    backends = visualizer.get("vis_backends") if isinstance(visualizer, Mapping) else None
    for number, part in enumerate(backends if isinstance(backends, (list, tuple)) else ()):
        if isinstance(part, Mapping):
            yield f"visualizer.vis_backends.{number}", {"save_dir": visualizer.get("save_dir"), **part}


def _check_backend(path: str, part: Mapping[str, Any], cfg: Config) -> None:
    for key, default in zip(("scalar_save_file", "config_save_file"), _TEXTS, strict=True):
        name = part.get(key, default)
        if isinstance(name, str) and Path(name).name != name:  # from there, `..` leads to the user's own files
            raise ConfigError(f"`{path}.{key}` is {name!r}; expected the name of a file, such as {default!r}")
        folder = part.get("save_dir")
        if isinstance(folder, (str, Path)) and isinstance(name, str) and is_read(cfg, _absolute(folder) / name):
            raise ConfigError(
                f"`{path}` would write over {_absolute(folder) / name}, which this config is read from: choose another"
                f" `save_dir`, or another `{key}`"
            )


def _absolute(path: Any) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - of links, mmengine follows none
