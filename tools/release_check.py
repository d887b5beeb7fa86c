"""Whether a release could be made of this commit: builds both files, looks into them, and installs and uses them.

    make release-check

Wheel and sdist are built as the package index gets them and put into `dist`, if nothing is wrong with them. Exit code
1: something is, one line each. docs/releasing.md says how a release is made.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from email import message_from_bytes
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from install import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("lsu_onto", "lsu_seg")
FOLDERS = {"taxonomies": "lsu_onto/taxonomies"}
"""Folders of the repository that have another place in the wheel."""
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
"""What a package index shows. GitHub serves raw SVG files as text."""


class Built(NamedTuple):
    """The two files of a release."""

    wheel: Path
    sdist: Path


# --- building ------------------------------------------------------------------------------------------------


def build(folder: Path) -> Built:
    """The sdist from the commit, the wheel from the sdist: a file that the sdist lacks is missed.

    From what git has and not from the checkout: hatchling does not look at .gitignore where the checkout itself lies
    in a folder whose name is there, such as `work`.

    Raises:
        subprocess.CalledProcessError: they cannot be built; the output of the command says why.
    """
    _run(["git", "-C", ROOT, "archive", "--output", folder / "commit.tar", "HEAD"])
    with tarfile.open(folder / "commit.tar") as t:
        t.extractall(folder / "commit", filter="data")
    _run([sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "commit"])
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return Built(wheel, sdist)


# --- what the files say and contain --------------------------------------------------------------------------


def metadata_faults(built: Built) -> Iterator[str]:
    """What the index would refuse or not show."""
    done = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built], capture_output=True, text=True
    )
    if done.returncode:
        yield from (line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip())
    with zipfile.ZipFile(built.wheel) as z:
        names = z.namelist()
        metadata = message_from_bytes(z.read(next(n for n in names if n.endswith(".dist-info/METADATA"))))
    for need in metadata.get_all("Requires-Dist", []):
        if " @ " in need:
            yield f"Requires-Dist: {need}: a package index refuses addresses; name a version"
    if not any(".dist-info/licenses/LICENSE" in n for n in names):
        yield f"{built.wheel.name}: has no LICENSE"


def version_faults(version: str, built: Built, changelog: str) -> Iterator[str]:
    """Whether the files and the changelog are of this version."""
    for file in built:
        if not re.match(rf"lsu_toolkit-{re.escape(version)}(-py3-none-any\.whl|\.tar\.gz)$", file.name):
            yield f"{file.name}: `lsu_onto.__version__` is {version}"
    heading = re.search(r"^## (.*)$", changelog, re.MULTILINE)
    if heading is None or heading[1].split()[0] != version:
        yield (
            f"CHANGELOG.md: its first section is `{heading[1] if heading else ''}`; expected `## {version}`, with the"
            " date of the release or `(unreleased)` after it"
        )


def content_faults(built: Built, tracked: Iterable[str]) -> Iterator[str]:
    """What a file lacks, or has besides what git tracks."""
    tracked = set(tracked)
    expected = {
        f"{FOLDERS.get(top, top)}/{rest}"
        for top, _, rest in (name.partition("/") for name in tracked)
        if top in PACKAGES or top in FOLDERS
    }
    with zipfile.ZipFile(built.wheel) as z:
        yield from _difference(built.wheel.name, {n for n in z.namelist() if ".dist-info/" not in n}, expected)
    with tarfile.open(built.sdist) as t:
        inside = {m.name.partition("/")[2] for m in t.getmembers() if m.isfile()}
    yield from _difference(built.sdist.name, inside - {"PKG-INFO"}, tracked)


def _difference(name: str, inside: set[str], expected: set[str]) -> Iterator[str]:
    for missing in sorted(expected - inside):
        yield f"{name}: lacks {missing}"
    for extra in sorted(inside - expected):
        yield f"{name}: has {extra}, which git does not track"


# --- the page on the index -----------------------------------------------------------------------------------


class _Links(HTMLParser):
    """Addresses of links and pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag == "img" and values.get("src"):
            self.pictures.append(str(values["src"]))


def page_faults(html: str, tracked: Iterable[str], home: str) -> Iterator[str]:
    """Links and pictures of README, as the index renders it, that lead nowhere.

    Args:
        home: the repository on the web; what leads there is looked up in `tracked`, git's list of files.
    """
    files = set(tracked)
    folders = {parent.as_posix() for file in files for parent in Path(file).parents}
    raw = home.replace("//github.com", "//raw.githubusercontent.com")
    page = _Links(html)
    if len(page.links) < 10 or not page.pictures:
        yield f"the page has {len(page.links)} links and {len(page.pictures)} pictures: README was not rendered"
    for url in [*page.links, *page.pictures]:
        if not urlsplit(url).scheme and not url.startswith("#"):
            yield f"{url}: is relative, and the index has none of our files"
    for url in page.links:
        path = re.match(rf"{re.escape(home)}/(?:blob|tree)/main/([^#?]+)", url)
        if path and unquote(path[1]).rstrip("/") not in files | folders:
            yield f"{url}: there is no {path[1]} in the repository"
    for url in page.pictures:
        path = re.match(rf"{re.escape(raw)}/main/([^#?]+)", url)
        if path and unquote(path[1]) not in files:
            yield f"{url}: there is no {path[1]} in the repository"
        if not url.lower().endswith(PICTURES):
            yield f"{url}: an index does not show pictures of this kind; one of {', '.join(PICTURES)}"


def rendered(built: Built) -> str:
    """README as the index renders it."""
    from readme_renderer import markdown

    with zipfile.ZipFile(built.wheel) as z:
        metadata = message_from_bytes(z.read(next(n for n in z.namelist() if n.endswith(".dist-info/METADATA"))))
    return markdown.render(metadata.get_payload(decode=True).decode()) or ""  # type: ignore[union-attr]


# --- use -----------------------------------------------------------------------------------------------------

DATASET = """
from pathlib import Path
from PIL import Image
for place, mode, colour, suffix in (("images", "RGB", (9, 99, 9), "jpg"), ("labels", "L", 1, "png")):
    Path("data", place).mkdir(parents=True)
    for i in range(2):
        Image.new(mode, (32, 24), colour).save(f"data/{place}/{i}.{suffix}")
"""
TAX = """tax 1
dataset farm v1 -> cityscapes v1

images: images/{stem}.jpg
labels: labels/{stem}.png

1  track  < road
2  crop   ~ vegetation terrain
"""


def use_faults(file: Path, version: str, folder: Path) -> Iterator[str]:
    """A file installed into a fresh environment, by its users' command, and a command of each program."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    work = folder / "work"
    work.mkdir(parents=True)
    (work / "farm.tax").write_text(TAX, encoding="utf-8")
    steps: list[tuple[list[object], str]] = [
        ([getattr(sys, "_base_executable", sys.executable), "-m", "venv", folder / "venv"], ""),
        ([bin_ / "python", "-m", "pip", "install", "--quiet", f"{file}[labels]"], ""),
        ([bin_ / "python", "-c", "import lsu_onto; print(lsu_onto.__file__)"], str(folder)),
        ([bin_ / "lsu-onto", "--version"], version),
        ([bin_ / "lsu-onto", "doctor"], version),
        ([bin_ / "lsu-onto", "list"], "cityscapes"),
        ([bin_ / "lsu-onto", "validate", "--strict", "farm.tax"], ""),
        ([bin_ / "lsu-onto", "render", "farm.tax", "-o", "farm.html"], ""),
        ([bin_ / "python", "-c", DATASET], ""),
        ([bin_ / "lsu-seg", "--version"], version),
        ([bin_ / "lsu-seg", "scan", "farm.tax", "--data-root", "data"], "track"),
    ]
    for command, expected in steps:
        done = subprocess.run(
            [str(word) for word in command], cwd=work, env=environment, capture_output=True, text=True
        )
        words = " ".join(Path(str(command[0])).name if i == 0 else str(w) for i, w in enumerate(command))
        if done.returncode:
            last = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-6:])
            yield f"{file.name}: `{words}` ends with {done.returncode}: {last}"
            return
        if expected not in done.stdout:
            yield f"{file.name}: `{words}` prints {done.stdout.strip()!r}; expected {expected!r}"


# --- the command ---------------------------------------------------------------------------------------------


def main() -> int:
    version = re.search(r'__version__ = "(.+)"', (ROOT / "lsu_onto/__init__.py").read_text(encoding="utf-8"))[1]  # type: ignore[index]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    tracked = _run(["git", "-C", ROOT, "ls-tree", "-rz", "--name-only", "HEAD"]).split("\0")[
        :-1
    ]  # -z: names as they are
    if _run(["git", "-C", ROOT, "status", "--porcelain"]):
        print("note: there are changes that are not committed; they are not in the files", flush=True)
    with tempfile.TemporaryDirectory(prefix="lsu-release-") as name:
        folder = Path(name)
        start = time.monotonic()
        print("building the sdist, and the wheel from it … ", end="", flush=True)
        built = build(folder)
        print(f"{time.monotonic() - start:.0f} s", flush=True)
        home = PROJECT["urls"]["Homepage"]
        checks: list[tuple[str, Callable[[], Iterable[str]]]] = [
            ("metadata", lambda: metadata_faults(built)),
            (f"version {version}", lambda: version_faults(version, built, changelog)),
            ("contents", lambda: content_faults(built, tracked)),
            ("the page on a package index", lambda: page_faults(rendered(built), tracked, home)),
            ("the wheel in a fresh environment", lambda: use_faults(built.wheel, version, folder / "wheel")),
            ("the sdist in a fresh environment", lambda: use_faults(built.sdist, version, folder / "sdist")),
        ]
        count = sum(_report(what, faults) for what, faults in checks)
        if count:
            print(f"{count} {'fault' if count == 1 else 'faults'}: dist is left as it was", file=sys.stderr)
            return 1
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(folder / "dist", ROOT / "dist")
    print(f"dist/{built.wheel.name}\ndist/{built.sdist.name}")
    return 0


def _report(what: str, faults: Callable[[], Iterable[str]]) -> int:
    """Run a check, say how it ended, and count its faults."""
    start = time.monotonic()
    print(f"{what} … ", end="", flush=True)
    lines = list(faults())
    print("failed" if lines else f"{time.monotonic() - start:.0f} s", flush=True)
    for line in lines:
        print(f"  {line}", file=sys.stderr, flush=True)
    return len(lines)


def _run(command: list[object]) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:  # git or build
        print(f"\nerror: `{' '.join(error.cmd)}` failed:\n{error.stdout}{error.stderr}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
