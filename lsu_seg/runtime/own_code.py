"""Code of the user's: imported from a file or by name, which files it is, and what is said where it fails."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from lsu_onto import open_to_read, without_traceback
from lsu_seg.errors import TeacherError, UserError, did_you_mean, no_file
from lsu_seg.runtime.home import at_home
from lsu_seg.runtime.streams import complete_streams

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_imported: set[str] = set()
"""Names of the user's modules that were imported here, as opposed to by a program that uses this package."""
_code: dict[str, dict[Path, str]] = {}
"""Name of a module → its files (`code_of`) with their sha256, as they were when it was imported."""


def import_code(place: str) -> ModuleType:
    """The module of a `.py` file, or of this name: then also one below the current folder.

    It is imported once, and anew if one of its files has changed since.

    Raises:
        TeacherError: there is none, or it cannot be imported.
    """
    path = check_file(place) if place.endswith(".py") else None
    if path is None and not _MODULE.fullmatch(place):
        raise TeacherError(f"`{place}` is neither a `.py` file nor the name of a module, as `package.module` is")
    name = place if path is None else f"{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:12]}"
    if any(_sha256(file) != digest for file, digest in _code.get(name, {}).items()):
        for module in code_of(sys.modules[name]).values() if name in sys.modules else ():
            if module in _imported:
                sys.modules.pop(module, None)
    if name not in sys.modules:
        module_of = _run_file(name, path) if path is not None else _import(name)
        _code[name] = _digests(module_of)
    return sys.modules[name]


def check_file(place: str) -> Path:
    """The absolute path of a `.py` file.

    Raises:
        TeacherError: there is none.
    """
    path = at_home(place).absolute()
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.py") if p.is_file()] if path.parent.is_dir() else []
        raise TeacherError(f"{no_file('file', place)}{did_you_mean(path.name, near)}")
    return path


def _run_file(name: str, path: Path) -> ModuleType:
    with open_to_read(path) as file:
        text = file.read()
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with importing(path.parent):
        sys.modules[name] = module
        try:
            run(lambda: exec(compile(text, path, "exec"), vars(module)), f"`{path}` cannot be imported")
            sys.modules[name] = module  # its code may have put something else there, or nothing
        except BaseException as error:
            sys.modules.pop(name, None)
            if "relative import with no known parent" in str(error.__cause__):
                raise TeacherError(
                    f"{error}; a file that belongs to a package is named by its module, from the folder above the"
                    f" package: `{path.parent.name}.{path.stem}:FUNCTION`"
                ) from None
            raise
    return module


def _import(name: str) -> ModuleType:
    with importing(Path.cwd()):
        importlib.invalidate_caches()
        try:
            module = run(lambda: importlib.import_module(name), f"`{name}` cannot be imported")
            if not isinstance(module, ModuleType):
                raise TeacherError(f"`{name}` puts a {type(module).__name__} in the place of its module")
            return module
        except TeacherError as error:
            missing = error.__cause__
            if not isinstance(missing, ModuleNotFoundError) or not f"{name}.".startswith(f"{missing.name}."):
                raise
    raise TeacherError(
        f"there is no module `{missing.name}`: looked in {Path.cwd()} and where Python looks; a file is named with its"
        " ending, as in `nets/mine.py:build`"
    )


@contextlib.contextmanager
def importing(folder: Path) -> Iterator[None]:
    """Let modules beside a file be imported, as they are when Python runs the file.

    Those of another folder that have the same names, as `layers` may, are imported no more.
    """
    for name in {name.partition(".")[0] for name in _imported}:
        beside = [p for p in (folder / name, folder / name / "__init__.py", folder / f"{name}.py") if p.exists()]
        if beside and not {*beside} & {*_places(name)}:
            for module in [m for m in _imported if m == name or m.startswith(f"{name}.")]:
                sys.modules.pop(module, None)
    before = {*sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        _imported.update(name for name in {*sys.modules} - before if _places(name) and _is_own(_places(name)[0]))


def run(code: Callable[[], Any], what: str) -> Any:
    """Run code of the user's. Whatever it raises is a TeacherError that says where, also where it ends the program.

    Only Ctrl-C stays what it is. The current folder, too, which names of files are relative to.
    """
    folder, streams = Path.cwd(), (sys.stdout, sys.stderr)
    try:
        return code()
    except (UserError, KeyboardInterrupt):
        raise
    except SystemExit as e:
        message = f"{what}: {failure(e)}"
    except BaseException as e:
        raise TeacherError(f"{what}: {failure(e)}") from e
    finally:
        os.chdir(folder)
        complete_streams(streams)
    raise TeacherError(message)  # outside of the `except`: what is made of an exit ends the program as well


def failure(error: BaseException) -> str:
    """What a user's code raised, and where: the last line outside of installed packages.

    >>> failure(ValueError("width is 0"))
    'ValueError: width is 0'
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    try:
        said = " ".join(without_traceback(str(error)).split()).removeprefix(f"{type(error).__name__}: ")
    except (Exception, SystemExit):  # its own `__str__` fails
        said = ""
    said = said if len(said) <= 400 else f"{said[:400]} …"
    own = [f for f in traceback.extract_tb(error.__traceback__) if _is_own(Path(f.filename))]
    place = f"{own[-1].filename}:{own[-1].lineno}: in `{own[-1].line}`: " if own else ""
    return f"{place}{type(error).__name__}: {said}" if said else f"{place}{type(error).__name__}"


# --- files -----------------------------------------------------------------------------------------------------------


def code_of(module: ModuleType) -> dict[Path, str]:
    """The user's own files that a module consists of, with the names of their modules.

    They are its own one, and those of all that it may import, at any depth. Installed packages do not count.
    """
    files: dict[Path, str] = {}
    todo = [module.__name__]
    with importing(folder_of(module)):
        while todo:
            name = todo.pop()
            path = _file_of(name)
            if path is not None and path not in files:
                files[path] = name
                todo += _imports(path, name if path.name == "__init__.py" else name.rpartition(".")[0])
    return files


def digests_of(module: ModuleType) -> dict[Path, str]:
    """The files of a module with their sha256: of the code that runs, even if a file has changed since."""
    known = _code.get(module.__name__)
    return _digests(module) if known is None else known


def _digests(module: ModuleType) -> dict[Path, str]:
    return {file: _sha256(file) for file in code_of(module)}


def folder_of(module: ModuleType) -> Path:
    """From which a module's neighbours are imported."""
    file = _stated(module).get("__file__")
    return Path(file).parent if isinstance(file, str) and "." not in module.__name__ else Path.cwd()


def _stated(module: Any) -> dict[str, Any]:
    """What is in a module, without a call of its own `__getattr__`; nothing in what only stands for one."""
    return vars(module) if isinstance(module, ModuleType) else {}


def _imports(path: Path, package: str) -> list[str]:
    """The modules of the user's that a file may import, wherever it does."""
    try:
        with open_to_read(path) as file:
            tree = ast.parse(file.read())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # of a file that nothing has imported
        return []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    inside = [name.split(".") for name in names if name]
    return [".".join(parts[:end]) for parts in inside for end in range(1, len(parts) + 1)]


def _file_of(module: str) -> Path | None:
    """The file of a module of the user's; None for any other."""
    return next((p for p in _places(module) if p.is_file() and p.suffix == ".py" and _is_own(p)), None)


def _places(module: str) -> list[Path]:
    """Where a module is: its file, or the folders of a package that has none; nothing for what is built in.

    Nothing is imported to find out: a package that nobody imports may fail, or do anything else.
    """
    if module in sys.modules:
        loaded = _stated(sys.modules[module])
        file, folders = loaded.get("__file__"), loaded.get("__path__") or ()
        return [Path(p) for p in ([file] if isinstance(file, str) else folders)]
    spec: Any = None
    places: list[str] | None = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return []
        places = list(spec.submodule_search_locations or ())
    return [Path(p) for p in ([spec.origin] if isinstance(spec.origin, str) else places or ())]


_FOREIGN = tuple(
    str(path.resolve())
    for path in (
        *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")),
        *(Path(str(sys.modules[name].__file__)).parent for name in ("lsu_seg", "lsu_onto")),
    )
)


def _is_own(path: Path) -> bool:
    """Whether a file or folder is of the user's, and of no installed package."""
    resolved = path.resolve()
    inside = any(resolved.is_relative_to(folder) for folder in _FOREIGN)
    return not inside and "site-packages" not in resolved.parts and not path.name.startswith("<")


def raised_by_own(error: BaseException) -> bool:
    """Whether an error comes out of code that was imported here, at whatever moment that runs."""
    files = {str(path) for known in _code.values() for path in known}
    return any(frame.filename in files for frame in traceback.extract_tb(error.__traceback__))


def _sha256(path: Path) -> str:
    """Nothing for a file that is not there any more."""
    with contextlib.suppress(OSError), open_to_read(path) as file:
        return hashlib.sha256(file.read()).hexdigest()
    return ""
