"""`lsu-seg scan`: what it counts, what it guesses, how it is stopped and goes on, and what it imports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.examples import examples
from helpers.forms import FORMS, write_tax
from helpers.processes import SCAN, ended, standing_still, state, wait_until
from helpers.tiny import PARK, write_park
from helpers.tiny import write_tax as write_park_tax
from lsu_seg.cli import main
from lsu_seg.scan.borders import step_share
from lsu_seg.scan.collect import Inspector, Task, inspect_all
from lsu_seg.scan.run import scan

ROOT = Path(__file__).parents[3]


def command(tmp_path: Path, taxonomy: str, *options: str, charset: str = "utf-8") -> Result:
    args = ["scan", taxonomy, "--data-root", str(tmp_path / "data"), "--work-dir", str(tmp_path / "work")]
    result = CliRunner(charset=charset).invoke(main, [*args, *options])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def labels(tmp_path: Path, values: np.ndarray, number: int = 1) -> None:
    for i in range(number):
        for place, pixels in (("images", np.zeros((*values.shape[:2], 3), np.uint8)), ("labels", values)):
            file = tmp_path / f"data/{place}/train/{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)


def test_the_page_goes_to_a_pipe_in_a_folder_where_no_file_can_be_made(tmp_path: Path) -> None:
    """So do `/dev/null` and `/dev/stdout` for all but root."""
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {"a": [0, 2]})
    pipe, read = tmp_path / "closed/pipe", []
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    pipe.parent.chmod(0o555)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    code = "from helpers.forkserver import drop_privileges; drop_privileges(); from lsu_seg.cli import main; main()"
    args = ["scan", tax, "--data-root", tmp_path / "data", "--work-dir", tmp_path / "work", "--html"]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    for target, said in ((pipe, ""), (pipe.with_name("page.html"), "cannot write there (Permission denied)")):
        command_line = [sys.executable, "-c", code, *map(str, args), str(target)]
        result = subprocess.run(command_line, capture_output=True, text=True, env=env, check=False)
        assert said in result.stderr
        assert result.returncode == (2 if said else 0), result.stderr
    reader.join(10)
    assert read[0].startswith(b"<!")


def test_the_report_goes_to_any_stream(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {"道": [0, 2]})
    for charset in ("cp1252", "latin-1", "ascii"):
        report = command(tmp_path, tax, charset=charset)
        assert report.exit_code == 0 and "park v1" in report.stdout
    assert "##" in command(tmp_path, tax, charset="latin-1").stdout  # the bars


def test_counts_are_those_of_what_was_drawn(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    drawn = write_park(tmp_path / "data", {"a": [0, 2], "b": [0, 1, 3], "c": [-1, 4, 5], "d": [2, -1]})
    rows = np.stack(list(drawn.values()))
    report = scan(tax, tmp_path / "data", ["train"], work_dir=tmp_path / "work")
    assert [c.pixels for c in report.classes] == [(rows == i).sum() for i in range(6)]
    assert [c.files for c in report.classes] == [(rows == i).any((1, 2)).sum() for i in range(6)]
    assert report.pixels == rows.size
    assert report.decided == np.isin(rows, [0, 2]).sum()
    assert report.teacher == np.isin(rows, [1, 3, 5]).sum()
    assert report.void == np.isin(rows, [-1, 4]).sum()
    assert report.images_needing_teacher == 2
    grass = report.source_classes[1]
    assert (grass.decided, grass.possible) == (0, np.isin(rows, [1, 5]).sum())
    assert report.source_classes[0].decided == (rows == 0).sum()
    assert report.errors == 0


@pytest.mark.parametrize("form", FORMS)
def test_every_encoding_is_scanned(tmp_path: Path, form: str) -> None:
    drawn = {"x": np.kron([[0, 1, 2, 3, 4, 5, 0, 1]], np.ones((8, 8), int))}
    FORMS[form].write(tmp_path / "data", "train", drawn)
    result = command(tmp_path, write_tax(tmp_path / "tax", FORMS[form]), "--split", "train", "--format", "json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["report"]
    pixels = {c["name"]: c["pixels"] for c in report["classes"]}
    assert [pixels[n] for n in ("way", "green", "sky", "thing")] == [128, 128, 64, 64]


def test_one_process_and_several_say_the_same(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {f"{i}": [i % 6, 1] for i in range(30)})
    (tmp_path / "data/labels/train/7.png").write_bytes(b"")
    one, three = (scan(tax, tmp_path / "data", ["train"], work_dir=tmp_path / f"{n}", jobs=n) for n in (1, 3))
    assert one == three
    assert one.errors == 1
    assert scan(tax, tmp_path / "data", ["train"], work_dir=tmp_path / "3") == one


def test_processes_may_be_spawned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lsu_onto
    from lsu_seg.label_files import LabelReader
    from lsu_seg.layout.pairs import find_pairs

    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {f"{i}": [0, 1] for i in range(8)})
    constraint = lsu_onto.load(tax)
    pairs = find_pairs(tmp_path / "data", constraint.layout, "train")
    tasks = [Task(pair) for pair in pairs]
    inspector = Inspector(LabelReader(constraint, unknown="keep"))
    here = list(inspect_all(inspector, tasks, 1))
    monkeypatch.setattr("lsu_seg.scan.workers.sys.platform", "darwin")
    assert list(inspect_all(inspector, tasks, 2)) == here


def test_only_what_has_changed_is_read_again(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {"a": [0], "b": [1]})
    (tmp_path / "data/labels/train/b.png").write_bytes(b"")

    def records() -> list[str]:
        (file,) = (tmp_path / "work").glob("park-train-*.jsonl")
        return file.read_text().splitlines()[1:]

    assert command(tmp_path, tax, "--split", "train").exit_code == 1
    assert len(records()) == 2
    Image.fromarray(np.full((24, 40), 2, np.uint8)).save(tmp_path / "data/labels/train/b.png")
    result = command(tmp_path, tax, "--split", "train")
    assert result.exit_code == 0
    assert [json.loads(r)["key"] for r in records()] == ["labels/train/a", "labels/train/b", "labels/train/b"]
    write_park_tax(tmp_path / "tax", rows=PARK.replace("> grass tree", "= grass"))  # relations: nothing is read
    assert "0 % need the teacher" in command(tmp_path, tax, "--split", "train").output
    assert len(records()) == 3
    write_park_tax(tmp_path / "tax", rows=PARK.replace("2 green", "7 green"))  # another label space: all is
    assert command(tmp_path, tax, "--split", "train").exit_code == 1
    assert len(records()) == 2


def test_a_killed_scan_loses_nothing_and_leaves_nobody_behind(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    labels(
        tmp_path,
        np.kron(np.random.default_rng(0).integers(1, 7, (60, 60)), np.ones((4, 4))).astype(np.uint8),
        60,
    )
    args = [
        "scan",
        tax,
        "--data-root",
        str(tmp_path / "data"),
        "--split",
        "train",
        "--work-dir",
        str(tmp_path / "work"),
        "--format",
        "json",
        "--jobs",
        "2",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = standing_still(SCAN, sorted(f"labels/train/{i}" for i in range(60))[7])
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
    )
    wait_until(lambda: state(process.pid) in "TZ")
    assert state(process.pid) == "T"
    children = [int(p) for p in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    (file,) = (tmp_path / "work").glob("*.jsonl")
    before = file.read_bytes()
    file.write_bytes(before + b'{"key":"labels/train/5')  # and the last line was half written
    assert before.count(b"\n") - 1 == 8
    result = subprocess.run(
        [sys.executable, "-m", "lsu_seg.cli", *args], capture_output=True, text=True, env=env, check=False
    )
    assert result.returncode == 0, result.stderr
    text = file.read_bytes()
    assert text.startswith(before)
    assert text.count(b'"record"') == 60  # each pair was read once
    whole = scan(tax, tmp_path / "data", ["train"], work_dir=tmp_path / "other", jobs=1)
    assert json.loads(result.stdout)["report"]["classes"] == [c.__dict__ for c in whole.classes]
    assert children
    wait_until(lambda: all(map(ended, children)))  # no worker outlives its parent


# --- the wrong label space ---------------------------------------------------------------------------------

PLACES = "splits: train\nimages: images/{split}/{stem}.png\nlabels: labels/{split}/{stem}.png\n"


def ids(tmp_path: Path, encoding: str, text: str) -> str:
    file = tmp_path / "own.tax"
    file.write_text(f"tax 1\ndataset own v1\nencoding: {encoding}\n{PLACES}{text}")
    return str(file)


def space(result: Result) -> dict:
    assert result.exit_code in (0, 1), result.output
    return {f["kind"]: f for f in json.loads(result.stdout)["report"]["findings"]}["space"]


def test_train_ids_are_told_from_ids(tmp_path: Path) -> None:
    text = (ROOT / "taxonomies/urban/cityscapes.tax").read_text()
    own = tmp_path / "own.tax"
    own.write_text(re.sub(r"(?m)^(images|labels|splits):.*\n", "", text).replace("\n[void]", f"\n{PLACES}\n[void]", 1))
    labels(tmp_path, np.array([[*range(19), 255]], np.uint8))
    found = space(command(tmp_path, str(own), "--format", "json"))
    assert found["severity"] == "error"
    assert "these look like `cityscapes v1` trainIds" in found["examples"][0]
    assert found["examples"][0].endswith("taxonomies/sources/cityscapes.tax")
    labels(tmp_path, np.array([[*range(34)]], np.uint8))
    result = command(tmp_path, str(own), "--format", "json")
    assert "space" not in {f["kind"] for f in json.loads(result.stdout)["report"]["findings"]}


def test_colours_of_another_dataset_are_told(tmp_path: Path) -> None:
    import lsu_onto

    rugd = lsu_onto.load_dataset("rugd")
    tax = ids(tmp_path, "rgb", "1 a #010203\n2 b #040506\n3 c #070809\n4 d #0a0b0c\n")
    labels(tmp_path, rugd.palette[None])
    found = space(command(tmp_path, tax, "--format", "json"))["examples"][0]
    assert "these look like `rugd" in found
    assert found.endswith("rugd.tax")


def test_a_taxonomy_of_the_path_may_be_the_right_one(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    classes = "".join(f"{i} c{i}\n" for i in range(201, 221, 2))
    (library / "base.tax").write_text(f"tax 1\ndataset base v1\nencoding: id\n{classes}")
    (library / "right.tax").write_text("tax 1\ndataset right v1\nextends base v1\nencoding: id\n230 more\n231 last\n")
    labels(tmp_path, np.array([[*range(201, 221, 2), 230, 231]], np.uint8))
    wrong = ids(tmp_path, "id", "1 a\n2 b\n3 c\n")
    assert "right" not in command(tmp_path, wrong, "--format", "json").stdout
    found = space(command(tmp_path, wrong, "--path", str(library), "--format", "json"))["examples"][0]
    assert "these look like `right v1` labels: it lists 12 of the 12 values" in found
    assert found.endswith("library/right.tax")


@pytest.mark.parametrize(
    ("values", "text", "message", "severity"),
    [
        ([0, 255], "void: 255\n0 a\n1 b\n2 c\n", "no values but 0 and 255: masks of one class", "error"),
        ([255, 255], "void: 255\n0 a\n1 b\n2 c\n", "every pixel of every label is void", "error"),
        ([2, 3, 4, 5, 6], "1 a\n2 b\n3 c\n4 d\n5 e\n", "each value looks one more", "error"),
        ([0, 1, 2, 3, 4], "1 a\n2 b\n3 c\n4 d\n5 e\n", "each value looks one less", "error"),
    ],
)
def test_other_label_spaces(tmp_path: Path, values: list, text: str, message: str, severity: str) -> None:
    labels(tmp_path, np.array([values], np.uint8))
    found = space(command(tmp_path, ids(tmp_path, "id", text), "--format", "json"))
    assert message in found["examples"][0]
    assert found["severity"] == severity


def test_packed_values_name_their_encoding(tmp_path: Path) -> None:
    labels(tmp_path, np.array([[24001, 26003, 26004]], np.uint16))
    tax = ids(tmp_path, "id16", "24 person\n26 car\n")
    report = json.loads(command(tmp_path, tax, "--format", "json").stdout)["report"]
    assert report["hint"] == "the values look packed: declare `encoding: id16/1000`"
    assert [v["value"] for v in report["values"]] == ["24001", "26003", "26004"]


def test_dummies_of_a_test_split_are_told(tmp_path: Path) -> None:
    tax = tmp_path / "own.tax"
    tax.write_text(f"tax 1\ndataset own v1 -> demo v1\n{PLACES}0 rest -> void\n1 way = road\n")
    labels(tmp_path, np.zeros((2, 2), np.uint8))
    assert "these labels teach nothing" in space(command(tmp_path, str(tax), "--format", "json"))["examples"][0]


def test_palettes_that_contradict_each_other_are_told_for_any_number_of_processes(tmp_path: Path) -> None:
    values = np.arange(4, dtype=np.uint8)[None]
    labels(tmp_path, values, 12)
    black, red, green, blue = b"\0\0\0", b"\xff\0\0", b"\0\xff\0", b"\0\0\xff"
    for i in range(12):
        image = Image.fromarray(values)
        image.putpalette(b"".join((black, red, green, blue) if i < 8 else (black, blue, green, red)))
        image.save(tmp_path / f"data/labels/train/{i}.png")
    own = "0 a #000000\n1 b #ff0000\n2 c #00ff00\n3 d #0000ff\n"
    one, three = (scan(ids(tmp_path, "id", own), tmp_path / "data", work_dir=tmp_path / f"{n}", jobs=n) for n in (1, 3))
    assert one == three
    found = one.findings[0]
    assert {f.kind: f.count for f in one.findings} == {"palettes": 4, "map": 1}
    assert (found.kind, found.severity, found.count) == ("palettes", "error", 4)
    data = tmp_path / "data/labels/train"
    clash = "a palette with #0000ff for value 1, which is #ff0000 in"
    assert found.examples[0].startswith(f"{data}/10.png: {clash} {data}/0.png; write `encoding: rgb` into the taxonomy")
    tax = ids(tmp_path, "id\npalettes: ignored", own)
    assert command(tmp_path, tax).exit_code == 0
    tax = ids(tmp_path, "rgb", own)
    assert [c.pixels for c in scan(tax, tmp_path / "data", work_dir=tmp_path / "rgb").classes] == [12] * 4
    other = ids(tmp_path, "id", own.replace("#ff0000", "#ff0001"))  # the first file that differs is enough
    report = scan(other, tmp_path / "data", work_dir=tmp_path / "3", jobs=3)
    assert {f.kind: f.count for f in report.findings} == {"palettes": 4, "palette": 1, "map": 1}


def test_bgr_is_decided_file_by_file(tmp_path: Path) -> None:
    tax = ids(tmp_path, "rgb", "1 a #804080\n2 b #6b8e23\n3 c #4682b4\n")
    colours = np.array([[[0x80, 0x40, 0x80], [0x6B, 0x8E, 0x23], [0x46, 0x82, 0xB4]]], np.uint8)
    labels(tmp_path, colours, 4)
    folder = tmp_path / "data/labels/train"
    for i in (1, 2):
        Image.fromarray(colours[..., ::-1].copy()).save(folder / f"{i}.png")
    other = colours.copy()
    other[0, 1] = 1, 2, 3
    Image.fromarray(other).save(folder / "3.png")
    report = json.loads(command(tmp_path, tax, "--format", "json").stdout)["report"]
    swapped = "red and blue look swapped (BGR)"
    assert report["hint"].startswith(f"{swapped} in 2 of 3 files with unlisted colours")
    values = {f["kind"]: f for f in report["findings"]}["values"]["examples"]
    assert [text.endswith(swapped) for text in values] == [True, True, False]


def test_a_blue_that_is_not_listed_is_no_red_that_was_swapped(tmp_path: Path) -> None:
    tax = ids(tmp_path, "rgb", "1 a #ff0000\n2 b #6b8e23\n")
    labels(tmp_path, np.array([[[0, 0, 0xFF], [0x6B, 0x8E, 0x23]]], np.uint8))
    report = json.loads(command(tmp_path, tax, "--format", "json").stdout)["report"]
    assert "swapped" not in report["findings"][0]["examples"][0]


@settings(max_examples=examples(30))
@given(st.booleans(), st.integers(3, 300), st.integers(3, 300), st.integers(0, 2**32 - 1))
def test_steps_are_counted_along_rows_and_columns_in_every_channel(
    coloured: bool, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    channels = rng.integers(0, 5, (height, width, 3 if coloured else 1), np.uint8)
    steps = changes = 0
    lines = [*channels[:: -(-height // 128)], *channels[:, :: -(-width // 128)].transpose(1, 0, 2)]
    for before, here, after in ((line[:-2], line[1:-1], line[2:]) for line in lines):
        changed, changes_again = (before != here).any(1), (here != after).any(1)
        between = ((np.minimum(before, after) <= here) & (here <= np.maximum(before, after))).all(1)
        changes += changed.sum()
        steps += (changed & changes_again & between).sum()
    raw = channels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32) if coloured else channels[:, :, 0]
    assert step_share(raw) == (steps / changes if changes >= 50 else 0)


@pytest.mark.parametrize("encoding", ["id", "rgb", "id16"])
def test_interpolated_labels_are_named_also_where_all_values_are_listed(tmp_path: Path, encoding: str) -> None:
    rng = np.random.default_rng(0)
    ids_ = rng.integers(0, 19, (12, 20)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
    drawn = np.stack([ids_ * 13, 255 - ids_ * 7, ids_ * 5], -1) if encoding == "rgb" else ids_
    text = "".join(f"{i} c{i} #{i * 13:02x}{255 - i * 7:02x}{i * 5:02x}\n" for i in range(19))
    tax = ids(tmp_path, encoding, text)
    findings = []
    for resample in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
        small = np.asarray(Image.fromarray(drawn).resize((200, 120), resample))
        if resample == Image.Resampling.BICUBIC and encoding != "rgb":
            small = small.clip(0, 18)
        labels(tmp_path, small.astype(np.uint16) if encoding == "id16" else small)
        report = json.loads(command(tmp_path, tax, "--format", "json").stdout)["report"]
        findings.append({f["kind"]: f for f in report["findings"]})
    assert ["smooth" in f for f in findings] == [False, True, True]
    assert ["values" in f for f in findings] == [False, encoding == "rgb", encoding == "rgb"]
    assert findings[1]["smooth"]["severity"] == "warning"
    assert "resize it with nearest neighbour" in findings[1]["smooth"]["examples"][0]


def test_a_pattern_of_images_that_matches_labels_is_told(tmp_path: Path) -> None:
    labels(tmp_path, np.array([[0, 1]], np.uint8), 3)
    for file in (tmp_path / "data/labels/train").iterdir():
        file.rename(tmp_path / f"data/images/train/{file.stem}_label.png")
    tax = Path(ids(tmp_path, "id", "0 a\n1 b\n"))
    text = tax.read_text()
    for pattern, code in (("{stem}_label.png", 0), ("{stem}.png", 1)):
        tax.write_text(text.replace("labels/{split}/{stem}.png", f"images/{{split}}/{pattern}"))
        result = command(tmp_path, str(tax), "--format", "json")
        findings = {f["kind"]: f for f in json.loads(result.stdout)["report"]["findings"]}
        assert result.exit_code == code
        if code:
            assert findings["both"]["count"] == 6
        else:
            assert "also matches 3 files of `images/train/{stem}_label.png`" in findings["link"]["examples"][0]
        assert not {"alone", "label"} & set(findings) or code


# --- the command -------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_what_is_wrong(tmp_path: Path) -> None:
    """A smoothed colour label has thousands of colours; a few are kept of each file, and all are counted."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    labels(tmp_path, noise, 20)
    tax = ids(tmp_path, "rgb", "1 a #010203\n")
    result = command(tmp_path, tax, "--format", "json")
    report = json.loads(result.stdout)["report"]
    assert report["unlisted"] == 20 * 64 * 64
    assert len(report["values"]) == 64
    (file,) = (tmp_path / "work").glob("*.jsonl")
    assert max(map(len, file.read_text().splitlines())) < 4000
    values = next(f for f in report["findings"] if f["kind"] == "values")
    assert (values["count"], len(values["examples"])) == (20, 10)


def test_splits_may_be_listed(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {"a": [0]})
    write_park(tmp_path / "data", {"b": [1]}, split="val")
    for options in (["--split", "train,val"], ["--split", "train", "--split", "val,train"], []):
        report = json.loads(command(tmp_path, tax, "--format", "json", *options).stdout)["report"]
        assert (report["splits"], report["pairs"]) == (["train", "val"], 2)
    assert "no split `tset`; the taxonomy has train, val" in command(tmp_path, tax, "--split", "train,tset").output


def test_text_is_plain_and_the_page_stands_alone(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {"a": [0, 1, 9 % 6], "b": [5]})
    page = tmp_path / "page.html"
    result = command(tmp_path, tax, "--html", str(page))
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "no problems" in result.output and result.output.endswith(f"\n{page}\n")
    html = page.read_text()
    assert html.count("<h2>") == 5
    assert not re.search(r"src=(?!\"data:image/)|href=|<script|@import|url\(", html)
    assert html.count("<figure") == html.count("<h3") == 4  # rows 0, 1 and 3 of `a`, 5 of `b`
    assert "background:#805080" in html
    assert command(tmp_path, tax, "--html", str(tmp_path / "tax/park.tax/page.html")).exit_code == 2
    next((tmp_path / "work").iterdir()).write_bytes(b"[" * 100_000)  # what was read is damaged: it is read again
    assert "no problems" in command(tmp_path, tax).output
    (state,) = (tmp_path / "work").iterdir()
    state.write_text(state.read_text().replace('"rows":', '"row":'))  # a record that somebody has edited
    assert "no problems" in command(tmp_path, tax).output
    label = tmp_path / "data/labels/train/a.png"  # a name that is no text
    label.rename(os.fsdecode(os.fsencode(label.parent) + b"/\xff\x1b[31m.png"))
    result = command(tmp_path, tax, "--html", str(page))
    assert result.exit_code == 1
    assert r"\x1b[31m.png (no image" in result.output and "\x1b" not in result.output
    assert "\\udcff\x1b[31m.png" in page.read_text()
    assert command(tmp_path, "nobody").exit_code == 2
    assert command(tmp_path, tax, "--source", "nobody").exit_code == 2


def test_torch_is_not_imported(tmp_path: Path) -> None:
    tax = write_park_tax(tmp_path / "tax")
    write_park(tmp_path / "data", {"a": [0]})
    code = (
        "import sys; from lsu_seg.cli import main\n"
        f"try: main(['scan', {tax!r}, '--data-root', {str(tmp_path / 'data')!r}, '--work-dir', {str(tmp_path)!r}])\n"
        "except SystemExit as e: print(e.code, 'torch' in sys.modules, 'mmcv' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert result.stdout.splitlines()[-1] == "0 False False"
