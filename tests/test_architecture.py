"""The arrows of docs and DESIGN: who may import whom, read off the source; and that the tree is free of machines."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lsu_onto

ROOT = Path(__file__).parents[1]
ONTO = sorted((ROOT / "lsu_onto").rglob("*.py"))
SEG = sorted((ROOT / "lsu_seg").rglob("*.py"))


def module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """`(module, name)` of every import in a file, wherever it stands; name is empty for `import module`."""
    here = module(file).split(".")
    package = here if file.stem == "__init__" else here[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((name, alias.name) for alias in node.names)


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


def test_the_reader_of_imports_sees_them_all(tmp_path: Path) -> None:
    assert ("lsu_onto.lang", "syntax") in set(imports(ROOT / "lsu_onto" / "resolve.py"))
    assert ("lsu_seg", "compat") in set(imports(ROOT / "lsu_seg" / "__init__.py"))  # relative
    assert ("lsu_onto.compiled", "load_npz") in set(imports(ROOT / "lsu_onto" / "__init__.py"))  # in a function
    assert reached(ROOT / "lsu_onto" / "resolve.py", "lsu_onto") >= {"lsu_onto.lang.syntax"}
    assert len(ONTO) > 10
    assert len(SEG) > 10


@pytest.mark.parametrize("file", ONTO, ids=module)
def test_lsu_onto_knows_nothing_of_torch(file: Path) -> None:
    foreign = {"torch", "torchvision", "mmcv", "mmengine", "mmseg", "mmdet", "cv2", "lsu_seg"}
    assert {name for name, _ in imports(file)} & foreign == set()
    assert not any(inside(name, f) for name, _ in imports(file) for f in foreign)


@pytest.mark.parametrize("file", ONTO, ids=module)
def test_the_language_and_the_model_import_only_diagnostics(file: Path) -> None:
    name = module(file)
    if inside(name, "lsu_onto.lang"):
        allowed = ("lsu_onto.diagnostics", "lsu_onto.lang")
    elif name in ("lsu_onto.model", "lsu_onto.diagnostics"):
        allowed = ("lsu_onto.diagnostics",)
    elif name == "lsu_onto.constraint":
        allowed = ()
    else:
        return
    assert [m for m in reached(file, "lsu_onto") if not any(inside(m, a) for a in allowed)] == []


@pytest.mark.parametrize("file", ONTO, ids=module)
def test_nothing_imports_the_commands(file: Path) -> None:
    if module(file) not in ("lsu_onto.cli", "lsu_onto.__main__"):
        assert "lsu_onto.cli" not in reached(file, "lsu_onto")


@pytest.mark.parametrize("file", SEG, ids=module)
def test_lsu_seg_imports_only_the_public_api(file: Path) -> None:
    public = {"", "INSTALL", "__version__", *lsu_onto.__all__}
    used = {(name, what) for name, what in imports(file) if inside(name, "lsu_onto")}
    assert {(name, what) for name, what in used if name != "lsu_onto" or what not in public} == set()


@pytest.mark.parametrize("file", [*ONTO, *SEG], ids=module)
def test_one_module_touches_the_registries_of_mmseg(file: Path) -> None:
    if module(file) != "lsu_seg.registry":
        assert not any(inside(name, "mmseg.registry") for name, _ in imports(file))
        assert ("mmseg", "registry") not in set(imports(file))


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


def test_what_counts_as_a_machine() -> None:
    for bad in ("see /opt/conda/bin", 'open("/work/main/x")', "https://pypi.org/simple", "pypi.corp.example"):
        assert _MACHINE.search(bad) or _INDEX.search(bad), bad
    for good in ('"/work", "/.venv"', "work/demo", "$HOME/work/x", "https://pypi.org/project/x", "./opt/x"):
        assert not (_MACHINE.search(good) or _INDEX.search(good)), good
