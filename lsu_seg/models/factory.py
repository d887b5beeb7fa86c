"""A function of the user's that makes a network, named by its file or module."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from torch import nn

from lsu_seg.errors import TeacherError, did_you_mean
from lsu_seg.runtime.own_code import code_of, digests_of, folder_of, import_code, importing, run
from lsu_seg.runtime.progress import busy

_NAME = re.compile(r"(?P<place>.+):(?P<function>[A-Za-z_]\w*)", re.DOTALL)


class Factory(NamedTuple):
    """A function that makes a network.

    Attributes:
        name: as it was given: `file.py:function` or `package.module:function`.
        call: the function.
        module: where it was found.
    """

    name: str
    call: Callable[..., Any]
    module: ModuleType


def is_factory(name: str) -> bool:
    """Whether a teacher's name is that of a function, and of no file.

    >>> is_factory("nets/mine.py:build"), is_factory("mine.nets:build"), is_factory("mine.py"), is_factory("weights")
    (True, True, False, False)
    """
    return _NAME.fullmatch(name) is not None and not Path(name).exists()


def find(name: str) -> Factory:
    """The function of this name. Its module is imported, which runs its code.

    Raises:
        TeacherError: there is no such file, module or function, or the module cannot be imported.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise TeacherError(
            f"`{name}` names no function that makes a network: write `file.py:function` or `package.module:function`"
        )
    place, function = match["place"], match["function"]
    module = import_code(place)
    call = run(lambda: getattr(module, function, None), f"`{place}` cannot be asked for `{function}`")
    if isinstance(call, nn.Module):
        raise TeacherError(f"`{name}` is a network; expected a function that makes one, so that each run has its own")
    if not callable(call):
        known = [n for n, v in vars(module).items() if isinstance(v, (FunctionType, type)) and not n.startswith("_")]
        own = [n for n in known if getattr(module, n).__module__ == module.__name__] or known
        has = f"; it has {', '.join(f'`{n}`' for n in own[:6])}" if own else "; it has no function"
        what = "no function" if call is None else f"no function, but a {type(call).__name__},"
        raise TeacherError(f"`{place}` has {what} `{function}`{did_you_mean(function, own) or has}")
    return Factory(name, call, module)


def make(factory: Factory, arguments: Mapping[str, Any]) -> nn.Module:
    """The network that the function makes.

    Raises:
        TeacherError: the function does not take these arguments, fails, or makes something else.
    """
    _check_arguments(factory, arguments)
    with importing(folder_of(factory.module)), busy(f"`{factory.name}` makes its network"):
        net = run(lambda: factory.call(**arguments), f"`{factory.name}` fails")
    if not isinstance(net, nn.Module):
        raise TeacherError(f"`{factory.name}` returned a {type(net).__name__}; expected a torch.nn.Module")
    # Its wrapper would spread batches over GPUs that other processes use, and renames all weights.
    return net.module if isinstance(net, nn.DataParallel) else net


def _check_arguments(factory: Factory, arguments: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(factory.call)
    except (TypeError, ValueError):  # none is known, as of some callables of C
        return
    try:
        signature.bind(**arguments)
    except TypeError as e:
        known = [p.name for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        takes = f"`{factory.name}` takes {', '.join(f'`{n}`' for n in known) or 'no arguments'}"
        wrong = next((key for key in arguments if key not in known), None)
        if wrong is not None and "unexpected keyword" in str(e):
            raise TeacherError(f"`args` has `{wrong}`, and {takes}{did_you_mean(wrong, known)}") from None
        raise TeacherError(f"{takes}, and `args` is {dict(arguments)}: {e}; write `args=dict(…)`") from None


def code_files(factory: Factory) -> list[Path]:
    """The user's own files that the network is made by: the function's, and all that it imports."""
    return sorted(code_of(factory.module))


def code_sha256(factory: Factory) -> str:
    """sha256 over the contents of `code_files`, wherever they lie, as they were when they were imported."""
    digests = sorted(digests_of(factory.module).values())
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
