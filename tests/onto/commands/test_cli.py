"""`lsu-onto`, as a person types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lsu_onto
from helpers.tax import SOURCE, TAX
from lsu_onto.cli import main
from lsu_onto.diagnostics import RULES

BAD, OK = str(TAX / "bad" / "TAX201.tax"), str(TAX / "ok")
WARNING = str(TAX / "bad" / "TAX305.tax")


def run(*args: str) -> Result:
    result = CliRunner().invoke(main, args)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_validate_is_silent_on_success() -> None:
    result = run("validate", OK)
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([BAD], 1),
        ([WARNING], 0),
        ([WARNING, "--strict"], 1),
        ([OK, "--strict"], 0),
        (["nowhere.tax"], 1),
        (["--format", "xml"], 2),
        (["--nonsense"], 2),
    ],
)
def test_validate_exit_codes(args: list[str], code: int) -> None:
    assert run("validate", *args).exit_code == code


def test_folders_are_followed_through_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    top, other = tmp_path / "top", tmp_path / "other"
    for folder in (top / "deep", other):
        folder.mkdir(parents=True)
    (other / "demo.tax").write_text(SOURCE)
    (other / "town.tax").write_text("tax 1\ndataset town v1 -> demo v1\n0 way < raod\n")
    (top / "linked").symlink_to(other)
    (top / "again").symlink_to(other)  # each folder counts once
    (top / "deep" / "circle").symlink_to(top)
    (top / "map.tax").write_text("tax 1\nmap town v1 -> demo v1\nway < sky\n")
    result = run("validate", str(top), "--format", "concise")
    assert (
        result.output == f"{top}/again/town.tax:3:9: error[TAX201] `demo` has no class `raod`; did you mean `road`?\n"
    )
    os.mkfifo(top / "deep" / "pipe.tax")
    (top / "zero.tax").symlink_to("/dev/zero")
    for command in ("validate", "fmt"):
        err = run(command, str(top)).stderr
        assert err.count("is a pipe or a device, not a file") == 2 and f"`{top}/deep/pipe.tax`" in err
    assert "it is a device, not a file" in run("validate", str(top / "zero.tax")).stderr


def test_folders_deeper_than_the_stack_of_python_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = 1100
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    file = os.open("deep.tax", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here)
    os.write(file, b"tax 1\nsource deep v1\n0 raod road\n")
    os.close(file)
    os.close(here)
    monkeypatch.chdir(tmp_path)
    result, listed = run("validate", "d", "--format", "concise"), run("list", "--path", "d")
    subprocess.run(["rm", "-r", "d"], check=True)  # which pytest cannot
    assert result.output.startswith("d/" * depth + "deep.tax:3:8: error[TAX"), result.output[-200:]
    assert "deep v1" in listed.stdout


def test_a_file_that_inherits_its_map_is_shown_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo.tax").write_text(SOURCE)
    Path("base.tax").write_text("tax 1\ndataset base v1 -> demo v1\n0 way < road\n")
    Path("more.tax").write_text("tax 1\ndataset more v1\nextends base v1\ndataset more v2\nextends base v1\n")
    for file in ("more.tax", "./more.tax", str(tmp_path / "more.tax")):
        shown = run("show", f"{file} v1", "--source", "demo")
        assert (shown.exit_code, shown.stdout.splitlines()[0]) == (0, "more v1 -> demo v1")
    assert run("render", "./more.tax v2", "--source", "demo").stdout == "more v2.svg\n"
    Path("more.tax").rename("my.taxonomy.tax")
    assert run("render", "./my.taxonomy.tax v2", "--source", "demo").stdout == "my.taxonomy v2.svg\n"
    Path("my.taxonomy.tax").rename("more.tax")
    refused = run("show", "more.tax", "--source", "demo")
    assert 'more v1 -> demo v1, more v2 -> demo v1; name one, e.g. `"more.tax v1"`' in refused.stderr
    refused = run("show", "./base.tax", "--source", "other")
    assert "`./base.tax` has no map to `other`; it has maps to `demo`" in refused.stderr


def test_validate_full_shows_place_and_help() -> None:
    err = run("validate", BAD).stderr
    assert f"error[TAX201]: `demo` has no class `trukc`\n  --> {BAD}:10:11\n" in err
    assert "  10 | 0 lorry < trukc\n     |           ^^^^^\n     = help: did you mean `truck`?" in err
    assert "2 errors in 1 file; `lsu-onto explain TAX201` says more" in err


def test_validate_formats_for_machines() -> None:
    assert run("validate", BAD, "--format", "concise").stdout.startswith(f"{BAD}:10:11: error[TAX201] ")
    assert run("validate", BAD, "--format", "github").stdout.startswith(f"::error file={BAD},line=10,col=11,")
    found = json.loads(run("validate", BAD, "--format", "json").stdout)
    assert found["version"] == 1 and found["counts"]["error"] == 2
    assert found["diagnostics"][0]["range"] == {"file": BAD, "line": 10, "column": 11, "end": 16}
    assert json.loads(run("validate", OK, "--format", "json").stdout)["counts"]["error"] == 0


def test_validate_a_folder_without_files_or_a_misspelt_one(tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    assert "no `.tax` files" in run("validate", str(tmp_path / "town")).output
    nowhere = run("validate", str(tmp_path / "twon")).output
    assert "did you mean" in nowhere and "1 error; `lsu-onto explain TAX001`" in nowhere


def test_a_folder_called_tax_is_a_folder_and_a_link_to_nowhere_says_so(tmp_path: Path) -> None:
    (tmp_path / "old.tax").mkdir()
    (tmp_path / "old.tax" / "a.tax").write_text("tax 1\nsource a v1\n0 road\n")
    assert run("validate", str(tmp_path)).output == ""
    (tmp_path / "b.tax").symlink_to("gone.tax")
    for path in (tmp_path, tmp_path / "b.tax"):
        found = run("validate", str(path)).output
        assert "b.tax`: No such file or directory" in found and "did you mean" not in found


def test_a_file_of_something_else_costs_a_few_findings(tmp_path: Path) -> None:
    other = tmp_path / "town.json"
    other.write_text(run("export", "demo_town", "--to", "json").stdout)
    found = run("validate", str(other), "--format", "concise").stdout.splitlines()
    assert len(found) <= 2 and "is this a `.tax` file?" in found[0]


def test_a_source_is_shown_as_a_list_of_its_classes(tmp_path: Path) -> None:
    text = run("show", "demo").stdout.splitlines()
    assert text[0] == "source demo v1" and text[-1] == "15 classes"
    assert "   8  tree          [nature]               #6b8e23" in text
    (tmp_path / "s.tax").write_text(
        'tax 1\nsource s v1\n0 sky #4682b4  # and clouds\n[flat.road]\n1 asphalt "tar" aka blacktop\n2 mud\n'
    )
    file = str(tmp_path / "s.tax")
    assert run("show", file).stdout.splitlines()[2:5] == [
        "  0  sky                   #4682b4  # and clouds",
        "  1  asphalt  [flat.road]",
        "  2  mud      [flat.road]",
    ]
    assert run("show", file, "asphalt").stdout.splitlines()[2:] == [
        "  1  asphalt  [flat.road]",
        "    also `tar`, `blacktop`",
    ]
    one = json.loads(run("show", file, "sky", "--format", "json").stdout)["classes"]
    assert [(c["channel"], c["group"], c["colour"], c["notes"]) for c in one] == [(0, None, "#4682b4", ["and clouds"])]


def test_show_says_who_related_a_class_and_how_sure_they_were(tmp_path: Path) -> None:
    file = tmp_path / "t.tax"
    file.write_text(
        "tax 1\nsource s v1\n0 road\ndataset t v1 -> s v1\n1 way ~ road  # by: Ada; conf: 0.8; with kerbs\n  ~ void\n"
        "2 cow ! any\n"
    )
    assert run("show", str(file), "way").stdout.splitlines()[3:] == ["    by Ada; confidence 0.8", "    # with kerbs"]
    way, cow = json.loads(run("show", str(file), "--format", "json").stdout)["classes"]
    assert (way["authors"], way["confidence"], way["justification"]) == (["Ada"], 0.8, "ManualMappingCuration")
    assert way["notes"] == ["by: Ada; conf: 0.8; with kerbs"]
    assert (cow["authors"], cow["confidence"]) == ([], None)


def test_a_name_of_a_source_and_of_a_dataset_with_several_maps_lists_the_sources_classes() -> None:
    found = run("show", "cityscapes")
    assert (found.exit_code, found.stdout.splitlines()[0], found.stdout.splitlines()[-1]) == (
        0,
        "source cityscapes v1",
        "19 classes",
    )
    assert "cityscapes v1 -> vistas v1" in found.stderr and "`--source`" in found.stderr
    assert run("show", "cityscapes", "--source", "vistas").stdout.startswith("cityscapes v1 -> vistas v1\n")
    assert run("show", "idd").exit_code == 1


@pytest.mark.parametrize("command", ["show", "validate", "fmt"])
def test_a_file_of_a_newer_edition_is_refused_and_stays(command: str, tmp_path: Path) -> None:
    text = "tax 2\nsource   a v1\n0 road\n"
    (tmp_path / "a.tax").write_text(text)
    result = run(command, str(tmp_path / "a.tax"))
    assert result.exit_code == 1 and "TAX005" in result.stderr
    assert (tmp_path / "a.tax").read_text() == text


def test_show() -> None:
    text = run("show", "demo_town").stdout
    assert "demo_town v1 -> demo v1" in text
    assert "  drivable    > road lane_marking    {road lane_marking}\n" in text
    one = run("show", "demo_town", "vulnerable").stdout
    assert "# anyone whom a bumper would hurt" in one and "drivable" not in one
    found = json.loads(run("show", "demo_town", "--format", "json").stdout)
    assert found["classes"][0]["allowed"] == ["road", "lane_marking"]


def test_show_did_you_mean() -> None:
    for args, hint in ((["demo_twon"], "`demo_town`"), (["demo_town", "vehicel"], "`vehicle`")):
        result = run("show", *args)
        assert result.exit_code == 1 and f"did you mean {hint}" in result.stderr


@pytest.mark.parametrize("code", RULES)
def test_explain(code: str) -> None:
    text = run("explain", code.lower()).stdout
    assert text == run("explain", code.removeprefix("TAX")).stdout
    assert RULES[code].title in text and RULES[code].why in text
    assert "bad:\n    " in text and "good:\n    " in text


def test_explain_unknown_code() -> None:
    result = run("explain", "TAX3006")
    assert result.exit_code == 2 and "did you mean" in result.output


def test_list() -> None:
    lines = [line.split() for line in run("list").stdout.splitlines()]
    assert ["demo_town", "v1", "8", "demo"] in [line[:4] for line in lines]
    assert ["kitti", "v1", "35", "cityscapes", "offroad", "vistas"] in [line[:6] for line in lines]  # inherited
    assert ["kitti360", "v1", "46", "cityscapes", "vistas"] in [line[:5] for line in lines]  # has more classes
    rows = json.loads(run("list", "--format", "json", "--path", OK).stdout)["taxonomies"]
    field = next(r for r in rows if r["name"] == "field")
    assert (field["kind"], field["classes"], field["maps"]) == ("dataset", 13, ["town v1"])


def test_list_says_which_names_are_declared_twice(tmp_path: Path) -> None:
    for folder, classes in (("a", "0 road"), ("b", "0 road\n1 sky"), ("copy", "0 road")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "g.tax").write_text(f"tax 1\nsource g v1\n{classes}\n")
    first, other = f"{tmp_path}/a/g.tax", f"{tmp_path}/b/g.tax"
    assert f"  `{first}` and `{other}` declare it, differently\n" in run("list", "--path", str(tmp_path)).stdout
    rows = json.loads(run("list", "--format", "json", "--path", str(tmp_path)).stdout)["taxonomies"]
    assert [(r["file"], r["differs"]) for r in rows if r["name"] == "g"] == [(first, other)]
    assert not any(r["differs"] for r in rows if r["name"] != "g")
    apart = run("list", "--path", f"{tmp_path}/b", "--path", str(tmp_path)).stdout  # the first place counts
    assert "differently" not in apart


def test_compile(tmp_path: Path) -> None:
    out = tmp_path / "town.npz"
    assert run("compile", "demo_town", "-o", str(out)).exit_code == 0
    assert lsu_onto.load(out) == lsu_onto.load("demo_town")
    assert run("compile", "demo_town", "-o", "town.txt").exit_code == 2


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("x.npz", ["compile", "demo_town", "--source", "demo"]),
        ("x.csv", ["export", "demo", "--to", "csv"]),
        ("x.tax", ["import", "classes.csv", "--from", "csv"]),
        ("x.tax", ["init", "mydata", "--source", "demo"]),
        ("x.dot", ["render", "demo"]),
        ("x", ["docs"]),
    ],
)
def test_the_folder_of_an_output_is_made_and_an_error_names_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, args: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "classes.csv").write_text("name,id\nway,0\n")
    done = run(*args, "-o", f"new/deep/{name}")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new/deep" / name).exists()
    refused = run(*args, "-o", f"classes.csv/{name}")
    assert refused.exit_code == 1
    assert re.fullmatch(r"error: .*classes\.csv(/x\S*)?: Not a directory\n", refused.output.replace("`", ""))


def test_broken_file_is_reported_by_every_command(tmp_path: Path) -> None:
    for args in (["show", BAD], ["render", BAD], ["compile", BAD, "-o", str(tmp_path / "x.npz")]):
        result = run(*args)
        assert result.exit_code == 1 and "TAX201" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_render_names_its_file_after_the_taxonomy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for args, out in (
        (["vistas v1.2", "--source", "cityscapes"], "vistas v1.2.svg"),
        ([f"{OK}/field.tax"], "field.svg"),
    ):
        assert run("render", *args).stdout == f"{out}\n" and (tmp_path / out).is_file()
    assert run("render", "demo_town", "-o", "town.txt").exit_code == 2


CLOSED = """
import ctypes, os, sys
for capability in (1, 2):  # root may read everything, unless it gives that up
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "lsu_onto.cli", *sys.argv[1:]])
"""


def test_what_may_not_be_read_is_named_and_the_rest_is_checked(tmp_path: Path) -> None:
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.tax").write_text("tax 1\nsource a v1\n1 road\n")
    (tmp_path / "open" / "b.tax").write_text("")
    (tmp_path / "open" / "b.tax").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        for paths in (["."], ["closed", "open"], ["closed/a.tax", "open"]):
            done = subprocess.run(
                [sys.executable, "-c", CLOSED, "validate", "--format", "concise", *paths],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(lsu_onto.__file__).parents[1])},
            )
            assert (done.returncode, done.stderr) == (1, ""), done.stderr
            for expected in ("closed", "open/b.tax"):
                assert re.search(rf"cannot read `(\./)?{expected}[^`]*`: Permission denied", done.stdout), done.stdout
            assert "open/a.tax:3:3: error[TAX106]" in done.stdout
    finally:
        (tmp_path / "closed").chmod(0o755)


HEAVY = "torch mmengine mmseg mmcv networkx lark numpy pydantic graphviz pygraphviz pygls lsprotocol"


@pytest.mark.parametrize(
    "code", ["import lsu_onto", "from lsu_onto.cli import main; main(['--help'], standalone_mode=False)"]
)
def test_starts_without_heavy_imports(code: str) -> None:
    script = f"import sys\n{code}\nprint([m for m in {HEAVY.split()!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(lsu_onto.__file__).parents[1],
    )
    assert done.stderr.strip() == "[]"


def tree(root: Path, colour: str = "road") -> Path:
    """A source in one folder and its map in another, as people keep them."""
    for folder, text in (
        ("sources", f"tax 1\nsource mysrc v1\n0 {colour}\n1 sky\n"),
        ("data", 'tax 1\ndataset town2 v1 -> mysrc v1\n0 way < "road"\n1 sky = sky\n'),
    ):
        (root / folder).mkdir(parents=True)
        (root / folder / f"{folder}.tax").write_text(text)
    return root


def test_the_files_of_a_named_folder_see_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    assert run("validate", str(tmp_path)).output == ""
    assert run("validate", str(tmp_path / "data"), str(tmp_path / "sources")).output == ""
    assert "TAX203" in run("validate", str(tmp_path / "data")).output  # nobody named the folder of the source
    monkeypatch.chdir(tmp_path)
    assert run("validate").output == "" and run("validate", ".").output == ""
    run("fmt", ".")
    assert "way  < road\n" in Path("data", "data.tax").read_text()  # the quoted reference is known, and its source


def test_a_named_folder_comes_before_the_path_option(tmp_path: Path) -> None:
    named, other = str(tree(tmp_path / "named")), str(tree(tmp_path / "other", "street"))
    assert run("validate", named, "--path", other).output == ""
    assert "TAX201" in run("validate", str(Path(named, "data")), "--path", other).output


def test_a_named_folder_comes_before_the_shipped_taxonomies(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "sources" / "demo.tax").write_text("tax 1\nsource demo v1\n0 lawn\n")
    (tmp_path / "data" / "data.tax").write_text("tax 1\ndataset town2 v1 -> demo v1\n0 green = lawn\n")
    assert run("validate", str(tmp_path)).output == ""
    assert "TAX201" in run("validate", str(tmp_path / "data")).output


def test_a_file_found_by_path_option(tmp_path: Path) -> None:
    (tmp_path / "x.tax").write_text(f"{SOURCE}dataset afar v1 -> demo v1\n0 way < road\n")
    assert "way  < road" in run("show", "afar", "--path", str(tmp_path)).stdout


def test_many_files_show_progress_on_a_terminal_alone(tmp_path: Path) -> None:
    import pty

    for i in range(30):
        (tmp_path / f"f{i}.tax").write_text(f"tax 1\nsource s{i} v1\n0 road\n")
    shorter = "import lsu_onto.progress as s; s.AFTER_S = s.LINE_S = 0"
    script = f"{shorter}\nfrom lsu_onto.cli import main\nmain(['validate', '.'])"
    command = [sys.executable, "-c", script]
    main_end, side = pty.openpty()
    with subprocess.Popen(command, cwd=tmp_path, stderr=side, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(side)
        shown = b""
        while True:
            try:
                part = os.read(main_end, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(main_end)
    assert process.returncode == 0 and b"/30" in shown
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert piped.stdout + piped.stderr == b""
