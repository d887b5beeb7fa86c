"""Train and judge across datasets whose classes disagree: the MMSegmentation side of the toolkit.

Where MMSegmentation is installed, `import lsu_seg` sees to it that our parts are known to mmengine's registries, and
takes care of the stack's rough edges (`openmmlab`). All of that waits until somebody imports OpenMMLab: here neither
OpenMMLab nor torch nor our own modules are imported.

Without MMSegmentation, `set_nll`, `targets` and `decode` work with torch alone, and `label_files`, `layout` and `scan`
without torch.
"""

import sys


def prepare() -> None:
    """Take care of the stack's rough edges, where MMSegmentation is installed. Calling it again changes nothing."""
    from importlib.util import find_spec

    if all(find_spec(name) for name in ("torch", "mmengine", "mmseg")):
        from lsu_seg.openmmlab import compat

        compat.install()  # before anything imports mmseg.models or loads a checkpoint


def _is_run() -> bool:
    """Whether it is imported for `python -m lsu_seg`, which is called `-m` until its module has been found."""
    given = zip(sys.orig_argv[1:], [*sys.orig_argv[2:], ""], strict=True)
    # Options may be written as one: `-um lsu_seg`, `-mlsu_seg`.
    named = (option.partition("m")[2] or following for option, following in given if option.startswith("-"))
    return sys.argv[:1] == ["-m"] and "lsu_seg" in named


# The program does it itself, where what fails is told. With an older Python, of a clone, it only says so.
if sys.version_info >= (3, 11) and not _is_run():
    prepare()
