"""Which room may import which, read off the source (docs/architecture.md); and that the tree is free of machines."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import lsu_onto

ROOT = Path(__file__).parents[1]
ONTO = sorted((ROOT / "lsu_onto").rglob("*.py"))
SEG = sorted((ROOT / "lsu_seg").rglob("*.py"))


def module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(file: Path) -> tuple[tuple[str, str], ...]:
    """`(module, name)` of every import in a file, wherever it stands; name is empty for `import module`."""
    here = module(file).split(".")
    package = here if file.stem == "__init__" else here[:-1]
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found += ((name, alias.name) for alias in node.names)
    return tuple(found)


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def reached(file: Path, package: str) -> set[str]:
    """Modules of `package` that a file imports; `from package import x` is the module `package.x` if there is one."""
    found = set()
    for name, what in imports(file):
        if inside(name, package):
            path = ROOT.joinpath(*name.split("."), what or "none")
            is_module = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
            found.add(f"{name}.{what}" if is_module else name)
    return found


PROGRAM = ("lsu_onto.program", "lsu_onto.start", "lsu_onto.streams", "lsu_onto.unraised")

ROOMS: dict[str, dict[str, str]] = {
    "lsu_onto": {
        "errors": "",
        "rules": "",
        "diagnostics": "rules",
        "files": "",
        "settings": "errors rules diagnostics files",
        "installation": "errors",
        "start": "",
        "packages": "",
        "faults": "errors installation start packages",
        "streams": "errors faults",
        "bars": "errors streams",
        "progress": "bars",
        "endings": "errors start packages faults",
        "unraised": "start faults endings",
        "program": "errors endings files diagnostics settings streams unraised",
        "lang": "diagnostics files",
        "ontology": "diagnostics lang",
        "reporting": "errors diagnostics lang ontology",
        "library": "files errors diagnostics lang ontology reporting",
        "constraint": "errors files diagnostics lang ontology library",
        "render": "errors progress files ontology constraint",
        "exchange": "errors diagnostics files lang ontology library constraint",
        "algebra": "errors diagnostics files lang ontology library exchange",
        "changes": "progress files errors diagnostics lang ontology library algebra",
        "revise": "errors diagnostics lang ontology library constraint changes",
        "raster": "errors files",
        "starter": "progress files errors diagnostics lang ontology library constraint exchange raster",
        "lsp": "errors diagnostics settings faults lang ontology library",
        "commands": "*",
        "cli": "commands program",
        "__main__": "start",
    },
    "lsu_seg": {
        "errors": "",
        "runtime": "errors",
        "label_files": "errors",
        "layout": "errors runtime label_files",
        "gallery": "errors runtime label_files layout",
        "scan": "errors runtime label_files layout gallery",
        "decode": "errors runtime label_files",
        "targets": "errors runtime label_files",
        "demo": "errors runtime label_files layout",
        "audit": "errors runtime label_files layout gallery",
        "openmmlab": "errors runtime",
        "losses": "errors openmmlab targets",
        "data": "openmmlab label_files layout targets",
        "teachers": "errors runtime decode",
        "models": "errors runtime openmmlab label_files decode targets teachers",
        "evaluation": "errors openmmlab label_files teachers",
        "pseudo": "errors runtime openmmlab label_files layout audit decode data models teachers",
        "export": "errors runtime label_files layout pseudo",
        "review": "errors runtime label_files layout gallery pseudo export",
        "training": "errors runtime openmmlab label_files targets losses data models teachers pseudo",
        "unify": "errors runtime openmmlab label_files layout targets data models teachers pseudo training evaluation",
        "commands": "*",
        "cli": "commands",
        "__main__": "cli",
        "spawned": "",
        "registry": "openmmlab",
        "set_nll": "losses",
    },
}
"""Per room of a package, from the ground up, the rooms that it may import; `*`: all. Arrows only go up the page."""

TORCH_FREE = ("errors", "label_files", "layout", "gallery", "scan", "targets", "demo", "audit", "export", "review")
"""Rooms of `lsu_seg` that work where neither torch nor MMSegmentation is installed."""

LABELS_ONLY = ("errors", "label_files", "layout", "gallery", "scan")
"""Those that need nothing but the extra [labels]: `lsu-seg scan`."""

TORCH_ALONE = ("errors", "label_files", "targets", "set_nll")
"""Those that need torch and nothing else: one's own training loop."""

_OPENMMLAB = ("mmengine", "mmcv", "mmseg")
_OTHERS = ("cv2", "numba", "matplotlib", "pycocotools", "pyarrow")


def room(name: str) -> str:
    """The room of a module: `lsu_seg.decode.cpu` is in `decode`."""
    return name.split(".")[1] if "." in name else ""


def test_the_reader_of_imports_sees_them_all(tmp_path: Path) -> None:
    assert ("lsu_onto.lang", "syntax") in set(imports(ROOT / "lsu_onto" / "ontology" / "resolve.py"))
    assert ("lsu_seg.openmmlab", "compat") in set(imports(ROOT / "lsu_seg" / "__init__.py"))
    assert ("lsu_onto.constraint.npz", "load_npz") in set(imports(ROOT / "lsu_onto" / "__init__.py"))  # in a function
    assert reached(ROOT / "lsu_onto" / "ontology" / "resolve.py", "lsu_onto") >= {"lsu_onto.lang.syntax"}
    assert len(ONTO) > 10
    assert len(SEG) > 10


@pytest.mark.parametrize("package", ROOMS)
def test_the_table_has_every_room_and_no_way_round(package: str) -> None:
    rooms = ROOMS[package]
    assert {room(module(f)) for f in (ROOT / package).rglob("*.py")} - {"", "configs"} == set(rooms)
    for number, (name, allowed) in enumerate(rooms.items()):
        assert set(allowed.split()) <= {"*", *list(rooms)[:number]}, name


def test_rooms_import_only_what_lies_below_them() -> None:
    wrong: dict[str, set[str]] = {}
    for name, file in ((module(f), f) for f in (*ONTO, *SEG)):
        package = name.split(".")[0]
        own = room(name)
        if own in ("", "configs"):  # the package's own __init__ is its public face
            continue
        allowed = set(ROOMS[package][own].split())
        used = {room(other) for other in reached(file, package)} - {"", own}
        wrong[name] = used - allowed if "*" not in allowed else set()
        if own not in ("cli", "__main__"):
            wrong[name] |= used & {"cli"}
    assert len(wrong) > 300
    assert {name: rooms for name, rooms in wrong.items() if rooms} == {}


def test_lsu_onto_knows_nothing_of_torch() -> None:
    foreign = {"torch", "torchvision", "mmcv", "mmengine", "mmseg", "mmdet", "cv2", "lsu_seg"}
    found = {module(file): {name for name, _ in imports(file) for f in foreign if inside(name, f)} for file in ONTO}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("rooms", "missing"),
    [
        (TORCH_FREE, ("torch", *_OPENMMLAB)),
        (LABELS_ONLY, ("torch", *_OPENMMLAB, *_OTHERS)),
        (TORCH_ALONE, (*_OPENMMLAB, *_OTHERS, "PIL")),
    ],
)
def test_rooms_are_imported_where_what_they_do_not_need_is_missing(rooms: tuple, missing: tuple) -> None:
    modules = [m for m in map(module, SEG) if room(m) in rooms]
    code = f"""
import importlib, sys
for name in {missing}:
    sys.modules[name] = None  # as if it were not installed
for name in {modules}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_lsu_seg_imports_only_the_public_api() -> None:
    public = {"", "INSTALL", "INSTALL_MMDET", "__version__", *lsu_onto.__all__}
    private: set[tuple[str, str, str]] = set()
    for file in SEG:
        used = {(name, what) for name, what in imports(file) if inside(name, "lsu_onto")}
        # Both programs are made of the same parts.
        if room(module(file)) in ("cli", "commands", "spawned", "runtime", "__main__"):
            used = {(name, what) for name, what in used if name not in PROGRAM}
        private |= {(module(file), name, what) for name, what in used if name != "lsu_onto" or what not in public}
    assert private == set()


def test_one_module_touches_the_registries_of_mmseg() -> None:
    touching = {
        module(file)
        for file in (*ONTO, *SEG)
        for name, what in imports(file)
        if inside(name, "mmseg.registry") or (name, what) == ("mmseg", "registry")
    }
    assert touching == {"lsu_seg.openmmlab.registry"}


def test_folders_are_made_in_one_place() -> None:
    """`Path.mkdir` with parents ends in a RecursionError where a folder lies deep."""
    elsewhere = [
        module(file)
        for file in (*ONTO, *SEG)
        if re.search(r"mkdir\([^)]*parents=|makedirs", file.read_text(encoding="utf-8"))
    ]
    assert elsewhere == ["lsu_onto.lang.parse"], "which does without its cache, whatever happens"


# --- the tree ----------------------------------------------------------------------------------------------

NOT_OURS = {".git", "node_modules", ".venv", "work", "dist", "build", "__pycache__"}
_MACHINE = re.compile(r"(?<![\w.$}*~-])/(?:work|opt|home|root|mnt|srv|Users)/[\w.]")
_INDEX = re.compile(r"index-url|pypi\.org/simple|(?:artifactory|nexus|devpi|pypi|mirrors?)\.[\w-]+\.\w+")


def texts() -> Iterator[tuple[Path, str]]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in NOT_OURS and not f.endswith(("_cache", ".egg-info"))]
        if ".hypothesis" in folders:
            folders.remove(".hypothesis")
        for file in (Path(folder) / f for f in files if f != ".git"):  # a file in a worktree
            try:
                yield file, file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for file, text in texts()
        if file != Path(__file__)
        for number, line in enumerate(text.splitlines(), 1)
        if _MACHINE.search(line) or _INDEX.search(line)
    ]
    assert found == []


_PATH = re.compile(r"(?<![\w/.-])(?:lsu_onto|lsu_seg|tests|tools)(?:/\w+)*/\w+\.(?:py|md|lark|svg)\b")


def test_files_that_texts_name_are_there() -> None:
    missing = {
        f"{file.relative_to(ROOT)}: {name}"
        for file, text in texts()
        if file.suffix in (".py", ".md", ".toml") and file.name != "CHANGELOG.md"
        for name in _PATH.findall(text)
        if not (ROOT / name).is_file()
    }
    assert missing == set()


def test_what_counts_as_a_machine() -> None:
    for bad in ("see /opt/conda/bin", 'open("/work/a/x")', "https://pypi.org/simple", "pypi.corp.example"):
        assert _MACHINE.search(bad) or _INDEX.search(bad), bad
    for good in ('"/work", "/.venv"', "work/demo", "$HOME/work/x", "https://pypi.org/project/x", "./opt/x"):
        assert not (_MACHINE.search(good) or _INDEX.search(good)), good
