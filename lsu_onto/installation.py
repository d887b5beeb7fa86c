"""What is installed, what does not fit together, and the command that repairs it.

This reads the metadata of the installed packages and imports none of them, so that it works even if they do not. The
requirements of lsu-toolkit come from its own metadata; the rules below add the conflicts that pip does not report.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lsu_onto.errors import UserError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from packaging.requirements import Requirement
    from packaging.version import Version

US = "lsu-toolkit"
FORKS = ("onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "onedl-mmdetection", "onedl-mmpretrain")
ORIGINALS = ("mmengine", "mmengine-lite", "mmcv", "mmcv-lite", "mmsegmentation", "mmdet", "mmpretrain")
OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
EXTRAS = {
    "seg": "training, pseudo-labels and evaluation: `lsu-seg`",
    "seg-openmmlab": "`lsu-seg` on the OpenMMLab originals",
    "mask2former": "Mask2Former teachers",
    "hf": "teachers from Hugging Face",
    "render": "`lsu-onto render`",
    "labels": "`lsu-onto init --from-labels` and `lsu-seg scan`",
    "audit": "`lsu-seg audit`",
    "skos": "`lsu-onto export --to skos`",
    "lsp": "`lsu-onto lsp`, for editors",
    "parquet": "Waymo labels, which come as Parquet tables, and `lsu-seg export-dataset --to hf`",
    "experiments": "the weights and plots of tools/experiments",
}
"""The extras that a user may want, and what each is for."""

ALONE = {"mask2former": ("shapely", "six")}
"""Extras whose packages are best installed without what they depend on, and the part of that which is needed: mmdet
brings an older numpy, and a second OpenCV that overwrites the first."""

ORIGINAL_OF = {"onedl-mmdetection": "mmdet>=3.3,<3.4"}
"""Requirements of extras, and what goes with the OpenMMLab originals instead."""


class Finding(NamedTuple):
    """One line of the report. A `note` is worth knowing and needs no action; only a `problem` fails."""

    state: Literal["ok", "note", "problem"]
    message: str
    fix: str | None = None


class _DamagedError(Exception):
    """What the metadata of a package say cannot be read."""

    def __init__(self, package: str, message: str) -> None:
        super().__init__(message)
        self.package = package


class Environment:
    """What the rules examine.

    Args:
        path: folders with `.dist-info` folders; None: those of the running interpreter.
        virtual: whether it is a virtual environment; None: whether this is one.
        dot: the `dot` program; None: look for it, "": there is none.
    """

    def __init__(self, path: Sequence[str] | None = None, virtual: bool | None = None, dot: str | None = None) -> None:
        import shutil
        from importlib.metadata import distributions

        from packaging.utils import canonicalize_name

        here = sys.prefix != sys.base_prefix or bool(os.environ.get("CONDA_PREFIX"))
        self.virtual = here if virtual is None else virtual
        self.dot = (shutil.which("dot") or "") if dot is None else dot
        self.installed: dict[str, Distribution] = {}
        """Normalised name → the distribution that an import finds."""
        for d in distributions() if path is None else distributions(path=list(path)):
            try:
                name = "Name" in d.metadata and d.metadata["Name"]
            except UnicodeDecodeError:
                continue
            if name:  # not in the remains of a broken uninstallation
                self.installed.setdefault(canonicalize_name(name), d)

    def has(self, names: Iterable[str]) -> list[str]:
        return [n for n in names if n in self.installed]

    def version(self, name: str) -> str:
        return str(self.installed[name].version)

    def release(self, name: str) -> Version:
        """The version of a package, for comparisons.

        Raises:
            _DamagedError: it is none.
        """
        from packaging.version import InvalidVersion, Version

        try:
            return Version(self.version(name))
        except InvalidVersion as e:
            raise _DamagedError(name, f"`{self.version(name)}` is no version") from e

    def shown(self, names: Iterable[str]) -> str:
        return ", ".join(f"{n} {self.version(n)}" for n in names)

    def needs(self, extra: str = "") -> list[Requirement]:
        """The requirements in the metadata of lsu-toolkit, in general or for an extra."""
        from packaging.requirements import InvalidRequirement, Requirement

        if US not in self.installed:
            return []
        out = []
        for text in self.installed[US].requires or ():
            try:
                r = Requirement(text)
            except InvalidRequirement as e:
                raise UserError(f"the metadata of this installation are damaged: {e}; install it again") from e
            always = r.marker is None or r.marker.evaluate({"extra": ""})
            if always != bool(extra) and (always or (r.marker and r.marker.evaluate({"extra": extra}))):
                out.append(r)
        return out


def _install(needs: Iterable[Requirement], alone: bool = False) -> str:
    words = (f'"{r.name}{r.specifier}"' if r.specifier or not alone else r.name for r in needs)
    return " ".join(["python -m pip install", *(["--no-deps"] if alone else []), *words])


def _uninstall(names: Iterable[str]) -> str:
    return f"python -m pip uninstall -y {' '.join(names)}"


def _judge(env: Environment, needs: list[Requirement]) -> tuple[list[str], list[Requirement], list[Requirement]]:
    """The names of packages that are installed and in range, that are missing, and that are out of range."""
    from packaging.utils import canonicalize_name

    good, missing, wrong = [], [], []
    for r in needs:
        name = canonicalize_name(r.name)
        if name == "mmcv-lite" and "mmcv" in env.installed:
            name = canonicalize_name("mmcv")  # the same with compiled ops
        if name not in env.installed:
            missing.append(r)
        elif not r.specifier.contains(env.release(name), prereleases=True):
            wrong.append(r)
        else:
            good.append(str(name))
    return good, missing, wrong


def _out_of_range(env: Environment, wrong: list[Requirement], alone: bool = False) -> Iterator[Finding]:
    from packaging.utils import canonicalize_name

    for r in wrong:
        name = canonicalize_name(r.name)
        have = name if name in env.installed else "mmcv"
        yield Finding("problem", f"{env.shown([have])} is outside {r.specifier}", _install([r], alone))


# --- the rules ---------------------------------------------------------------------------------------------


def virtual_environment(env: Environment) -> Iterator[Finding]:
    if not env.virtual:
        yield Finding(
            "note",
            "this is no virtual environment: what is installed here can break other programs, and they can break this",
            "python -m venv .venv && . .venv/bin/activate",
        )


def core(env: Environment) -> Iterator[Finding]:
    if US not in env.installed:
        yield Finding(
            "problem",
            f"{US} is on the import path but not installed, so what it needs is not known",
            "python -m pip install -e .   # at the root of the repository",
        )
        return
    good, missing, wrong = _judge(env, env.needs())
    if missing:
        yield Finding("problem", f"missing: {', '.join(r.name for r in missing)}", _install(missing))
    yield from _out_of_range(env, wrong)
    if good and not missing and not wrong:
        yield Finding("ok", f"the language: {env.shown(good)}")


def extras(env: Environment) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    forks, originals = env.has(FORKS), env.has(ORIGINALS)
    unwanted = {"seg", "seg-openmmlab"} if forks and originals else {"seg" if originals else "seg-openmmlab"}
    in_use = {"seg"} if forks else {"seg-openmmlab"} if originals else set()
    seen: set[str] = set()
    for extra, purpose in EXTRAS.items():
        needs = [r for r in env.needs(extra) if r.name not in seen or extra not in unwanted]
        if extra in unwanted or not needs:
            continue
        if originals:
            needs = [Requirement(ORIGINAL_OF.get(r.name, str(r))) for r in needs]
        alone = ALONE.get(extra, ())
        good, missing, wrong = _judge(env, [*needs, *map(Requirement, alone)])
        if extra == "render" and env.dot and [r.name for r in missing] == ["pygraphviz"]:
            yield Finding("ok", f"[render]: {env.shown(good)}, and the `dot` program at {env.dot}")
        elif missing:
            names = ", ".join(r.name for r in missing)
            state: Literal["problem", "note"] = "problem" if extra in in_use else "note"
            yield Finding(state, f"[{extra}] lacks {names}: {purpose}", _install(missing, bool(alone)))
        elif not wrong:
            yield Finding("ok", f"[{extra}]: {env.shown(good)}")
        yield from _out_of_range(env, [r for r in wrong if r.name not in seen], bool(alone))
        seen |= {r.name for r in wrong}


def forks_and_originals(env: Environment) -> Iterator[Finding]:
    both = [*env.has(FORKS), *env.has(ORIGINALS)]
    if env.has(FORKS) and env.has(ORIGINALS):
        fix = _uninstall(both)
        if again := env.needs("seg"):
            fix += f" && {_install(r for r in again if r.name in FORKS)}"
        yield Finding(
            "problem",
            f"{env.shown(both)}: forks and originals have the same import names and overwrite each other's files",
            fix,
        )


def two_mmcv(env: Environment) -> Iterator[Finding]:
    both = env.has(("mmcv", "mmcv-lite"))
    if len(both) == 2 and not env.has(FORKS):
        need = [r for r in env.needs("seg-openmmlab") if r.name == "mmcv-lite"]
        fix = _uninstall(both) + (f" && {_install(need)}" if need else "")
        yield Finding("problem", f"{env.shown(both)}: two packages for one folder, `mmcv`", fix)


def two_opencv(env: Environment) -> Iterator[Finding]:
    several = env.has(OPENCV)
    if len(several) > 1:
        fix = f"{_uninstall(several)} && python -m pip install opencv-python"
        yield Finding("problem", f"{env.shown(several)}: they overwrite each other's files, all in `cv2`", fix)


def torchvision(env: Environment) -> Iterator[Finding]:
    """A wheel is built for one torch, which its metadata names. Builds for CPU and GPU do not mix either."""
    from packaging.requirements import InvalidRequirement, Requirement

    if len(env.has(("torch", "torchvision"))) < 2:
        return
    torch, vision = env.release("torch"), env.release("torchvision")
    try:
        needs = [r for r in map(Requirement, env.installed["torchvision"].requires or ()) if r.name == "torch"]
    except InvalidRequirement as e:
        raise _DamagedError("torchvision", f"a requirement cannot be read ({str(e).splitlines()[0]})") from e
    wrong = next((f"it is built for torch{r.specifier}" for r in needs if torch not in r.specifier), None)
    if not wrong and torch.local != vision.local:
        one, other = (version.local or "the default device" for version in (torch, vision))
        wrong = f"one is built for {one}, the other for {other}"
    if wrong:
        yield Finding(
            "problem",
            f"torchvision {vision} does not go with torch {torch}: {wrong}; imports fail with"
            " `operator torchvision::nms does not exist`",
            f"{_uninstall(['torchvision'])}   # nothing here needs it",
        )


def compiled_ops(env: Environment) -> Iterator[Finding]:
    for name in env.has(("onedl-mmcv", "mmcv", "mmcv-lite")):
        try:
            files = env.installed[name].files
        except (TypeError, ValueError, csv.Error) as e:  # a line with too many values, bytes that are no text
            raise _DamagedError(name, f"its RECORD cannot be read ({e})") from e
        if files is not None and not any(f.name.startswith("_ext") for f in files):
            yield Finding(
                "note",
                f"{name} {env.version(name)} has no compiled ops: PSANet cannot run, and deformable"
                " attention (Mask2Former) runs in plain torch",
            )


RULES = (
    virtual_environment,
    core,
    extras,
    forks_and_originals,
    two_mmcv,
    two_opencv,
    torchvision,
    compiled_ops,
)


# --- the report --------------------------------------------------------------------------------------------


def examine(env: Environment | None = None) -> list[Finding]:
    """All findings on an environment, in the order of `RULES`. A rule ends at the first package that is damaged."""
    env = env or Environment()
    findings: dict[Finding, None] = {}
    for rule in RULES:
        try:
            findings |= dict.fromkeys(rule(env))
        except _DamagedError as e:
            fix = f"python -m pip install --force-reinstall --no-deps {e.package}"
            findings[Finding("problem", f"the metadata of {e.package} are damaged: {e}", fix)] = None
    return [*findings]


def _versions(env: Environment) -> dict[str, str]:
    """The installed packages that matter here."""
    from packaging.utils import canonicalize_name

    needed = [canonicalize_name(r.name) for e in ("", *EXTRAS) for r in env.needs(e)]
    names = dict.fromkeys([US, *needed, "torchvision", *FORKS, *ORIGINALS, *OPENCV])
    return {n: env.version(n) for n in env.has(names)}


def as_dict(env: Environment, findings: Sequence[Finding]) -> dict[str, Any]:
    """The report as a versioned envelope."""
    import platform

    return {
        "version": 1,
        "python": platform.python_version(),
        "prefix": sys.prefix,
        "packages": _versions(env),
        "problems": sum(f.state == "problem" for f in findings),
        "findings": [f._asdict() for f in findings],
    }


def as_text(env: Environment, findings: Sequence[Finding]) -> str:
    """The report for people."""
    import platform

    from lsu_onto import __version__

    version = env.version(US) if US in env.installed else __version__
    lines = [f"{US} {version}, Python {platform.python_version()} in {sys.prefix}", ""]
    mark = {"ok": "✓", "note": "·", "problem": "✗"}
    for f in findings:
        lines.append(f"{mark[f.state]} {f.message}")
        if f.fix:
            lines.append(f"    {f.fix}")
    count = sum(f.state == "problem" for f in findings)
    return "\n".join([*lines, "", f"{count or 'no'} problem{'s' * (count != 1)}"])
