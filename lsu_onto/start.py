"""How both programs start: with next to nothing imported, so that only Ctrl-C in Python's own start is a traceback.

What fails while the rest is imported is no fault of the program's: a file of the user's with the name of a module of
Python, a package that is damaged, or may not be read.
"""

# Of `signal`, the part that is in Python itself: its import is over before Ctrl-C comes.
import _signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, TracebackType

NEEDED = (3, 11)
"""The version of Python; so `requires-python` says, and `lsu_seg` before anything of it is imported."""

VARIABLE = "LSU_TRACEBACK"
"""Set, it shows errors that nobody expects as Python does: for whoever looks for faults."""


def lsu_seg() -> None:
    """The installed program `lsu-seg`, called here so that what fails in its package's `__init__` is told, too."""
    start("lsu_seg")


def start(package: str) -> None:
    """Run the program of a package, and end.

    Args:
        package: `lsu_onto` or `lsu_seg`.
    """
    name = package.replace("_", "-")
    if sys.version_info < NEEDED:  # of a clone: pip has asked before it installs
        sys.exit(
            f"error: `{name}` needs Python {'.'.join(map(str, NEEDED))} or newer, and {sys.executable} is"
            f" {'.'.join(map(str, sys.version_info[:3]))}"
        )
    sys.excepthook = _unless_interrupted
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # else it is ignored, or somebody else's
        _signal.signal(_signal.SIGINT, interrupted)
    try:
        heard: list[bool] = []
        before = sys.unraisablehook
        sys.unraisablehook = lambda u: heard.append(True) if u.exc_type is KeyboardInterrupt else before(u)
        try:
            program = __import__(f"{package}.cli", fromlist=["main"]).main
            sys.unraisablehook = before
            if heard:  # Ctrl-C in a callback of the import system, which Python prints, and forgets
                raise KeyboardInterrupt
        except Exception as error:
            if os.environ.get(VARIABLE):
                raise
            sys.exit(f"error: {_cannot_start(name, error)}")
        program(prog_name=name)
    except KeyboardInterrupt:  # later ones end in `Program.invoke`
        sys.unraisablehook = lambda _: None  # one that comes now: "ignored due to race condition"
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # a second one, at once
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except MemoryError:  # before the program is there; of others, see `lsu_onto.program`
        sys.exit("error: out of memory")
    finally:  # nothing of the work is left to be stopped, and Python would report its own end with a traceback
        if _signal.getsignal(_signal.SIGINT) in (_signal.default_int_handler, interrupted):
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        exec("")  # makes `python -m` forget a Ctrl-C that came in another `exec` of text: it would end by that signal


def interrupted(number: int, frame: "FrameType | None") -> None:
    """What Ctrl-C does in both programs: what it does in Python, but in the hook of errors that nobody can catch.

    Python would print an error that is raised there, with its traceback. That hook is left first.
    """
    at = frame
    while at:
        if at.f_code in HOOKS:
            HOOKS[at.f_code]()
            return
        at = at.f_back
    raise KeyboardInterrupt


HOOKS: "dict[CodeType, Callable[[], object]]" = {}
"""The code of that hook, and what raises Ctrl-C once it is left."""


def _unless_interrupted(kind: "type[BaseException]", error: BaseException, trace: "TracebackType | None") -> None:
    """Several Ctrl-C at once, as of programs that pass it on, meet whatever tells of the first; that has been said."""
    if isinstance(error, SystemExit):  # with PYTHONINSPECT, which goes on after the end
        sys.stderr.write(f"{error.code}\n")
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def _cannot_start(name: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "click" and not in_its_place():
        return f"`click` cannot be imported ({error}): pip install . at the root of the repository"
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    place = f" ({at.tb_frame.f_code.co_filename}:{at.tb_lineno})" if at else ""
    why = (
        in_its_place(error)
        or damaged(error)
        or "a part of it, or of a package that it needs, is damaged, or may not be read: install it again"
    )
    return f"`{name}` cannot be imported: {type(error).__name__}: {error}{place}\n  help: {why}"


def damaged(error: BaseException) -> str:
    """What to do about a damaged file that has kept a module compiled, in a `__pycache__`; or "".

    >>> damaged(EOFError("of another file"))
    ''
    """
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    if at and at.tb_frame.f_code.co_name == "_compile_bytecode" and at.tb_frame.f_code.co_filename == _IMPORT:
        known = at.tb_frame.f_locals
        mend = "delete it, and Python makes it anew" if known["source_path"] else "install it again"
        return f"`{known['bytecode_path']}` is damaged ({error}): {mend}"
    return ""


_IMPORT = "<frozen importlib._bootstrap_external>"


def in_its_place(error: "BaseException | None" = None) -> str:
    """What to do about a file, or a folder, that was imported in the place of another module; empty without one.

    Args:
        error: what ended the import of one, which is no module then.
    """
    # Windows has compiled modules beside the folder of the others; setuptools has a `distutils` of its own.
    known = (sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__))  # noqa: PTH120 - pathlib may be the one
    for name, file in (*_imported(), *_failed(error)):
        python = file.startswith(known) or os.path.realpath(file).startswith(known)  # it may be on the path by a link
        if not python and "site-packages" not in file and "dist-packages" not in file:
            other = f"the package `{name}`" if name in _WANTED else f"Python's module `{name}`"
            return f"`{file}` was imported in the place of {other}: rename it, or see PYTHONPATH"
    return ""


def _imported() -> "Iterator[tuple[str, str]]":
    for name in (*sys.stdlib_module_names, *_WANTED):
        module = sys.modules.get(name)
        folders = getattr(module, "__path__", ())
        file = getattr(module, "__file__", None) or (hasattr(folders, "__iter__") and next(iter(folders), None))
        if file:  # which the module may have set itself, to a `Path`
            yield name, str(file)


def _failed(error: "BaseException | None") -> "Iterator[tuple[str, str]]":
    at = error and error.__traceback__
    while at:
        name = at.tb_frame.f_globals.get("__name__")
        file = at.tb_frame.f_code.co_filename
        if at.tb_frame.f_code.co_name == "<module>" and name in sys.stdlib_module_names and os.path.exists(file):  # noqa: PTH110
            yield name, file
        at = at.tb_next


_WANTED = ("atomicwrites", "interegular", "pandas", "regex")
"""Packages that ours import only where they are there, so that a folder of one's own is taken for them."""
