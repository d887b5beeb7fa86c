"""What stands between us and two generations of the OpenMMLab stack.

`lsu_seg` runs on the maintained forks (`onedl-*`, the extra `[seg]`) and on the originals (the extra
`[seg-openmmlab]`). Both have the same import names and the same four rough edges:

- `import mmseg.models` needs compiled `mmcv` operators that neither stack brings along;
- a checkpoint written by mmengine is more than weights, so `torch.load(weights_only=True)` refuses it, and
  the forks then load it with unrestricted pickle, which runs whatever code the file holds;
- a config that inherits from `mmseg::…` is looked up in a distribution whose name differs;
- yapf, which mmengine lays configs out with, cannot stand another process that writes its cache.

`install()` takes care of all four, and adds our registries to mmseg's. It runs on `import lsu_seg`, so it has to be
cheap, and must not fail where OpenMMLab is broken: nothing of it is imported here, nor is torch. What can only be done
after one of its modules is imported waits for that import (`_after_import`), whoever does it and however late.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

from lsu_seg.errors import TeacherError, UserError, no_file
from lsu_seg.runtime.home import at_home
from lsu_seg.runtime.libraries import Finder

TRUST_VARIABLE = "LSU_SEG_TRUST_CHECKPOINT"
"""Set to 1 to let a checkpoint be unpickled without restriction. It can then run any code."""


class UntrustedCheckpointError(UserError):
    """A checkpoint holds something other than tensors, numbers and mmengine's own records."""


def install() -> None:
    """Apply everything in this module. Calling it again changes nothing."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
    if install_ops_stub():
        # On a GPU this module would call the missing kernel instead of its plain-torch path.
        _after_import("mmcv.ops.multi_scale_deform_attn", _use_torch_attention)
    _after_import("mmengine.runner.checkpoint", guard_checkpoints)
    _after_import("mmseg.datasets", lambda _: None)  # for its silence
    _after_import("mmengine.config.utils", _find_mmseg_configs)
    _after_import("yapf_third_party._ylib2to3.pgen2.driver", _pass_over_damaged_grammars)
    _after_import("mmseg.registry", lambda _: importlib.import_module("lsu_seg.openmmlab.registry"))


# --- compiled operators ------------------------------------------------------------------------------------


class _MissingOp:
    """Stands for one compiled operator: importing it is fine, calling it is not."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError(
            f"`{self.__name__}` needs mmcv with compiled operators, and this mmcv has none; "
            "install one that has, or choose a model that does without"
        )


class _OpsStub(ModuleType):
    def __getattr__(self, name: str) -> _MissingOp:
        if name.startswith("__"):  # never pretend to be a package, a proxy or the like
            raise AttributeError(name)
        return _MissingOp(name)


def install_ops_stub() -> bool:
    """Put a stub in the place of `mmcv._ext` where there is no compiled one; says whether the stub is there.

    Most of `mmcv.ops` is plain torch, yet importing any of it imports `mmcv._ext`. With the stub the plain
    parts work, and a compiled operator fails when it is called, naming itself.
    """
    name = "mmcv._ext"
    if name not in sys.modules:
        mmcv = importlib.util.find_spec("mmcv")
        # Not `find_spec(name)`: that would import mmcv, and with it OpenCV.
        if mmcv is None or PathFinder.find_spec(name, mmcv.submodule_search_locations):
            return False
        stub = _OpsStub(name)
        stub.__spec__ = ModuleSpec(name, loader=None)  # `find_spec` raises on a module without one
        sys.modules[name] = stub
    return isinstance(sys.modules[name], _OpsStub)


def _use_torch_attention(module: ModuleType) -> None:
    module.IS_CUDA_AVAILABLE = False  # type: ignore[attr-defined]


# --- checkpoints -------------------------------------------------------------------------------------------


def load_checkpoint(filename: str | os.PathLike[str], map_location: Any = None) -> Any:
    """Load a local checkpoint file without running code from it.

    Args:
        filename: the file.
        map_location: as in `torch.load`.

    Returns:
        What was saved, usually a dict with the key `state_dict`.

    Raises:
        UntrustedCheckpointError: the file holds something that is neither tensors nor what mmengine writes.
        TeacherError: it is damaged, or something else.
    """
    path = at_home(filename)
    if not path.is_file():
        raise FileNotFoundError(no_file("checkpoint", path))
    from lsu_seg.openmmlab.weights import AGAIN, check_file, is_safetensors, load_safetensors  # imports torch

    if is_safetensors(check_file(path)):
        return load_safetensors(path)
    with _restricted(str(path)):
        try:
            return _torch_load(path, map_location)
        except (UnpicklingError, OSError, MemoryError):
            raise
        except Exception as error:  # whatever follows from a byte that is another
            if _trusted() and isinstance(error, (AttributeError, ImportError)):
                raise TeacherError(
                    f"`{path}` holds an object of a class that is not found here ({error}): save the `state_dict`"
                    " alone, or put the module of the class on PYTHONPATH"
                ) from error
            if _trusted() or "device" in str(error):
                raise
            if "legacy .tar format" in str(error):
                raise TeacherError(
                    f"`{path}` is in the format of torch before 0.1.10, which can run code; if you trust the file's"
                    f" author, set {TRUST_VARIABLE}=1"
                ) from error
            raise TeacherError(f"`{path}` is not a checkpoint, or is cut off; {AGAIN}") from error


def guard_checkpoints(module: ModuleType) -> None:
    """Let no loader of `mmengine.runner.checkpoint` unpickle anything that is not on our list.

    Args:
        module: `mmengine.runner.checkpoint`.
    """
    if hasattr(module, "_lsu_seg_guarded"):
        return
    module._lsu_seg_guarded = True  # type: ignore[attr-defined]
    loaders = module.CheckpointLoader

    def load_from_local(filename: str, map_location: Any = None) -> Any:
        return load_checkpoint(filename, map_location)

    for prefix, loader in list(loaders._schemes.items()):
        guarded = load_from_local if prefix == "" else _guarded(loader)
        loaders.register_scheme(prefix, guarded, force=True)
    if hasattr(module, "_safe_torch_load"):  # the forks' own, which falls back to unrestricted pickle
        module._safe_torch_load = _torch_load  # type: ignore[attr-defined]


def _guarded(loader: Callable[..., Any]) -> Callable[..., Any]:
    """`loader` (of `https://`, `s3://` …) under the same restriction as local files."""

    def load(filename: str, map_location: Any = None) -> Any:
        with _restricted(filename):
            try:
                return loader(filename, map_location)
            except (UnpicklingError, UserError, ImportError, OSError, MemoryError):
                raise
            except Exception as error:  # such as the KeyError of a model that `open-mmlab://` does not have
                said = f"{type(error).__name__}: {error}"
                raise TeacherError(f"`{filename}` is no checkpoint that can be loaded ({said})") from error

    load.__name__ = loader.__name__  # mmengine prints it
    return load


def _torch_load(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    """`torch.load`, restricted unless the user trusts the file; stands in for the forks' `_safe_torch_load`."""
    import torch

    return torch.load(file, map_location=map_location, weights_only=not _trusted())


def _trusted() -> bool:
    return os.environ.get(TRUST_VARIABLE) == "1"


@contextlib.contextmanager
def _restricted(filename: str) -> Iterator[None]:
    """Restrict every `torch.load` inside, also one that asks for `weights_only=False` by itself."""
    import torch

    # Each time anew: whoever uses torch's `safe_globals` context takes away what their list shares with ours.
    torch.serialization.add_safe_globals(_safe_globals())
    unrestricted, restricted = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = {name: os.environ.pop(name, None) for name in (unrestricted, restricted)}
    os.environ[unrestricted if _trusted() else restricted] = "1"
    try:
        yield
    except UnpicklingError as error:
        raise UntrustedCheckpointError(
            f"refused to load `{filename}`: {_what_was_refused(error)}\n"
            "  only tensors, numbers and the records that mmengine writes are loaded; anything else can run code\n"
            f"  help: if you trust the file's author, set {TRUST_VARIABLE}=1"
        ) from None  # torch's own message tells how to switch the protection off
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _what_was_refused(error: UnpicklingError) -> str:
    """The telling part of torch's page of advice."""
    text = str(error)
    if asked := re.search(r"GLOBAL (\S+)", text):
        return f"it asks for `{asked[1]}`"
    before_advice = text.partition("\n\nCheck the documentation")[0]
    return before_advice.split("WeightsUnpickler error:")[-1].strip()


def _safe_globals() -> list[Any]:
    """What an mmengine checkpoint holds besides tensors: its message hub's histories, numpy values, and how a scheduler
    anneals."""
    import numpy as np
    import numpy._core.multiarray as multiarray
    from mmengine.logging.history_buffer import HistoryBuffer

    rebuild = [
        _named(getattr(multiarray, function), f"{core}.multiarray", function)
        for function in ("_reconstruct", "scalar")
        for core in ("numpy.core", "numpy._core")  # as numpy 1 and numpy 2 write it
    ]
    kinds = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    dtypes = [np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
    method = _named(_method, "builtins", "getattr")
    return [HistoryBuffer, method, np.ndarray, *rebuild, *dtypes, *_RECORDS]


class PickledRecord:
    """Stands in for a class that a checkpoint pickled an object of: keeps its attributes, and does nothing.

    The class itself is neither imported nor called.

    Attributes:
        attributes: name → what was saved.
    """

    attributes: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise UnpicklingError(f"it saved a `{type(self).__name__}` without names of attributes")
        self.attributes = state


def _record(module: str, name: str) -> type[PickledRecord]:
    return type(name, (PickledRecord,), {"__module__": module, "__qualname__": name})


_ONE_CYCLE = _record("mmengine.optim.scheduler.param_scheduler", "OneCycleParamScheduler")

_RECORDS = [
    _ONE_CYCLE,
    # What the published code of data-priors saves beside the weights (`teachers/data_priors.py`).
    _record("transformers.models.mask2former.configuration_mask2former", "Mask2FormerConfig"),
    _record("transformers.models.swin.configuration_swin", "SwinConfig"),
]


def _method(owner: object, name: object) -> Any:
    """The only uses of `getattr` that are let through.

    A pickled HistoryBuffer names its statistics as `getattr(HistoryBuffer, "mean")`, and OneCycleLR its curve alike.
    The real `getattr` would hand the file's author a way from there to anything that is reachable by attributes.
    """
    from mmengine.logging.history_buffer import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    if owner is HistoryBuffer and isinstance(name, str) and not name.startswith("_"):
        return getattr(owner, name)
    if owner is _ONE_CYCLE and name in ("_annealing_cos", "_annealing_linear"):
        return getattr(OneCycleParamScheduler, str(name))
    raise UnpicklingError(f"it asks for `builtins.getattr({owner!r}, {name!r})`")


_NAMED: dict[tuple[str, str], Callable[..., Any]] = {}


def _named(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """`function` under the name by which a pickle asks for it.

    torch 2.6 takes pairs of function and name as well, but torch 2.4 and 2.5 go by the function's own.
    """

    def named(*args: Any) -> Any:
        return function(*args)

    named.__module__, named.__name__, named.__qualname__ = module, name, name
    return _NAMED.setdefault((module, name), named)  # one object for ever: torch keeps a set of them


# --- configs -----------------------------------------------------------------------------------------------


def _find_mmseg_configs(module: ModuleType) -> None:
    """Let `_base_ = ['mmseg::…']` work where the distribution is not called `mmsegmentation`.

    The value is used to find the installed package, and the import name is right for forks and originals.
    """
    module.MODULE2PACKAGE["mmseg"] = "mmseg"


# --- deferred work -----------------------------------------------------------------------------------------


class _AfterImport:
    """A finder that finds one module the ordinary way and calls `action` on it once it is imported."""

    def __init__(self, name: str, action: Callable[[ModuleType], Any]) -> None:
        self.name = name
        self.action = action

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == self.name else None
        if spec is None or spec.loader is None:
            return None
        sys.meta_path.remove(self)
        execute = spec.loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            with contextlib.redirect_stdout(io.StringIO()):  # the forks print a line about an optional package
                execute(module)
            self.action(module)

        spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec


def _pass_over_damaged_grammars(driver: ModuleType) -> None:
    """Let yapf, which mmengine lays configs out with, generate anew what it cannot read of its cache.

    It puts a grammar in place before it has written it: of two ranks that start in a fresh environment, one may find it
    empty; and it stays so if the writer was killed.
    """
    load = driver.load_grammar

    def load_grammar(*args: Any, **kwargs: Any) -> Any:
        try:
            return load(*args, **kwargs)
        except (EOFError, UnpicklingError):
            return load(*args, **kwargs | {"force": True})

    driver.load_grammar = load_grammar  # type: ignore[attr-defined]


def _after_import(name: str, action: Callable[[ModuleType], Any]) -> None:
    """Call `action` on the module `name`: now if it is imported, else as soon as somebody imports it."""
    if name in sys.modules:
        action(sys.modules[name])
    elif not any(isinstance(finder, _AfterImport) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport(name, action))
