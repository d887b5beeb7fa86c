"""The one-line form of `lsu-seg pseudo-label`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from click.testing import CliRunner, Result

from helpers.folders import tree
from helpers.forkserver import Server, need_a_device_per_rank
from helpers.hf import M2F, folder, inside, released
from helpers.tiny import CLASSES, VOID, model_config, read, save_checkpoint, write_park, write_tax
from lsu_seg.cli import main
from lsu_seg.errors import ConfigError
from lsu_seg.pseudo.oneline import pseudo_label_config
from lsu_seg.pseudo.records import finished
from lsu_seg.pseudo.run import pseudo_label


def call(*args: object) -> Result:
    return CliRunner().invoke(main, ["pseudo-label", *(str(a) for a in args)])


def one_line(park: Path, *teacher_and_work: Path, extra: tuple[object, ...] = ()) -> Result:
    teacher, *checkpoint, work = teacher_and_work
    return call(
        park / "tax/park.tax",
        "--data-root",
        park / "park",
        "--teacher",
        teacher,
        *(part for file in checkpoint for part in ("--checkpoint", file)),
        "-o",
        work / "out",
        "--work-dir",
        work / "log",
        *extra,
    )


def test_one_line_with_each_kind_of_teacher(park: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "teacher.py"
    config.write_text(f"model = {model_config()!r}\ntrain_cfg = dict(type='IterBasedTrainLoop', max_iters=3)\n")
    teachers: dict[str, tuple[Path, ...]] = {
        "mmseg": (config, save_checkpoint(tmp_path / "teacher.pth")),
        "folder": (folder(tmp_path / "folder"),),
        "data-priors": (released(tmp_path / "3_best.pth", monkeypatch),),
    }
    hashes = set()
    for name, teacher in teachers.items():
        work = tmp_path / name
        result = one_line(park, *teacher, work, extra=("--scales", "0.5,1", "--no-flip", "--threshold", 0.3))
        assert result.exit_code == 0, result.output
        assert result.output.splitlines()[-1] == str(work / "out")
        assert inside(park, work / "out")
        manifest = json.loads((work / "out/manifest.json").read_text())
        assert (manifest["scales"], manifest["flips"], manifest["threshold"]) == ([0.5, 1.0], [False], 0.3)
        hashes.add(manifest["checkpoint_sha256"])
    assert len(hashes) == 3
    assert "none" not in " ".join(hashes)

    before = (tmp_path / "folder/out/labels/train/a.png").read_bytes()
    shutil.rmtree(tmp_path / "folder/out")
    again = call(tmp_path / "folder/log/park.py")  # the config that the one line made
    assert again.exit_code == 0, again.output
    assert (tmp_path / "folder/out/labels/train/a.png").read_bytes() == before


def test_a_teachers_normalisation_may_stand_beside_its_model(park: Path, tmp_path: Path) -> None:
    """MMEngine gives a top-level `data_preprocessor` to a model that has none."""
    weights, model = save_checkpoint(tmp_path / "teacher.pth"), model_config()
    (tmp_path / "inside.py").write_text(f"model = {model!r}\n")
    normalisation = model.pop("data_preprocessor")
    (tmp_path / "beside.py").write_text(
        f"model = {model!r}\ndata_preprocessor = {normalisation!r}\ncustom_imports = None\n"
    )
    for name in ("inside", "beside"):
        result = one_line(park, tmp_path / f"{name}.py", weights, tmp_path / name)
        assert result.exit_code == 0, result.output
    label = "out/labels/train/a.png"
    assert (tmp_path / "inside" / label).read_bytes() == (tmp_path / "beside" / label).read_bytes()


def test_the_line_says_all_that_the_config_does() -> None:
    cfg = pseudo_label_config("idd", "data", "a.pth", None, "out", "vistas", "val", [0.5, 2], False, 0.2, True, "void")
    assert cfg.test_cfg.to_dict() == dict(
        type="PseudoLabelLoop",
        out_dir="out",
        scales=[0.5, 2],
        flips=[False],
        threshold=0.2,
        confidence=True,
        title="pseudo-labels of idd",
    )
    dataset = cfg.test_dataloader.dataset
    assert (dataset.taxonomy, dataset.source, dataset.split, dataset.unknown) == (
        "idd",
        "vistas",
        "val",
        "void",
    )
    assert [step["type"] for step in dataset.pipeline] == [
        "LoadTaxImage",
        "LoadTaxAnnotations",
        "PackTaxInputs",
    ]


def test_set_changes_the_config_that_the_line_makes(park: Path, tmp_path: Path) -> None:
    result = one_line(park, folder(tmp_path / "f"), tmp_path, extra=("--set", "test_cfg.scales=[0.5]"))
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out/manifest.json").read_text())["scales"] == [0.5]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give CONFIG and CHECKPOINT, or TAXONOMY with --teacher"),
        (("idd", "x.pth"), "there is no config `idd`; if it is a taxonomy, say who labels it: --teacher"),
        (("idd", "--teacher", "f", "-o", "out"), "--data-root is missing"),
        (
            ("idd", "--teacher", "f", "--data-root", "d"),
            "-o is missing: the folder to write to",
        ),
        (
            ("idd", "x", "--teacher", "f", "--data-root", "d", "-o", "out"),
            "expected one TAXONOMY; found `idd`, `x`",
        ),
        (
            ("idd", "--teacher", "m.py", "c.pth", "--data-root", "d", "-o", "out"),  # as it once was
            "a checkpoint has an option of its own: --checkpoint c.pth",
        ),
        (("a.py", "--checkpoint", "b.pth"), "`--checkpoint` belongs to the form TAXONOMY --teacher"),
        (("a.py", "b.pth", "--split", "val"), "`--split` belongs to the form TAXONOMY --teacher"),
        (
            ("idd", "--teacher", "f", "--data-root", "d", "-o", "o", "--scales", "1,x"),
            "`1,x` is not a list of numbers",
        ),
    ],
)
def test_lines_that_are_wrong(args: tuple[str, ...], message: str) -> None:
    result = call(*args)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("iddd", "--source", "cityscapes", "--teacher", "f"), "did you mean `idd`?"),
        (("idd", "--teacher", "f"), "say which with `--source`"),
        (
            ("idd", "--source", "cityscapes", "--teacher", "f", "--split", "tran"),
            "has no split `tran`; it has train, val",
        ),
        (("idd", "--source", "cityscapes", "--teacher", "no.pth"), "there is no teacher `no.pth`"),
        (("idd", "--source", "cityscapes", "--teacher", "m.py", "--checkpoint", "c.pth"), "there is no config `m.py`"),
        (("idd", "--source", "cityscapes", "--teacher", "f", "--checkpoint", "c.pth"), "there is no `f`"),
        (
            ("idd", "--source", "cityscapes", "--teacher", ".", "--checkpoint", "c.pth"),
            "brings its own weights, so leave `--checkpoint` out",
        ),
    ],
)
def test_lines_with_mistakes(args: tuple[str, ...], message: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = call(*args, "--data-root", data, "-o", tmp_path / "out", "--work-dir", tmp_path / "log")
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("deep", ["-" * 9000 + "1", "a." * 9000 + "b", "\0"])
def test_a_teachers_file_too_deep_for_python_is_a_message(deep: str, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(f"x = 1\n{deep}\n")
    teacher = "idd", "--source", "cityscapes", "--teacher", tmp_path / "m.py", "--checkpoint", "c.pth"
    result = call(*teacher, "--data-root", tmp_path, "-o", tmp_path / "out", "--work-dir", tmp_path / "log")
    assert result.exit_code == 1
    assert "m.py cannot be read: " in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_teachers_config_needs_its_weights(tmp_path: Path) -> None:
    (tmp_path / "teacher.py").write_text(f"model = {model_config()!r}\n")
    with pytest.raises(ConfigError, match=r"teacher\.py` is a config; give its weights, too: --checkpoint FILE"):
        pseudo_label_config("demo_town", "data", str(tmp_path / "teacher.py"), None, "out", "demo")


def test_a_config_without_weights_needs_a_checkpoint() -> None:
    cfg = pseudo_label_config("demo_town", "data", "a.pth", None, "out", "demo")
    cfg.model = model_config()
    with pytest.raises(ConfigError, match="random weights: give the CHECKPOINT"):
        pseudo_label(cfg, None)


AGENT = """
import sys
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from lsu_seg.cli import main
settings = LaunchConfig(1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork", max_restarts=0)
elastic_launch(settings, lambda *args: main(args, prog_name="lsu-seg", standalone_mode=False))(*sys.argv[1:])
"""
"""What `torchrun --standalone` does, with processes that are forked."""


@pytest.fixture(scope="module")
def labelled(park: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A teacher, and what one process labels."""
    root = tmp_path_factory.mktemp("one")
    teacher = folder(root / "f")
    assert one_line(park, teacher, root).exit_code == 0
    return teacher, root / "out/labels"


def line(park: Path, teacher: Path, root: Path) -> list[object]:
    data = ["--data-root", park / "park", "--teacher", teacher]
    place = ["-o", root / "two", "--work-dir", root / "log", "--launcher", "pytorch"]
    return ["pseudo-label", park / "tax/park.tax", *data, *place]


def test_the_line_under_torchruns_agent(
    park: Path, labelled: tuple[Path, Path], tmp_path: Path, server: Server
) -> None:
    need_a_device_per_rank(2)
    teacher, one = labelled
    code, printed = server.run(tmp_path / "log.txt", *line(park, teacher, tmp_path), code=AGENT)
    assert code == 0, printed
    assert tree(tmp_path / "two/labels") == tree(one)
    assert len(list((tmp_path / "two").glob("records-*.jsonl"))) == 2


@pytest.mark.slow
def test_the_line_under_torchrun(park: Path, labelled: tuple[Path, Path], tmp_path: Path) -> None:
    """The program itself; each process imports everything anew."""
    need_a_device_per_rank(2)
    teacher, one = labelled
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lsu_seg"]
    subprocess.run([*torchrun, *map(str, line(park, teacher, tmp_path))], check=True)
    assert tree(tmp_path / "two/labels") == tree(one)


def test_no_object_is_evidence_for_void(park: Path, tmp_path: Path) -> None:
    """Where the queries see nothing, open rows are void, and closed rows are not."""
    path = folder(tmp_path / "m2f", M2F)
    net = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(path)
    with torch.no_grad():
        net.class_predictor.weight.zero_()
        net.class_predictor.bias.copy_(torch.tensor([0.0] * 5 + [20.0]))
    net.save_pretrained(path)
    result = one_line(park, path, tmp_path)
    assert result.exit_code == 0, result.output
    raw, label = read(park / "park/labels/train/a.png"), read(tmp_path / "out/labels/train/a.png")
    assert set(label[raw == 4]) == {VOID}  # ~ car void
    assert set(label[raw == 2]) <= {1, 2}  # > grass tree


# --- splits, and refusals ------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path, Path]:
    """`park` with two splits, and a teacher's config and checkpoint."""
    write_tax(tmp_path / "tax")
    for split, count in (("train", 3), ("val", 2)):
        write_park(tmp_path / "park", {f"{split}{i}": [0, 1, 5] for i in range(count)}, split=split)
    config = tmp_path / "teacher.py"
    config.write_text(f"model = {model_config()!r}\n")
    return tmp_path, config, save_checkpoint(tmp_path / "teacher.pth")


def test_several_splits_are_labelled_into_one_folder(parts: tuple[Path, Path, Path]) -> None:
    root, *teacher = parts
    both = one_line(root, *teacher, root / "both", extra=("--split", "train,val"))
    assert both.exit_code == 0, both.output
    assert both.output.splitlines()[-1] == str(root / "both/out")
    assert {Path(key).name for key in finished(root / "both/out")} == {"train0", "train1", "train2", "val0", "val1"}
    assert {f.name for f in (root / "both/log").glob("*.py")} == {"park-train.py", "park-val.py"}
    assert one_line(root, *teacher, root / "both", extra=("--split", "val,train", "--no-resume")).exit_code == 1

    for split in ("train", "val"):
        later = one_line(root, *teacher, root / "later", extra=("--split", split))
        assert later.exit_code == 0, later.output
    assert "out: holds labels of `train`; those of `val` are written beside them" in later.output
    assert tree(root / "later/out") == tree(root / "both/out")
    assert "images or their annotations" not in later.output

    fresh = one_line(root, *teacher, root / "fresh", extra=("--split", "train,val", "--no-resume"))
    assert fresh.exit_code == 0, fresh.output
    other = one_line(root, *teacher, root / "fresh", extra=("--split", "val", "--threshold", "0.5"))
    assert other.exit_code == 1
    assert "settings:\n  threshold: there None, now 0.5\n" in other.output


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ("train,vall", "has no split `vall`; it has train, val"),
        ("train,", "`train,` is not a list of splits such as train,val"),
        ("val,val", "`val,val` is not a list of splits"),
    ],
)
def test_splits_that_are_none_are_refused(parts: tuple[Path, Path, Path], splits: str, message: str) -> None:
    root, *teacher = parts
    before = tree(root)
    refused = one_line(root, *teacher, root / "work", extra=("--split", splits))
    assert refused.exit_code
    assert message in refused.output
    assert tree(root) == before


def test_a_dataset_without_splits_has_no_list_of_them(parts: tuple[Path, Path, Path]) -> None:
    root, *teacher = parts
    tax = root / "tax/park.tax"
    tax.write_text(tax.read_text().replace("splits: train val\n", "").replace("{split}", "train"))
    assert "has no `splits:`" in one_line(root, *teacher, root / "work", extra=("--split", "train,val")).output


@pytest.mark.parametrize("fault", ["order", "number", "weights", "config"])
def test_a_refused_teacher_leaves_nothing_behind(parts: tuple[Path, Path, Path], fault: str) -> None:
    root, config, checkpoint = parts
    if fault == "order":
        save_checkpoint(checkpoint, classes=[CLASSES[i] for i in (0, 2, 1, 3, 4)])
    elif fault == "number":
        save_checkpoint(checkpoint, classes=[*CLASSES, "bus"])
    elif fault == "weights":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])  # to torch, an `Invalid argument`
    else:
        config.write_text(f"model = {model_config()!r}\nmodel['backbone']['depth'] = 3\n")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    refused = one_line(root, config, checkpoint, root / "deep/work")
    assert refused.exit_code == 1, refused.output
    assert isinstance(refused.exception, SystemExit)
    assert "teacher" in refused.output or "depth" in refused.output or "checkpoint's classes" in refused.output
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_refused_teacher_leaves_earlier_runs_as_they_are(parts: tuple[Path, Path, Path]) -> None:
    root, config, checkpoint = parts
    assert one_line(root, config, checkpoint, root / "work").exit_code == 0
    swapped = save_checkpoint(root / "swapped.pth", classes=[CLASSES[i] for i in (0, 2, 1, 3, 4)])
    before, logs = tree(root / "work/out"), set((root / "work/log").rglob("*"))
    assert one_line(root, config, swapped, root / "work").exit_code == 1
    assert tree(root / "work/out") == before
    assert set((root / "work/log").rglob("*")) >= logs


def test_what_is_wrong_is_said_before_torch_is_imported(parts: tuple[Path, Path, Path]) -> None:
    root, teacher, _ = parts
    line = ["pseudo-label", root / "tax/park.tax", "--data-root", root / "park", "-o", root / "out", "--teacher"]
    script = (
        "import sys\nfrom lsu_seg.cli import main\n"
        "for line in eval(sys.argv[1]):\n"
        "    try:\n        main(line)\n"
        "    except SystemExit as end:\n        print(end.code, 'torch' in sys.modules)\n"
    )
    lines = [[*line, root / "teachr.py:build"], [*line, teacher, "--compare-precision", 2]]
    command = [sys.executable, "-c", script, repr([[str(word) for word in one] for one in lines])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n1 False\n"
    assert "teachr.py`; did you mean `teacher.py`?" in done.stderr
    assert "the precision is fp32, which the labels are compared with: choose another one" in done.stderr


def test_another_precision_makes_other_labels(parts: tuple[Path, Path, Path]) -> None:
    line = (*parts, parts[0] / "work")
    nameless = torch.load(parts[2], weights_only=False) | {"meta": {}}
    torch.save(nameless, parts[2])
    compared = one_line(*line, extra=("--precision", "bf16", "--compare-precision", 2))
    assert compared.exit_code == 0, compared.output
    said = re.search(
        r"park train: bf16 instead of fp32, on 2 of 3 images: another label for (\S+) % of the (\d+)"
        r" pixels that the teacher was asked about; \S+ images/s instead of \S+\n",
        compared.output,
    )
    assert said and 0 <= float(said[1]) < 5 and int(said[2]) > 500
    assert compared.output.count("warning: neither the checkpoint nor the model names its classes") == 1
    rounds = re.findall(r"^(.*?) +(\d)/\2  .* ETA 0 s", compared.output, re.M)
    assert rounds == [("first image of bf16, not timed", "1"), ("labels of bf16", "2"), ("labels of fp32", "2")]
    assert not (line[-1] / "out").exists()
    assert one_line(*line, extra=("--precision", "bf16")).exit_code == 0
    manifest = json.loads((line[-1] / "out/manifest.json").read_text())
    assert (manifest["precision"], manifest["compile"]) == ("bf16", False)
    refused = one_line(*line, extra=("--precision", "fp32"))
    assert refused.exit_code == 1
    assert "precision: there bf16, now fp32" in refused.output
    assert "or write to another one; `--precision`, left out, goes on in it" in refused.output
    label = next((line[-1] / "out").rglob("*.png"))
    before = label.read_bytes()
    label.unlink()
    again = one_line(*line)
    assert again.exit_code == 0, again.output
    assert "the labels that are there were computed in bf16, and so are the others" in again.output
    assert label.read_bytes() == before
    assert json.loads((line[-1] / "out/manifest.json").read_text()) == manifest
    nothing = one_line(*line, extra=("--compare-precision", 2))
    assert nothing.exit_code == 1
    assert "the precision is fp32, which the labels are compared with: choose another one" in nothing.output


def test_a_folder_of_an_earlier_version_is_gone_on_with(parts: tuple[Path, Path, Path]) -> None:
    """Its manifest does not say what all labels were made with then."""
    line = (*parts, parts[0] / "work")
    assert one_line(*line).exit_code == 0
    manifest = json.loads((line[-1] / "out/manifest.json").read_text())
    assert manifest.pop("precision") == "fp32" and manifest.pop("compile") is False
    (line[-1] / "out/manifest.json").write_text(json.dumps(manifest))
    again = one_line(*line)
    assert again.exit_code == 0, again.output
