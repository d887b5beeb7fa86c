"""A function named by its file or module: how it is found, what is said where it is not, and what is its code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.nets import BLOCKS, NET, write_net
from lsu_seg.errors import TeacherError
from lsu_seg.models.factory import code_files, code_sha256, find, is_factory, make


@pytest.fixture
def net(tmp_path: Path) -> Path:
    write_net(tmp_path)
    return tmp_path / "net.py"


def package(folder: Path) -> None:
    """`thenets.city`, in a package that imports its own modules relatively."""
    for name in ("parts", "broken"):
        (folder / f"thenets/{name}").mkdir(parents=True)
    (folder / "thenets/__init__.py").write_text("")
    (folder / "thenets/broken/__init__.py").write_text("raise RuntimeError('no GPU')\n")
    (folder / "thenets/broken/fast.py").write_text("")
    (folder / "thenets/parts/layers.py").write_text("from torch import nn\nLayer = nn.Conv2d\n")
    (folder / "thenets/city.py").write_text(
        "import numpy, torch\nfrom . import sizes\n\n\n"
        "try:\n    from .broken import fast\nexcept RuntimeError:\n    pass\n\n\n"
        "def build(classes):\n    from .parts.layers import Layer\n    return Layer(3, classes, sizes.KERNEL)\n"
    )
    (folder / "thenets/sizes.py").write_text("KERNEL = 1\n")


def test_a_function_of_a_file_and_of_a_module(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = make(find(f"{net}:build"), dict(classes=3))
    assert made(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 4, 4)
    assert str(tmp_path) not in sys.path
    package(tmp_path)
    monkeypatch.chdir(tmp_path)
    factory = find("thenets.city:build")
    try:
        assert isinstance(make(factory, dict(classes=3)), torch.nn.Conv2d)
        names = ["city.py", "parts/layers.py", "sizes.py", "__init__.py", "broken/__init__.py", "broken/fast.py"]
        assert {*code_files(factory)} == {tmp_path / "thenets" / name for name in names}
    finally:
        for name in [name for name in sys.modules if name.startswith("thenets")]:
            del sys.modules[name]


def test_a_file_counts_with_all_that_it_imports(net: Path, tmp_path: Path) -> None:
    """Wherever it lies, and if it is changed while the process runs."""
    assert code_files(find(f"{net}:build")) == [tmp_path / "blocks.py", net]
    before = code_sha256(find(f"{net}:build"))
    write_net(tmp_path / "other")
    other = find(f"{tmp_path}/other/net.py:build")
    assert code_sha256(other) == before
    (tmp_path / "other" / "blocks.py").write_text(f"{BLOCKS}# changed\n")
    assert code_sha256(other) == before, "the code that runs is the one that was imported"
    assert code_sha256(find(f"{tmp_path}/other/net.py:build")) != before
    (tmp_path / "other" / "blocks.py").write_text(BLOCKS)
    net.write_text(NET.replace("classes=5", "classes=4"))
    factory = find(f"{net}:build")
    made: Any = make(factory, {})
    assert made.head.out_channels == 4
    assert code_sha256(factory) != before
    net.write_text(NET)
    assert code_sha256(find(f"{net}:build")) == before
    wider = (tmp_path / "blocks.py").read_text().replace("(outside)", "(outside, affine=False)")
    (tmp_path / "blocks.py").write_text(wider)
    for folder, affine in ((tmp_path, False), (tmp_path / "other", True), (tmp_path, False)):  # each has its own blocks
        factory = find(f"{folder}/net.py:build")
        made = make(factory, {})
        assert made.stem[1].affine is affine
        assert (code_sha256(factory) == before) is affine


def test_a_neighbour_that_python_cannot_read_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text("x = " + "-" * 9000 + "1\n")
    (tmp_path / "holed.py").write_text("\0")
    trying = "".join(f"try:\n    import {name}\nexcept Exception:\n    pass\n" for name in ("deep", "holed"))
    (tmp_path / "mine.py").write_text(
        f"from torch import nn\n\n{trying}\n\ndef build():\n    return nn.Conv2d(3, 2, 1)\n"
    )
    assert tmp_path / "mine.py" in code_files(find(f"{tmp_path}/mine.py:build"))


def test_a_folder_may_be_called_as_functions_are(tmp_path: Path) -> None:
    assert is_factory(f"{tmp_path}/net.py:build")
    (tmp_path / "a:b").mkdir()
    assert not is_factory(f"{tmp_path}/a:b")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net:build", "there is no module `net`: looked in .*; a file is named with its ending, as in `nets/mine.py:b"),
        ("{}/nets.py:build", "there is no file `.*/nets.py`; did you mean `net.py`?"),
        ("{}/net.py:biuld", "`.*/net.py` has no function `biuld`; did you mean `build`?"),
        (
            "{}/net.py:qqq",
            r"`.*/net.py` has no function `qqq`; it has `Net`, `build`, `seeded`, `numbers`, `fails`, `ends`",
        ),
        ("{}/net.py:half_size", "has no function, but a str, `half_size`"),
        ("{}/net.py:network", "is a network; expected a function that makes one, so that each run has its own"),
        ("{}/net.py", "names no function that makes a network: write `file.py:function` or `package.module:function`"),
        ("a-b:build", "`a-b` is neither a `.py` file nor the name of a module"),
    ],
)
def test_names_of_nothing(net: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(TeacherError, match=message):
        find(name.format(net.parent))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n", r"broken.py` cannot be imported: .*/broken.py:1: SyntaxError: "),
        (
            "import math\n\nmath.sqrt('a')\n",
            r"cannot be imported: .*/broken.py:3: in `math.sqrt\('a'\)`: TypeError: must be",
        ),
        ("import nothing_of_it\n", r"broken.py:1: in `import nothing_of_it`: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit('bye')\n", r"broken.py:2: in `sys.exit\('bye'\)`: SystemExit: bye"),
        (
            "from .layers import Layer\n",
            r"no known parent package; a file that belongs to a package is named by its module, .*`\w+.broken:FUNC",
        ),
        ("import torch\ntorch.zeros(1)[3]\n", r"broken.py:2: in `torch.zeros\(1\)\[3\]`: IndexError: index 3"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    for _ in range(2):  # it is no module afterwards
        with pytest.raises(TeacherError, match=message):
            find(f"{tmp_path}/broken.py:build")


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (
            "build",
            dict(klasses=3),
            "`args` has `klasses`, and `.*:build` takes `classes`, `shape`, `multiple`; did you mean",
        ),
        (
            "Net",
            dict(classes=3),
            r"Net` takes `classes`, `shape`, `multiple`, and `args` is {'classes': 3}: missing a req",
        ),
        ("seeded", dict(a=1), "`args` has `a`, and `.*:seeded` takes no arguments"),
        ("fails", dict(width=3), r"fails` fails: .*/net.py:\d+: in `raise RuntimeError\(.*`: RuntimeError: no width"),
        ("build", dict(classes=-1), r"build` fails: .*/net.py:\d+: in `self.stem.*`: RuntimeError: Trying to create"),
        ("ends", {}, r"ends` fails: .*/net.py:\d+: in `raise SystemExit.*`: SystemExit: the program ends"),
        ("numbers", {}, "numbers` returned a int; expected a torch.nn.Module"),
    ],
)
def test_functions_that_make_none(net: Path, function: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        make(find(f"{net}:{function}"), arguments)


def test_whatever_own_code_does_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is no Exception, and an error that cannot be printed; the current folder stays."""
    (tmp_path / "rude.py").write_text(
        "import os\nfrom torch import nn\n\n\nclass Stop(BaseException):\n    pass\n\n\n"
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n\n"
        "def stops():\n    raise Stop('here')\n\n\ndef mute():\n    raise Mute\n\n\n"
        "def goes():\n    os.chdir('/')\n    return nn.Conv2d(3, 2, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    for name, said in (("stops", "Stop: here"), ("mute", "raise Mute`: Mute$")):
        with pytest.raises(TeacherError, match=said):
            make(find(f"rude.py:{name}"), {})
    make(find("rude.py:goes"), {})
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "writes", ["self.stream.write(text)", "[self.stream.write(f'{line}\\n') for line in text.splitlines()]"]
)
def test_code_that_logs_what_is_printed_ends_nothing(name: str, writes: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(f"""
import sys
class Tee:  # without most of a stream's methods; one takes bytes
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        stream = self.stream
        {writes}
sys.{name} = Tee(sys.{name})
""")
    code = """
import click, lsu_seg.cli
from lsu_seg.runtime.own_code import import_code
from lsu_seg.runtime.progress import progress
shown = click.Group.format_help
def format_help(*args):
    import_code("net.py")
    with progress("works", 1) as advance:
        advance()
    shown(*args)
click.Group.format_help = format_help
lsu_seg.cli.main(["--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("Usage: "), done.stderr
    assert re.fullmatch(r"works +1/1 .*\n+", done.stderr)


STREAMS = {
    "a new stream": "sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding='utf-8', line_buffering=True)",
    "the other one": "sys.stderr = sys.stdout",
    "a writer of bytes": "import codecs; sys.stderr = codecs.getwriter('utf-8')(sys.stderr.buffer)",
    "one without attributes": """
class Tee:
    __slots__ = ('stream',)
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        self.stream.write(text)
    def __getattr__(self, name):
        return getattr(self.stream, name)
sys.stderr = Tee(sys.stderr)
""",
    "rich": "import logging, rich.logging; logging.basicConfig(handlers=[rich.logging.RichHandler()], force=True)",
}


@pytest.mark.parametrize("change", STREAMS)
def test_code_that_changes_what_is_written_to_lets_no_traceback_of_a_library_through(
    change: str, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(f"import io, sys\n{STREAMS[change]}\n")
    code = """
import click, logging, sys, traceback, lsu_seg.cli
from lsu_seg.runtime.own_code import import_code
def format_help(*args):
    import_code("net.py")
    try:
        [][0]
    except IndexError:
        print(traceback.format_exc(), file=sys.stderr)
        logging.getLogger("a").warning("no cache", exc_info=True)
click.Group.format_help = format_help
lsu_seg.cli.main(["--help"])
"""
    command = [sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "LSU_TRACEBACK"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    said = " ".join(f"{done.stdout}{done.stderr}".split())
    assert done.returncode == 0 and "IndexError: list index" in said and "no cache: IndexError" in said
    assert "Traceback" not in said and "File" not in said


def test_what_is_no_file_is_not_meant(net: Path, tmp_path: Path) -> None:
    (tmp_path / "nets.py").mkdir()
    with pytest.raises(TeacherError, match=r"`.*nets\.py` is a folder and no file; did you mean `net\.py`\?$"):
        find(f"{tmp_path}/nets.py:build")


BUILD = "from torch import nn\n\n\ndef build():\n    return nn.Conv2d(3, 2, 1)\n"


@pytest.mark.parametrize(
    "code",
    ["def __getattr__(name):\n    raise RuntimeError(name)\n", "del __file__\n", "__file__ = 3\n"]
    + [f"import sys\n{change}\n" for change in ("del sys.modules[__name__]", "sys.modules[__name__] = None")],
)
def test_modules_that_change_themselves(tmp_path: Path, code: str) -> None:
    (tmp_path / "odd.py").write_text(BUILD + code)
    factory = find(f"{tmp_path}/odd.py:build")
    try:
        assert isinstance(make(factory, {}), torch.nn.Conv2d)
        assert code_sha256(factory)
    finally:  # `inspect` asks all modules for their files
        for name in [name for name in sys.modules if name.startswith("odd_")]:
            del sys.modules[name]


def test_functions_of_what_is_built_in_make_no_network() -> None:
    with pytest.raises(TeacherError, match="`sys:exit` fails: SystemExit"):
        make(find("sys:exit"), {})
    with pytest.raises(TeacherError, match="`os:getcwd` returned a str"):
        make(find("os:getcwd"), {})
