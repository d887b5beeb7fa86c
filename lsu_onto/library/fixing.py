"""What `validate` does with many files: their findings, and the fixes that these carry, applied to the texts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from lsu_onto.diagnostics import Diagnostic, Fix
from lsu_onto.files import write_atomic
from lsu_onto.lang.parse import read
from lsu_onto.library.library import Library, here

_ROUNDS = 100
"""More than any file needs: fixes that bring each other back would never end."""


def findings(library: Library, files: Sequence[str], advance: Callable[[], object] = lambda: None) -> list[Diagnostic]:
    """The findings of files and of what they inherit, and the errors of files that they import, each once."""
    out: list[Diagnostic] = []
    for file in files:
        out += library.check(file).diagnostics
        out += [each.problem for each in library.inherited_maps(file) if each.problem]
        advance()
    for file in files:
        imported = {f for o in library.check(file).resolved.ontologies for f in o.files} - set(files)
        out += [d for f in sorted(imported) for d in library.check(f).errors]
    return list(dict.fromkeys(out))


@dataclass
class Fixed:
    """What fixes made of some files. The library has the new texts; the disk does not, unless `write` is called."""

    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """File → its text before and after, if they differ."""
    count: dict[str, int] = field(default_factory=dict)
    """File → how many of its findings were fixed."""
    undone: list[Diagnostic] = field(default_factory=list)
    """Findings whose fix would not have settled them, or would have led to more errors than there were."""


def fix(library: Library, files: Sequence[str], unsafe: bool, advance: Callable[[], object] = lambda: None) -> Fixed:
    """Apply the fixes of errors and warnings, until none is left.

    A round takes at most one fix per line, because each was made for the line as it is; first those of findings that
    hide others. Those of its fixes that do not help are undone and not tried again.

    Args:
        files: the files that may change. One that is named twice, under whatever paths, is changed once.
        unsafe: also apply the fixes that guess or decide.
        advance: called after each trial.
    """
    named = list({os.path.realpath(file): file for file in reversed(files)}.values())[::-1]
    out = Fixed()
    refused: set[tuple[object, ...]] = set()
    findings(library, named)  # reads them
    old = {file: library.texts[file] for file in named}
    for _ in range(_ROUNDS):
        fixable = [d for d in findings(library, files) if _may_fix(d, unsafe) and _place(d)[0] in old]
        keys = {d: _key(library, d) for d in fixable}
        batch = _one_per_line(d for d in fixable if keys[d] not in refused)
        batch = [d for d in batch if _hides_more(library, d)] or batch
        if not batch:
            break
        # From the last line to the first, so that the places of the others stay.
        kept = set(_apply_helpful(library, files, sorted(batch, key=_place, reverse=True), advance))
        undone = [d for d in batch if d not in kept]
        refused.update(keys[d] for d in undone)
        out.undone += undone
        for d in kept:
            out.count[_place(d)[0]] = out.count.get(_place(d)[0], 0) + 1
    out.texts = {f: (text, library.texts[f]) for f, text in old.items() if library.texts[f] != text}
    return out


def write(library: Library, fixed: Fixed) -> list[Diagnostic]:
    """Write the files that fixes changed, and return the findings on those that cannot be written.

    A file that somebody else changed since it was read stays as it is. What is not written is no longer in `fixed`, and
    the library has it as the disk does.
    """
    problems = []
    for file, (old, new) in list(fixed.texts.items()):
        now, problem = read(file)
        if not problem and now != old:
            what = f"`{file}` changed while it was being fixed, and stays as it is"
            problem = Diagnostic("TAX001", what, here(file), "run the command again")
        if not problem:
            try:
                write_atomic(file, new.encode())
            except OSError as e:
                problem = Diagnostic("TAX001", f"cannot write `{file}`: {e.strerror}", here(file))
        if problem:
            problems.append(problem)
            del fixed.texts[file], fixed.count[file]
        library.edit(file, None)
    return problems


def with_fixes(text: str, fixes: Iterable[Fix]) -> str:
    """A text after fixes, no two of which are of one line.

    >>> from lsu_onto.diagnostics import Span
    >>> with_fixes("tax 1\\r\\n0 a ~ b", [Fix("", Span("", 2, 5, 6), "<"), Fix("", Span("", 1, 1, 1), "# x\\n")])
    '# x\\r\\ntax 1\\r\\n0 a < b'
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    lines = text.removeprefix(mark).split("\n")
    for f in fixes:
        line = lines[f.span.line - 1]
        new = f.text.replace("\n", "\r\n") if "\r\n" in text else f.text
        lines[f.span.line - 1] = line[: f.span.column - 1] + new + line[f.span.end - 1 :]
    return mark + "\n".join(lines)


def _place(d: Diagnostic) -> tuple[str, int, int]:
    span = d.fix.span if d.fix else d.span
    return span.file, span.line, span.column


def _may_fix(d: Diagnostic, unsafe: bool) -> bool:
    return d.fix is not None and d.severity != "info" and (d.fix.safe or unsafe)


def _one_per_line(fixable: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The first finding of each line; errors before warnings."""
    first: dict[tuple[str, int], Diagnostic] = {}
    for d in sorted(fixable, key=lambda d: d.severity):
        first.setdefault(_place(d)[:2], d)
    return list(first.values())


def _key(library: Library, d: Diagnostic) -> tuple[object, ...]:
    """A fix, whatever line its line is by now."""
    assert d.fix
    span = d.fix.span
    line = library.texts[span.file].removeprefix("\ufeff").split("\n")[span.line - 1]
    return d.code, replace(d.fix, span=span._replace(line=0)), line


def _apply_helpful(
    library: Library, files: Sequence[str], batch: list[Diagnostic], advance: Callable[[], object]
) -> list[Diagnostic]:
    """Apply the fixes of a batch that help, and return them: all at once, or else those of each half.

    So one that does harm among a thousand takes some twenty trials, each of which checks whole files again.
    """
    helps = _apply(library, files, batch)
    advance()
    if helps or len(batch) == 1:
        return batch if helps else []
    half = len(batch) // 2
    return [d for part in (batch[:half], batch[half:]) for d in _apply_helpful(library, files, part, advance)]


def _apply(library: Library, files: Sequence[str], batch: list[Diagnostic]) -> bool:
    """Apply fixes to the texts of the library, and say whether that helped; otherwise, the texts stay as they were.

    It does not help if one of the findings is still there, or if there are more errors; several fixes together
    must also remove as many errors as they are made for. Errors that could not be seen before do not count: an unknown
    name keeps its own line from being checked.
    """
    before = findings(library, files)
    by_file: dict[str, list[Diagnostic]] = {}
    for d in batch:
        by_file.setdefault(_place(d)[0], []).append(d)
    texts = {file: library.texts[file] for file in by_file}
    opens = any(_hides_more(library, d) for d in batch)
    lines = {_place(d)[:2] for d in batch if d.code in ("TAX201", "TAX202")}
    for file, found in by_file.items():
        library.edit(file, with_fixes(texts[file], [d.fix for d in found if d.fix]))
    after = findings(library, files)

    def errors(found: list[Diagnostic]) -> int:
        return sum(d.severity == "error" and (d.span.file, d.span.line) not in lines for d in found)

    def like(d: Diagnostic) -> tuple[str, str, int]:
        return d.code, d.span.file, d.span.line

    count_before, count_after = Counter(map(like, before)), Counter(map(like, after))
    present = set(after)
    stays = any(d in present and count_after[like(d)] >= count_before[like(d)] for d in batch)
    settled = errors(batch) if len(batch) > 1 else 0  # else one that does harm would hide behind the others
    if not stays and (opens or errors(after) <= errors(before) - settled):
        return True
    for file, text in texts.items():
        library.edit(file, text)
        library.check(file)
    return False


def _hides_more(library: Library, d: Diagnostic) -> bool:
    """Whether a finding keeps a whole file from being checked: it is on a line that could not be read."""
    return d.span.line in library.workspace.parsed(d.span.file).damaged
