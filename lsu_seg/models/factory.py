"""A function of the user that makes a network, named by its file or module: found, called, and hashed with its code."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from torch import nn

from lsu_onto import open_to_read
from lsu_seg.errors import TeacherError, UserError, did_you_mean

_NAME = re.compile(r"(?P<place>.+):(?P<function>[A-Za-z_]\w*)", re.DOTALL)
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


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
    module = _from_file(Path(place).expanduser()) if place.endswith(".py") else _from_path(place)
    call = getattr(module, function, None)
    if isinstance(call, nn.Module):
        raise TeacherError(f"`{name}` is a network; expected a function that makes one, so that each run has its own")
    if not callable(call):
        own = [n for n, v in vars(module).items() if isinstance(v, (FunctionType, type)) and not n.startswith("_")]
        own = [n for n in own if getattr(module, n).__module__ == module.__name__] or own
        has = f"; it has {', '.join(f'`{n}`' for n in own[:6])}" if own else "; it has no function"
        what = "no function" if call is None else f"no function, but a {type(call).__name__},"
        raise TeacherError(f"`{place}` has {what} `{function}`{did_you_mean(function, own) or has}")
    return Factory(name, call, module)


def make(factory: Factory, arguments: Mapping[str, Any]) -> nn.Module:
    """The network that the function makes.

    Raises:
        TeacherError: the function does not take these arguments, fails, or makes something else.
    """
    with contextlib.suppress(ValueError):  # no signature, as some callables of C
        signature = inspect.signature(factory.call)
        try:
            signature.bind(**arguments)
        except TypeError as e:
            known = [p.name for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            takes = f"`{factory.name}` takes {', '.join(f'`{n}`' for n in known) or 'no arguments'}"
            wrong = next((key for key in arguments if key not in known), None)
            if wrong is not None and "unexpected keyword" in str(e):
                raise TeacherError(f"`args` has `{wrong}`, and {takes}{did_you_mean(wrong, known)}") from None
            raise TeacherError(f"{takes}, and `args` is {dict(arguments)}: {e}; write `args=dict(…)`") from None
    with _importing(_folder_of(factory.module)):
        net = _run(lambda: factory.call(**arguments), f"`{factory.name}` fails")
    if not isinstance(net, nn.Module):
        raise TeacherError(f"`{factory.name}` returned a {type(net).__name__}; expected a torch.nn.Module")
    return net


def failure(error: BaseException) -> str:
    """What a user's code raised, and where: the last line outside of installed packages.

    >>> failure(ValueError("width is 0"))
    'ValueError: width is 0'
    """
    said = " ".join(str(error).split())
    said = said if len(said) <= 400 else f"{said[:400]} …"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if _is_own(Path(f.filename)) and not f.filename.startswith(_PACKAGE)]
    place = f"{own[-1].filename}:{own[-1].lineno}: in `{own[-1].line}`: " if own else ""
    return f"{place}{type(error).__name__}: {said}" if said else f"{place}{type(error).__name__}"


# --- importing -------------------------------------------------------------------------------------------------------


def _from_file(path: Path) -> ModuleType:
    """The module of a file. A file that has changed is another module, and one that has not is imported once."""
    try:
        with open_to_read(path) as file:
            text = file.read()
    except FileNotFoundError:
        near = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise TeacherError(f"there is no file `{path}`{did_you_mean(path.name, near)}") from None
    name = f"{path.stem}_{hashlib.sha256(bytes(path.absolute()) + text).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _importing(path.absolute().parent):
            _run(lambda: loader.exec_module(module), f"`{path}` cannot be imported")
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_path(name: str) -> ModuleType:
    """The module of this name, also one below the current folder."""
    if not _MODULE.fullmatch(name):
        raise TeacherError(f"`{name}` is neither a `.py` file nor the name of a module, as `package.module` is")
    with _importing(Path.cwd()):
        try:
            module: ModuleType = _run(lambda: importlib.import_module(name), f"`{name}` cannot be imported")
            return module
        except TeacherError as error:
            missing = error.__cause__
            if not isinstance(missing, ModuleNotFoundError) or not f"{name}.".startswith(f"{missing.name}."):
                raise
    raise TeacherError(
        f"there is no module `{missing.name}`: looked in {Path.cwd()} and where Python looks; a file is named with its"
        " ending, as in `nets/mine.py:build`"
    )


def _run(code: Callable[[], Any], what: str) -> Any:
    """Run code of the user's. Whatever it raises is a TeacherError that says where, also where it ends the program."""
    try:
        return code()
    except SystemExit as e:
        message = f"{what}: {failure(e)}"
    except UserError:
        raise
    except Exception as e:
        raise TeacherError(f"{what}: {failure(e)}") from e
    raise TeacherError(message)  # outside of the `except`: what is made of an exit ends the program as well


@contextlib.contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Let modules beside a file be imported, as they are when Python runs the file."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _folder_of(module: ModuleType) -> Path:
    return Path(module.__file__).parent if module.__file__ else Path.cwd()


# --- code ------------------------------------------------------------------------------------------------------------


def code_files(factory: Factory) -> list[Path]:
    """The user's own files that make the network: the function's, and all that it imports, at any depth.

    Installed packages do not count, as with everything else that runs.
    """
    files: dict[Path, str] = {}
    todo = [factory.module.__name__]
    with _importing(_folder_of(factory.module)):
        while todo:
            name = todo.pop()
            path = _file_of(name)
            if path is not None and path not in files:
                files[path] = name
                todo += _imports(path, name if path.name == "__init__.py" else name.rpartition(".")[0])
    return sorted(files)


def code_sha256(factory: Factory) -> str:
    """sha256 over the contents of `code_files`, wherever they lie."""
    digests = []
    for path in code_files(factory):
        with open_to_read(path) as file:
            digests.append(hashlib.sha256(file.read()).hexdigest())
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _imports(path: Path, package: str) -> list[str]:
    """The modules of the user's that a file may import, wherever it does."""
    with open_to_read(path) as file:
        tree = ast.parse(file.read())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    inside = [name.split(".") for name in names if name and _may_be_own(name.split(".")[0])]
    return [".".join(parts[:end]) for parts in inside for end in range(1, len(parts) + 1)]


def _may_be_own(package: str) -> bool:
    """Whether a top-level name is no installed package's. To look inside of one would import it."""
    if package in sys.stdlib_module_names or package in ("lsu_seg", "lsu_onto"):
        return False
    origin = _origin(package)
    return origin is None or _is_own(origin)  # a package without an `__init__.py` has no origin


def _file_of(module: str) -> Path | None:
    """The file of a module of the user's; None for any other."""
    origin = _origin(module)
    return origin if origin is not None and origin.is_file() and _is_own(origin) else None


def _origin(module: str) -> Path | None:
    if module in sys.modules:
        origin = getattr(sys.modules[module], "__file__", None)
    else:
        origin = None
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            origin = getattr(importlib.util.find_spec(module), "origin", None)
    return Path(origin) if isinstance(origin, str) else None


_INSTALLED = tuple({str(Path(sysconfig.get_path(kind)).resolve()) for kind in ("stdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).parents[1])


def _is_own(path: Path) -> bool:
    """Whether a file is of the user's, and of no installed package."""
    resolved = path.resolve()
    return path.suffix == ".py" and not str(resolved).startswith(_INSTALLED) and "site-packages" not in resolved.parts
