"""The parts that every config must have, and their shapes, checked before anything is built."""

from __future__ import annotations

from mmengine.config import Config

from lsu_seg.errors import ConfigError

_COUNTS = ("max_iters", "max_epochs", "val_interval")
"""Of a training's loop. Schedules of the learning rate follow from them, and would be blamed."""


def check_parts(cfg: Config) -> None:
    """Refuse a config without what every run needs, or with parts of another shape."""
    if not isinstance(cfg.get("model"), dict):
        raise ConfigError(f"{cfg.filename} has no `model = dict(type=…, …)`: nothing to run")
    scope = cfg.get("default_scope", "mmseg")
    if scope is not None and not (isinstance(scope, str) and scope):
        raise ConfigError(f"`default_scope` is {scope!r}; expected a package's name: write `default_scope = 'mmseg'`")
    if not isinstance(cfg.model.get("hf") or {}, dict):
        raise ConfigError(
            f"`model.hf` is {cfg.model.hf!r}; expected `dict(pretrained='FOLDER')`, or `dict(model=…, …)`"
        )
    for key in ("train_dataloader", "val_dataloader", "test_dataloader"):
        loader = cfg.get(key)
        if loader is not None and not (isinstance(loader, dict) and isinstance(loader.get("dataset"), dict)):
            raise ConfigError(f"`{key}` has no `dataset`: write `{key} = dict(dataset=dict(type=…), batch_size=…, …)`")
    loop = cfg.get("train_cfg")
    for key in _COUNTS if isinstance(loop, dict) else ():
        value = loop.get(key, 1)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 1 or value % 1:
            raise ConfigError(f"`train_cfg.{key}` is {value!r}; expected a whole number, 1 or more")
    hooks = cfg.get("custom_hooks") or []
    if not isinstance(hooks, (list, tuple)) or not all(isinstance(hook, dict) for hook in hooks):
        raise ConfigError(f"`custom_hooks` is {hooks}; expected a list: `custom_hooks = [dict(type=…, …)]`")
