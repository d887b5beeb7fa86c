"""Where an error comes from: which part of a config was being built, which hook acted, which part of a model ran."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.visualization import BaseVisBackend

from lsu_seg.openmmlab.keys import find, read_keys

PARTS = {
    "setup_env": "env_cfg",
    "set_randomness": "randomness",
    "build_logger": "log_level",
    "build_log_processor": "log_processor",
    "build_visualizer": "visualizer",
    "build_model": "model",
    "register_default_hooks": "default_hooks",
    "register_custom_hooks": "custom_hooks",
    "build_optim_wrapper": "optim_wrapper",
    "build_param_scheduler": "param_scheduler",
    "scale_lr": "auto_scale_lr",
    "build_train_loop": "train_cfg",
    "build_val_loop": "val_cfg",
    "build_test_loop": "test_cfg",
    "load_or_resume": "load_from",
    "_maybe_compile": "compile",
    "_check_scheduler_cfg": "param_scheduler",
}
"""Method of mmengine's Runner → the key of what it builds."""

SWITCHES = {"turn_on_efficient_conv_bn_eval": "efficient_conv_bn_eval", "convert_sync_batchnorm": "sync_bn"}
"""Function of mmengine's that changes a model which is built → the key that asks for it."""

_ACT_FOR = {"ParamSchedulerHook": "param_scheduler", "LoggerHook": "log_processor"}
"""Hook → the key of what it acts for, and has no mistake of its own in."""

_NO_CLASS = "optim_wrapper.clip_grad.type"
"""Says of two functions of torch which one is meant."""
_STACK = {"mmengine", "mmcv", "mmseg", "mmdet", "mmpretrain", "torch", "numpy", "PIL", "cv2", *sys.stdlib_module_names}
_OPTIMIZERS = ("transformers.optimization", "bitsandbytes", "dadaptation", "lion_pytorch", "Sophia")
"""Modules and packages of which mmengine registers the optimizers, where they are installed."""
THROWN_BY = re.compile(r" in <([\w.]+) object at 0x\w+>$")


def frames_of(error: BaseException) -> list[FrameType]:
    out, trace = [], error.__traceback__
    while trace:
        out.append(trace.tb_frame)
        trace = trace.tb_next
    return out


def is_registry(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("mmengine.registry.")


def is_teacher(frame: FrameType) -> bool:
    """Whether it is where `lsu_seg.teachers.forward` calls a model."""
    return frame.f_globals.get("__name__") == "lsu_seg.teachers.forward" and frame.f_code.co_name == "views_of"


def starts_tracker(frame: FrameType) -> bool:
    """Whether a backend of the visualizer starts another program's client: its own mistakes are the config's."""
    return frame.f_code.co_name == "_init_env" and isinstance(frame.f_locals.get("self"), BaseVisBackend)


def is_of_stack(module: str) -> bool:
    """Whether a module is mmengine's, or below it; also that of our Runner, which goes on to mmengine's."""
    own = module.partition(".")[0] in _STACK or module == "lsu_seg.openmmlab.runner"
    return own or module.startswith(_OPTIMIZERS)


def inside(frames: list[FrameType]) -> list[FrameType]:
    """The frames behind the last one that builds a part, runs a step, or asks a teacher."""
    last = max(
        (i + is_teacher(f) for i, f in enumerate(frames) if is_registry(f) or is_runner(f) or is_teacher(f)),
        default=0,
    )
    return frames[last:]


def is_runner(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__name__", "") == "mmengine.runner.runner")


def is_made(frame: FrameType) -> bool:
    """Whether a frame is a constructor of ours that a registry calls with what the config says."""
    return str(frame.f_globals.get("__name__", "")).startswith("lsu_seg.") and is_constructor(frame)


def is_constructor(frame: FrameType) -> bool:
    """Whether a frame is a constructor that a registry calls, or one that such a constructor inherits and calls."""
    caller = frame.f_back
    if frame.f_code.co_name != "__init__" or caller is None:
        return False
    inherits = "self" in frame.f_locals and caller.f_locals.get("self") is frame.f_locals["self"]
    return is_registry(caller) or (inherits and is_constructor(caller))


def of_construction(frames: list[FrameType]) -> bool:
    """Whether all that was called since a part was built, or a step was run, is the stack's, or makes that part.

    A call that another function makes has a keyword too many through a mistake of that function, not of the config.
    """
    return all(is_of_stack(f.f_globals.get("__name__", "")) or is_constructor(f) for f in inside(frames))


def path_of(frames: list[FrameType], cfg: Config) -> str | None:
    """Which part of the config was being built."""
    known = {key: value for key, value in cfg.items() if key in read_keys()}
    for frame in reversed(frames):
        method = frame.f_code.co_name
        if is_registry(frame) and isinstance(part := frame.f_locals.get("cfg"), Mapping) and part:
            if path := find(known, part):
                return path
        elif is_runner(frame):
            if method == "build_dataloader" and (path := find(known, frame.f_locals.get("dataloader"))):
                return path
            if method in PARTS:
                return PARTS[method]
        elif starts_tracker(frame):
            return PARTS["build_visualizer"]
        elif method in SWITCHES and is_of_stack(frame.f_globals.get("__name__", "")):
            return SWITCHES[method]
        elif (
            frame.f_globals.get("__name__", "") == "mmengine.model.base_module"
            and method == "init_weights"
            and "self" in frame.f_locals
        ):
            module = frame.f_locals["self"]
            if path := find(known, getattr(module, "init_cfg", None)):
                return path
    return None


def hook_of(error: Exception, cfg: Config) -> str:
    """The key of the hook of mmengine's that an error comes out of, and not out of what others wrote; or ""."""
    if match := THROWN_BY.search(str(error)):  # mmengine has thrown the traceback away
        name = match[1].rpartition(".")[2] if is_of_stack(match[1]) else ""
    else:
        frames = frames_of(error)
        last = max((i for i, frame in enumerate(frames) if _is_hook(frame)), default=len(frames))
        stack = all(is_of_stack(f.f_globals.get("__name__", "")) or is_made(f) for f in frames[last:])
        name = type(frames[last].f_locals["self"]).__name__ if stack and last < len(frames) else ""
    if name in _ACT_FOR:
        return _ACT_FOR[name]
    return name and place_of_hook(cfg, name)


def _is_hook(frame: FrameType) -> bool:
    return isinstance(frame.f_locals.get("self"), Hook) and frame.f_code.co_name.startswith(("before_", "after_"))


def place_of_hook(cfg: Config, name: str) -> str:
    places = {k: v for k, v in cfg.items() if k in ("custom_hooks", "default_hooks")}
    return next((p.removesuffix(".type") for p, n in types_in(places, "") if n.rpartition(".")[2] == name), name)


def loop_or_optimizer(frames: list[FrameType], loop: str) -> str:
    """The key of mmengine's loop, or of its optimizer, if that is what fails, and not what it calls; or ""."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame in frames]
    if modules and modules[-1] in ("mmengine.runner.loops", "mmengine.runner.base_loop", "mmengine.runner.utils"):
        return f"{loop}_cfg"
    last = max((i for i, module in enumerate(modules) if module.startswith("mmengine.optim.")), default=len(frames))
    if last == len(frames) or frames[last].f_code.co_name == "backward" or not all(map(is_of_stack, modules[last:])):
        return ""  # a backward pass is the model's
    if modules[last].startswith("mmengine.optim.scheduler."):
        return "param_scheduler"
    if frames[last].f_code.co_name == "_clip_grad":
        return "optim_wrapper.clip_grad"
    steps = any(module.startswith(("torch.optim.", *_OPTIMIZERS)) for module in modules[last:])
    return "optim_wrapper.optimizer" if steps else "optim_wrapper"


def module_of(frames: list[FrameType], model: Any) -> str:
    """The part of the model that the innermost frames are in."""
    if model is None:
        return ""
    names = {id(module): name for name, module in model.named_modules()}
    return next((n for f in reversed(frames) if (n := names.get(id(f.f_locals.get("self")), ""))), "")


def types_in(part: Any, path: str) -> Iterator[tuple[str, str]]:
    """The names of classes in a part of a config, with their paths."""
    return ((place, name) for place, name in stated_in(part, path) if isinstance(name, str) and place != _NO_CLASS)


def stated_in(part: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Whatever stands where a class is named."""
    if isinstance(part, Mapping):
        if part.get("type") is not None:
            yield f"{path}.type", part["type"]
        for key, value in part.items():
            yield from stated_in(value, f"{path}.{key}" if path else str(key))
    elif isinstance(part, (list, tuple)):
        for number, value in enumerate(part):
            yield from stated_in(value, f"{path}.{number}")
