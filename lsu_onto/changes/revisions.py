"""Compares a `.tax` file with another file, or with itself at a git revision."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lsu_onto.changes.chains import Maps, changed_chains
from lsu_onto.changes.compare import Version, compare
from lsu_onto.diagnostics import Diagnostic, Span, suggest
from lsu_onto.errors import UserError
from lsu_onto.files import make_folder
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped


class RevisionError(UserError):
    """There is no repository, no such revision, or no such file in it."""


def changes(file: str, against: str, search: Sequence[str | Path] = ()) -> tuple[list[Diagnostic], dict[str, str]]:
    """The breaking changes of a file, and the texts that they refer to.

    If one of the two versions has errors, the errors are returned instead. Under `git:REV`, every `.tax` file of the
    repository, the search path's included, is read as it was at that revision; otherwise both versions refer to
    the taxonomies as they are today.

    Args:
        file: the new version.
        against: a file, or `git:` and a commit, tag or branch.
        search: folders searched before the shipped library.

    Raises:
        RevisionError: there is nothing to compare with.
    """
    library = Library(search)
    new, problems = version(library, file)
    if problems:
        return problems, library.texts
    if not against.startswith("git:"):
        old, problems = version(library, against)
        return problems or _all_changes(old, library, new, library), library.texts
    revision = against.removeprefix("git:")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        root, path = checkout(Path(file), revision, folder)
        before = Library([*moved([*map(Path, search), shipped()], root, folder), *search])
        old, problems = version(before, str(path))
        findings = problems or _all_changes(old, before, new, library)

        def label(path: str) -> str:
            p = Path(path)
            return f"{revision}:{p.relative_to(folder).as_posix()}" if p.is_relative_to(folder) else path

        def place(span: Span | None) -> Span | None:
            return span and span._replace(file=label(span.file))

        texts = library.texts | {label(f): text for f, text in before.texts.items()}
        return [replace(d, span=place(d.span) or d.span, second=place(d.second)) for d in findings], texts


def _all_changes(old: Version, before: Library, new: Version, library: Library) -> list[Diagnostic]:
    """What broke in a file, then what follows from that and from other files. `before`: the library of `old`."""
    return [*compare(old, new), *changed_chains(Maps(old, before), Maps(new, library))]


def version(library: Library, path: str) -> tuple[Version, list[Diagnostic]]:
    """A file with all that it stands for, its maps and those that its datasets inherit; and the errors in these."""
    analysis, inherited = library.check(path), library.inherited_maps(path)
    maps = (*analysis.resolved.ontologies, *(each.map for each in inherited))
    files = dict.fromkeys([analysis.file.path, *(f for o in maps for f in o.files)])
    errors = [d for f in files for d in library.check(f).errors]
    return Version(analysis, maps), errors + [each.problem for each in inherited if each.problem]


def checkout(file: Path, revision: str, folder: Path) -> tuple[Path, Path]:
    """Write every `.tax` file of a revision to a folder.

    Args:
        file: a file in the work tree of a git repository.
        revision: a commit, tag or branch.
        folder: where to write; the repository is not touched.

    Returns:
        The root of the work tree, and the file as it was.
    """
    file = file.resolve()
    if not file.parent.is_dir():
        raise RevisionError(f"there is no folder `{file.parent}`")
    repository = _repository_of(file)
    sha = _commit(repository, revision)
    inside = file.relative_to(repository.root)
    try:
        repository.git("cat-file", "-e", f"{sha}:{inside.as_posix()}")
        patterns = ":(glob)**/*.tax", f":(literal){inside.as_posix()}"
        archive = repository.git("archive", "--format=tar", sha, "--", *patterns)
    except GitError as e:
        if re.search("exists on disk, but not in|does not exist in", e.said):
            hint = _moved_from(repository, sha, revision, inside.as_posix())
            raise RevisionError(f"`{inside.as_posix()}` is not in revision `{revision}`{hint}") from None
        raise RevisionError(f"git cannot read `{inside.as_posix()}` at revision `{revision}`: {e.said}") from None
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:  # `filter="data"` came with Python 3.11.4; links are left out, as with it
                content = tar.extractfile(member) if member.isfile() else None
                target = (folder / member.name).resolve()
                if content and target.is_relative_to(folder):
                    make_folder(target.parent)
                    target.write_bytes(content.read())
    except (tarfile.TarError, ValueError) as e:  # NUL in a name
        raise RevisionError(f"what `git archive` printed is no archive ({e}); {_OTHER}") from None
    if not (folder / inside).is_file():
        raise RevisionError(
            f"`{inside.as_posix()}` is no file in revision `{revision}`, or a `.gitattributes` there leaves it out of"
            " archives (`export-ignore`); give the old file itself"
        )
    return repository.root, folder / inside


def _moved_from(repository: Repository, sha: str, revision: str, inside: str) -> str:
    """What to do if git finds that a file had another name in a revision; empty if it does not."""
    fields = repository.git("diff", "--name-status", "-z", "-M", "--diff-filter=R", sha, "--").split(b"\0")
    for old, new in zip(fields[1::3], fields[2::3], strict=False):
        if new == os.fsencode(inside):
            was = os.fsdecode(old)
            show = shlex.join(["git", "show", f"{revision}:{was}"])
            return f", where it was `{was}`: write `{show} > old.tax`, and compare with `--against old.tax`"
    return ""


def moved(roots: Iterable[Path], root: Path, folder: Path) -> list[Path]:
    """The roots that lie in the work tree, as paths below `folder`."""
    inside = [r.resolve() for r in roots if r.resolve().is_relative_to(root)]
    return [p for p in (folder / r.relative_to(root) for r in inside) if p.is_dir()]


def _commit(repository: Repository, revision: str) -> str:
    """The hash of a revision's commit."""
    try:
        printed = repository.git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
        if not re.fullmatch(rb"[0-9a-f]{40,}", printed):
            raise RevisionError(f"what `git rev-parse` printed is no hash ({printed[:40]!r}); {_OTHER}")
        return printed.decode()
    except GitError as e:
        message = f"there is no revision `{revision}`"
        if "Needed a single revision" not in e.said:
            message += f"; {e}"
    if repository.git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise RevisionError(
            f"{message}; this clone is shallow: fetch the history with `git fetch --unshallow`, or in CI"
            " (`actions/checkout`) with `fetch-depth: 0`"
        )
    names = repository.git("for-each-ref", "--format=%(refname:short)").decode(errors="replace").split()
    hint = suggest(revision, names) if revision else None
    raise RevisionError(f"{message}; {hint}" if hint else message)


class GitError(RevisionError):
    """What git said when it failed."""

    def __init__(self, said: bytes) -> None:
        self.said = " ".join(said.decode(errors="replace").split()).removeprefix("fatal: ").removeprefix("warning: ")
        super().__init__(f"git says: {self.said}")


_OTHER = "is the program `git` on the PATH another one?"

_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
"""Variables that name a repository. git sets them for its hooks, where it takes the folder that it runs in, and not the
one with the `.git`, for the root of the work tree."""

_PATTERNS = ("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
"""Variables that change what our patterns mean."""


@dataclass(frozen=True)
class Repository:
    """A work tree of git.

    Args:
        root: its uppermost folder; before that is known, any folder in it.
        places: the variables that name it, where it cannot be found from the folder.
    """

    root: Path
    places: dict[str, str] = field(default_factory=dict)

    def git(self, *args: str) -> bytes:
        env = {name: value for name, value in os.environ.items() if name not in (*_PLACES, *_PATTERNS)}
        env |= {**self.places, "LC_ALL": "C", "LANGUAGE": "C"}  # what it says is compared
        try:
            done = subprocess.run(["git", "-C", str(self.root), *args], capture_output=True, check=False, env=env)
        except FileNotFoundError:
            raise RevisionError("the program `git` is not installed") from None
        # of `@{1 year ago}` where the reflog begins later, git gives the oldest that it knows, with a warning
        if done.returncode or b" only goes back to " in done.stderr:
            raise GitError(done.stderr)
        return done.stdout

    def whole(self) -> Repository:
        """With its root.

        Raises:
            GitError: there is no repository, or git does not touch it.
        """
        printed = self.git("rev-parse", "--show-toplevel").rstrip(b"\n")
        if b"\0" in printed:
            raise GitError(b"a path with NUL; " + _OTHER.encode())
        root = Path(os.fsdecode(printed)).resolve()
        return Repository(root, self.places | {"GIT_WORK_TREE": str(root)} if self.places else {})


def _repository_of(file: Path) -> Repository:
    """The repository that a file lies in, whatever git's variables say; else the one that they name.

    Raises:
        RevisionError: there is none.
    """
    try:
        repository = Repository(file.parent).whole()
    except GitError as e:
        if "not a git repository" not in e.said:
            raise RevisionError(f"git refuses the repository of `{file.name}`: {e.said}") from None
        places = {name: str(Path(os.environ[name]).absolute()) for name in _PLACES if os.environ.get(name)}
        if "GIT_DIR" not in places:
            raise RevisionError(f"`{file.name}` is not in a git repository{_why_not(file, e.said)}") from None
        try:
            repository = Repository(Path.cwd(), places).whole()
        except GitError as named:
            why = f"nor is `GIT_DIR={os.environ['GIT_DIR']}` of use: {named.said}"
            raise RevisionError(f"`{file.name}` is not in a git repository; {why}") from None
    if not file.is_relative_to(repository.root):
        why = "see `GIT_WORK_TREE`" if repository.places else "see `git config core.worktree`"
        raise RevisionError(f"`{file.name}` is not in the work tree of its repository, `{repository.root}`; {why}")
    return repository


def _why_not(file: Path, said: str) -> str:
    """Why git sees no repository where there seems to be one; empty if there is none."""
    if "(or any" not in said:  # of the folders above
        return f": git says: {said}"
    found = next((folder / ".git" for folder in file.parents if os.path.lexists(folder / ".git")), None)
    return f": there is `{found}`, but git takes it for none; is it damaged? see `git status`" if found else ""
