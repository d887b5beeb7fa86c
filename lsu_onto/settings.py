"""`[tool.lsu-onto]` in a `pyproject.toml`: which rules and files count, and where taxonomies are looked up.

From a folder upwards, the nearest `pyproject.toml` with the table counts, as for ruff. The settings are a value that
commands and editors hand on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lsu_onto.diagnostics import RULES, suggest
from lsu_onto.errors import UserError
from lsu_onto.files import open_to_read, read_rest

NAME = "pyproject.toml"
_TABLE = "[tool.lsu-onto]"
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


class SettingsError(UserError):
    """A mistake in `[tool.lsu-onto]`."""

    __module__ = "lsu_onto"


@dataclass(frozen=True)
class Settings:
    """The settings of a project.

    Attributes:
        file: the `pyproject.toml`; empty if there is none.
        paths: folders that are searched before the shipped taxonomies; absolute.
        exclude: patterns of files and folders that are not checked.
        ignored: the codes of warnings and infos that are not reported.
        per_file: patterns of files, and the codes that are not reported in them.
    """

    file: str = ""
    paths: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignored: frozenset[str] = frozenset()
    per_file: tuple[tuple[str, frozenset[str]], ...] = ()

    def paths_from_here(self) -> tuple[str, ...]:
        """The folders as seen from the current one, as messages show them."""
        return tuple(map(os.path.relpath, self.paths))

    def excludes(self, path: str) -> bool:
        """Whether a file is left out of checks, unless a command names it."""
        return any(self._matches(path, pattern) for pattern in self.exclude)

    def silenced(self, path: str) -> frozenset[str]:
        """The codes that are not reported of a file."""
        own = (codes for pattern, codes in self.per_file if self._matches(path, pattern))
        return self.ignored.union(*own)

    def _matches(self, path: str, pattern: str) -> bool:
        """Whether a pattern is that of a file or of a folder above it: of its name, or of its path in the project.

        `*` stands for any characters, as in ruff also for `/`.
        """
        parts = Path(os.path.relpath(path, Path(self.file).parent)).parts
        above = ("/".join(parts[:n]) for n in range(1, len(parts) + 1))
        pattern = pattern.removeprefix("./").rstrip("/")
        return any(fnmatchcase(name, pattern) for name in (*parts, *above))


def candidates(folder: str | Path) -> list[str]:
    """The files that may have the settings of a folder, the nearest first."""
    here = Path(folder).absolute()
    return [str(parent / NAME) for parent in (here, *here.parents)]


def find_settings(folder: str | Path) -> Settings:
    """The settings of a folder: those of the nearest `pyproject.toml` with the table; without one, the default.

    Raises:
        SettingsError: the file cannot be read, or its table contains a mistake.
    """
    for file in candidates(folder):
        if os.path.isfile(file) and (found := _read(file)):  # noqa: PTH113 (it may be closed: Path raises)
            return found
    return Settings()


def _read(file: str) -> Settings | None:
    """The settings in a file, or None. A file that does not name us may be broken: others will say so."""
    try:
        with open_to_read(file) as opened:
            data = read_rest(opened)
    except OSError as e:
        raise SettingsError(f"cannot read `{file}`: {e.strerror}") from e
    if b"lsu-onto" not in data:
        # Or else its settings would be left out of account, although an editor shows them as they should be.
        if any("lsu-onto".encode(code) in data for code in _WIDE):
            raise SettingsError(f"{file}: UTF-16 or UTF-32 text; TOML is UTF-8: save it as UTF-8")
        return None
    import tomllib

    try:
        text = data.decode("utf-8-sig")  # a byte order mark, as editors on Windows write it, changes nothing
        tool = tomllib.loads(text).get("tool", {})
    except UnicodeDecodeError as e:
        raise SettingsError(f"{file}: not UTF-8 text: found byte 0x{data[e.start]:02x}") from e
    except ValueError as e:  # `TOMLDecodeError`, or a number of more digits than Python reads
        raise SettingsError(f"{file}: not valid TOML: {e}") from e
    except RecursionError as e:
        raise SettingsError(f"{file}: not valid TOML: its lists or tables are nested too deeply") from e
    if not isinstance(tool, dict):
        raise SettingsError(f"{file}: `tool` is {_shown(tool)}; expected a table")
    table = tool.get("lsu-onto")
    if table is None:
        return None
    return _Table(file, text, table).settings()


class _Table:
    """The table of a file, and what is wrong with it."""

    def __init__(self, file: str, text: str, table: Any) -> None:
        self.file = file
        self.text = text
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: `tool.lsu-onto` is {_shown(table)}; expected the table {_TABLE}")
        self.table: dict[str, Any] = table

    def settings(self) -> Settings:
        keys: dict[str, Callable[[str, Any], Any]] = {
            "paths": lambda key, value: tuple(self._folder(key, p) for p in self._strings(key, value)),
            "exclude": lambda key, value: tuple(self._strings(key, value)),
            "select": self._selection,
            "ignore": self._ignored,
            "per-file-ignores": self._per_file,
        }
        for key in self.table:
            if key not in keys:
                hint = suggest(key, keys, f"expected {', '.join(f'`{k}`' for k in keys)}")
                raise self._error(key, f"there is no setting `{key}`; {hint}")
        given = {key: read(key, self.table[key]) for key, read in keys.items() if key in self.table}
        select, ignore = given.get("select", dict.fromkeys(RULES, 0)), given.get("ignore", {})
        optional = (code for code, rule in RULES.items() if rule.severity != "error")
        ignored = (c for c in optional if c not in select or ignore.get(c, -1) >= select[c])
        return Settings(
            file=self.file,
            paths=given.get("paths", ()),
            exclude=given.get("exclude", ()),
            ignored=frozenset(ignored),
            per_file=given.get("per-file-ignores", ()),
        )

    def _error(self, key: str, message: str) -> SettingsError:
        """With the line of a key, if it is written in the usual way."""
        table = self.text.find(_TABLE)
        pattern = rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*="
        place = re.compile(pattern, re.MULTILINE).search(self.text, table) if table >= 0 else None
        line = f":{self.text.count(chr(10), 0, place.start()) + 1}" if place else ""
        return SettingsError(f"{self.file}{line}: {_TABLE}: {message}")

    def _strings(self, key: str, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self._error(key, f"`{key}` is {_shown(value)}; expected a list of strings, such as {_EXAMPLES[key]}")
        return value

    def _folder(self, key: str, path: str) -> str:
        project = Path(self.file).parent
        if not os.path.isdir(project / path):  # noqa: PTH112 (a name may be too long: Path raises)
            raise self._error(key, f"`{path}` of `{key}` is not a folder; paths are relative to `{project}`")
        return os.path.normpath(project / path)

    def _selection(self, key: str, value: Any) -> dict[str, int]:
        """The codes that some beginnings stand for, each with the length of the longest of them."""
        out: dict[str, int] = {}
        for beginning in self._strings(key, value):
            codes = list(RULES) if beginning == "ALL" else [c for c in RULES if c.startswith(beginning)]
            if not codes or not (beginning == "ALL" or beginning.startswith("TAX")):
                hint = suggest(beginning, [*RULES, "ALL"], "expected a code such as `TAX305`, its beginning, or `ALL`")
                raise self._error(key, f"no rule begins with `{beginning}` of `{key}`; {hint}")
            length = 0 if beginning == "ALL" else len(beginning)
            out |= {c: max(length, out.get(c, 0)) for c in codes}
        return out

    def _ignored(self, key: str, value: Any) -> dict[str, int]:
        for beginning in self._strings(key, value):
            codes = self._selection(key, [beginning])
            if all(RULES[c].severity == "error" for c in codes):
                what = f"`{beginning}` is an error" if beginning in RULES else f"all rules in `{beginning}` are errors"
                why = "what has errors cannot be compiled, so errors cannot be ignored"
                raise self._error(key, f"{what}; {why} (`lsu-onto explain {next(iter(codes))}`)")
        return self._selection(key, value)

    def _per_file(self, key: str, value: Any) -> tuple[tuple[str, frozenset[str]], ...]:
        if not isinstance(value, Mapping):
            raise self._error(key, f"`{key}` is {_shown(value)}; expected a table, such as {_EXAMPLES[key]}")
        out = []
        for pattern, codes in value.items():
            if not isinstance(codes, list):
                raise self._error(key, f"`{pattern}` is {_shown(codes)}; expected a list of codes: {_EXAMPLES[key]}")
            chosen = self._ignored(key, codes)
            out.append((pattern, frozenset(c for c in chosen if RULES[c].severity != "error")))
        return tuple(out)


_EXAMPLES = {
    "paths": '["taxonomies"]',
    "exclude": '["drafts", "old_*.tax"]',
    "select": '["TAX3"]',
    "ignore": '["TAX305"]',
    "per-file-ignores": '{ "drafts/*" = ["TAX305"] }',
}


def _shown(value: Any) -> str:
    try:
        return "empty" if value in ("", [], {}) else f"`{str(value)[:60]}`"
    except RecursionError:  # of a key with thousands of dots
        return "nested too deeply"
