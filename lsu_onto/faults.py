"""What both programs say of an error that they do not expect: a fault of theirs, or of a library that they use."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import site
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path

from lsu_onto.errors import TRACEBACK, without_traceback
from lsu_onto.packages import installed_as, modules
from lsu_onto.start import VARIABLE, in_its_place

_OURS = ("lsu_onto", "lsu_seg")
_SHOWN = 3
_PLACE = re.compile(r'^ *File "(.+)", line \d+, in ', re.M)
_WHOLE = re.compile(r'^(?:Original )?Traceback[^\n]*\(most recent call last\):(?:\n[ \t]+|  )File ".+\n', re.M)
"""A traceback that is printed at once, and not quoted in a line: Python itself writes one line by line."""


def fault(error: BaseException, program: str, goes_on: bool = False) -> str | None:
    """The message for such an error; None where the traceback is to be shown instead.

    The message names the places in our code, so that a log says enough, and a new file has the traceback, if there is
    room for one.

    Args:
        program: the name that it was called by.
        goes_on: the program does, for nothing waits for what has failed.
    """
    if is_shown(error):
        return None
    text = "".join(traceback.format_exception(error))
    try:
        kept = f"{_keep(text, program)}, which has the traceback and the command line"
    except OSError:  # no folder for temporary files, a full disk
        kept = f"what it prints with {VARIABLE}=1 set"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _package(frame.filename)][-_SHOWN:]
    way = ", from ".join(f"{_package(f.filename)}:{f.lineno}" for f in reversed(ours))
    said = " ".join(without_traceback(str(error)).split())
    shown = f"{type(error).__name__}: {said}" if said else type(error).__name__
    why = in_its_place() or _problem()
    then = "It goes on." if goes_on else "What it was to write may be missing."
    return (
        f"{'warning' if goes_on else 'error'}: {shown[:500]}{f' ({way})' if way else ''}\n"
        f"  help: `{program}` does not expect this: it is a fault of the toolkit, or of a library that it uses. {then}"
        f" Please report it with {kept}"
        f"{why and f', unless this is why: {why}'}"
    )


def is_shown(error: BaseException) -> bool:
    """Whether the traceback is: to whoever wrote a part of the code, and needs to see how it was reached."""
    # As text, because that of another process, such as one that loads images, is in the message.
    return _are_shown("".join(traceback.format_exception(error)), _of_libraries(error))


def _are_shown(text: str, known: Collection[str] = ()) -> bool:
    files = (file for file in _PLACE.findall(text) if file not in known)
    return bool(os.environ.get(VARIABLE)) or any(map(_is_users, files))


def _of_libraries(error: BaseException) -> set[str]:
    """The files of an error's frames in modules of Python, of ours and of what we need, by whatever path it finds them:
    a link, a relative one, an archive."""
    found: set[str] = set()
    todo, seen = [error], {id(error)}
    libraries = {*sys.stdlib_module_names, *_OURS, *modules()}
    while todo:
        one = todo.pop()
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if str(frame.f_globals.get("__name__")).partition(".")[0] in libraries:
                found.add(frame.f_code.co_filename)
        others = (one.__cause__, one.__context__, *getattr(one, "exceptions", ()))
        todo += [e for e in others if e is not None and id(e) not in seen]
        seen |= set(map(id, todo))
    return found


def printed(text: str) -> str:
    """What a library prints of an error, without the tracebacks that are not shown."""
    return text if not _WHOLE.search(text) or _are_shown(text) else TRACEBACK.sub("", text)


def _problem() -> str:
    """The first that `doctor` finds in the installation, such as an older package than is needed; or ""."""
    with contextlib.suppress(Exception):
        from lsu_onto.installation import examine  # slow

        for finding in examine():
            if finding.state == "problem":
                return f"{finding.message}: {finding.fix or 'see `lsu-onto doctor`'}"
    return ""


def _keep(shown: str, program: str) -> str:
    from lsu_onto import __version__

    about = f"{program} {__version__}, Python {platform.python_version()}, {platform.platform()}"
    typed = " ".join(sys.argv[1:])
    text = f"{about}\n{program} {typed}\n\n{shown}"
    number, path = tempfile.mkstemp(prefix=f"{program}-", suffix=".txt")
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path


def _package(filename: str) -> str:
    """Where a file lies in our packages, as `lsu_onto/program.py`; empty if it lies elsewhere."""
    for package in _OURS:
        root = Path(getattr(sys.modules.get(package), "__file__", None) or "nowhere/nothing").parent
        if Path(filename).is_relative_to(root):
            return f"{package}/{Path(filename).relative_to(root).as_posix()}"
    return ""


def _is_generated(filename: str) -> bool:
    """Whether a compiler wrote the file: `torch.compile` and Triton keep theirs in folders of their own."""
    folders = [os.environ.get(name) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")]
    return any(folder and Path(filename).is_relative_to(folder) for folder in folders) or any(
        part.startswith("torchinductor_") or part == ".triton" for part in Path(filename).parent.parts
    )


def _is_compiled(filename: str) -> bool:
    """Whether a file is not there: the code was compiled from it elsewhere, as Cython's is, and that of an installation
    of `.pyc` files alone. Nobody could look at it. mmengine runs a config from a copy, which is gone as well."""
    if Path(filename).is_relative_to(tempfile.gettempdir()):
        return False
    places = (filename, *map(str, Path(filename).parents[:-1]))  # of which one may be an archive
    return not any(map(os.path.isfile, places))


def _is_users(filename: str) -> bool:
    """Whether a file belongs neither to us, nor to Python, nor to an installed package."""
    if filename.startswith("<") or _package(filename) or installed_as(filename) or filename in _started_by():
        return False
    if _is_generated(filename) or _is_compiled(filename):
        return False
    # The folders of modules, and not all of `sys.prefix`: a project may lie beside its environment's `lib`
    known = sysconfig.get_paths()
    places = (known[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts"))
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"  # of Python's own modules
    archives = (path for path in sys.path if Path(path).name == archive)
    paths = (*places, *archives, *site.getsitepackages(), site.getusersitepackages(), *_places_of_packages())
    targets = (path for path in sys.path if path and Path(filename).is_relative_to(path))  # of `pip install --target`
    return not (
        any(Path(filename).is_relative_to(path) for path in paths)
        or any(next(Path(path).glob("*.dist-info"), None) for path in targets)
    )


def _started_by() -> tuple[str, ...]:
    """The script that pip has written, which may lie anywhere, as in `~/.local/bin`."""
    file = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return (file,) if Path(file).stem.replace("-", "_") in _OURS else ()


def _places_of_packages() -> Iterator[str]:
    """Where the packages lie that the toolkit uses: a copy in a folder on PYTHONPATH has nothing beside it."""
    for name in modules():
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str):
            yield str(Path(file).parent) if Path(file).name.startswith("__init__.") else file


def cannot_import(module: str, error: BaseException) -> str:
    """What to say of a package that is installed and fails while it is imported."""
    while error.__cause__:  # numpy's own words fill a screen
        error = error.__cause__
    if name := _unread_variable(module, error):
        return f"`{module}` cannot be imported with the variable {name}={os.environ[name]}: unset it, or mend its value"
    if other := in_its_place(error):
        return f"`{module}` cannot be imported ({error}): {other}"
    return f"`{module}` is installed and cannot be imported ({error}); see `lsu-onto doctor`, or install it again"


def _unread_variable(module: str, error: BaseException) -> str | None:
    """The variable of the environment that a package could not read while it was imported.

    Most say no more than `invalid literal for int()`; their line of code, or the value, says the name.
    """
    if isinstance(error, Warning):
        return "PYTHONWARNINGS" if os.environ.get("PYTHONWARNINGS") else None
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for name in re.findall(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", frame.line or ""):
            if os.environ.get(name):
                return str(name)
    words = re.findall(r"[\w.+/-]+", str(error)[:300])
    own = f"{module.partition('.')[0].upper()}_"
    for name, value in os.environ.items():
        stated = value in words and (name.startswith(own) or not value.isdecimal())  # `1` may be that of `line 1`
        if name.startswith(_READ) and (stated or name in words):
            return name
    return None


_READ = ("TORCH", "HF_", "NUMBA_", "NUMPY_", "NETWORKX_", "TRANSFORMERS_", "MPL", "MKL_", "OMP_", "KMP_")
"""With which the names of variables begin that libraries read."""
