"""The base of every refusal, here and in `lsu_seg`."""

from __future__ import annotations

import re


class UserError(ValueError):
    """A mistake of the user: the message says where, what was found, what was expected, and what to do.

    Commands print it and exit with 1; any other exception that reaches them is a fault of the toolkit.
    """

    __module__ = "lsu_onto"  # where users import it from, and what a traceback shows


def visible(message: str) -> str:
    r"""A message in which control characters, which are commands to a terminal, are spelt out. Names in it may be from
    any file.

    >>> visible("`\x1b[31mred` is no class\n  of `s`")
    '`\\x1b[31mred` is no class\n  of `s`'
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda c: f"\\x{ord(c[0]):02x}", message)


def interruption(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """The Ctrl-C or the exit that an error was made of: a library that catches everything, as mmengine does around
    yapf, raises something else in its place.

    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     except:
    ...         raise SyntaxError("check the syntax")
    ... except SyntaxError as error:
    ...     interruption(error)
    KeyboardInterrupt()
    """
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if isinstance(one, (KeyboardInterrupt, SystemExit)):
            return one
        seen.add(id(one))
        todo += [e for e in (one.__cause__, one.__context__) if e is not None and id(e) not in seen]
    return None
