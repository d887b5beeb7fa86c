"""`lsu-seg` as a user meets it: help, results, and what a mistake is answered with."""

from __future__ import annotations

import codecs
import json
import locale
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click import Context
from click.testing import CliRunner, Result

from helpers.tiny import LOAD, draw, label_config, model_config, save, save_checkpoint, write_park, write_tax
from lsu_onto import __version__
from lsu_seg.cli import main
from lsu_seg.commands.demo import DEMO

COMMANDS = list(main.places)


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def refused(code: int, *args: object) -> str:
    """What a command that must fail says: short, for people, and no traceback."""
    result = call(*args)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    text = result.output[result.output.lower().index("error: ") :]
    assert len(text.splitlines()) <= 5
    return text


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A source dataset `fine`, a coarse one `park`, a teacher, and configs to train and to label with."""
    park = write_tax(tmp_path / "tax")
    write_park(tmp_path / "park", {"a": [0, 1, 2, 3, 4, 5, -1]})
    for split in ("train", "val"):
        image, channels = draw(0, [0, 1, 2, 3, 4, 255])
        save(tmp_path / f"fine/images/{split}/a.png", image)
        save(tmp_path / f"fine/labels/{split}/a.png", channels.astype(np.uint8))
    save_checkpoint(tmp_path / "teacher.pth")
    label = label_config(dict(taxonomy=park, data_root=str(tmp_path / "park"), split="train"), tmp_path)
    label.dump(tmp_path / "label.py")
    (tmp_path / "train.py").write_text(
        f"""
custom_imports = dict(imports=['lsu_seg'])
default_scope = 'mmseg'
log_level = 'WARNING'
data_root = {str(tmp_path / "fine")!r}
model = {model_config()!r}
dataset = dict(type='TaxDataset', taxonomy={str(tmp_path / "tax/tiny.tax")!r}, data_root=data_root, pipeline={LOAD!r})
train_dataloader = dict(batch_size=2, sampler=dict(type='CompoundSampler'), dataset=dict(
    type='CompoundDataset', datasets=[dict(dataset, split='train')]))
test_dataloader = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='val'))
test_evaluator = dict(type='OntologyIoU', source='tiny')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
"""
    )
    return tmp_path


# --- what they do ------------------------------------------------------------------------------------------


def test_help_names_every_command() -> None:
    text = call("--help").output
    listed = [line.split()[0] for line in text.partition("Options:")[2].splitlines() if line.startswith("  ")]
    assert [name for name in listed if not name.startswith("-")] == COMMANDS
    order = (
        "demo scan relabel train calibrate pseudo-label review export-dataset audit suggest average evaluate compare"
    )
    assert [*order.split(), "unify", "decode"] == COMMANDS
    assert __version__ in call("--version").output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_explains_every_option(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"lsu-seg {command}" in result.output.split("Example")[1]
    made = main.get_command(Context(main), command)
    assert made is not None
    for parameter in made.params:
        described = getattr(parameter, "help", None) or getattr(parameter, "hidden", False)
        assert parameter.param_type_name == "argument" or described, parameter.name


def test_help_needs_no_torch() -> None:
    code = "import sys, runpy; sys.argv = ['lsu-seg', '--help']\n"
    code += "try: runpy.run_module('lsu_seg.cli', run_name='__main__')\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Usage: "), done.stderr
    assert done.stdout.splitlines()[-1] == "False"


def test_a_user_without_a_name_and_a_home_has_one_for_the_libraries() -> None:
    """In a container whose user is a number: yapf's import, which mmengine needs, would fail."""
    code = """
import os, pwd
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody
import lsu_seg.cli
from platformdirs import user_cache_dir
print(user_cache_dir("YAPF"), os.environ["HOME"])
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "/.cache/YAPF /\n", done.stderr


def test_a_backend_of_matplotlib_that_is_not_there_is_no_matter() -> None:
    code = "import lsu_seg.cli, matplotlib.pyplot; print(matplotlib.get_backend())"
    environment = {**os.environ, "MPLBACKEND": "nix"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("agg\n", "")


def test_train_then_evaluate_then_label(world: Path) -> None:
    trained = call("train", world / "train.py", "--work-dir", world / "run", "--set", "train_cfg.max_iters=3")
    assert trained.exit_code == 0, trained.output
    checkpoint = world / "run/iter_3.pth"
    assert trained.output.splitlines()[-1] == str(checkpoint)

    measured = call("evaluate", world / "train.py", checkpoint, "--work-dir", world / "run")
    assert measured.exit_code == 0, measured.output
    figures = world / "run/evaluation/evaluation.json"
    assert measured.output.splitlines()[-1] == str(figures)
    miou = json.loads(figures.read_text())["sets"]["test"]["views"]["source"]["miou"]
    assert f" {100 * miou:.1f} " in measured.output

    named = ("--dataset", world / "tax/tiny.tax", world / "fine", "val", "-o", world / "named")
    direct = call("evaluate", world / "train.py", checkpoint, "--work-dir", world / "run", *named)
    assert direct.exit_code == 0, direct.output
    same = call("compare", figures, world / "named/evaluation.json")
    assert "differ in the sets: `['test']` and `['tiny']`" in same.output
    assert json.loads((world / "named/evaluation.json").read_text())["sets"]["tiny"]["views"].keys() == {
        "source",
        "projected",
        "set",
    }

    labelled = call("pseudo-label", world / "label.py", checkpoint)
    assert labelled.exit_code == 0, labelled.output
    assert (world / "labels/labels/train/a.png").is_file()


def test_the_log_takes_names_that_the_locale_cannot_write(world: Path) -> None:
    """Logging would print a traceback for each."""
    with (world / "train.py").open("a", encoding="utf-8") as config:
        config.write("note = 'Straße → 道路'\n")
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        with (world / "ascii.txt").open("w") as file:
            assert sys.flags.utf8_mode or codecs.lookup(file.encoding).name == "ascii"
        trained = call("train", world / "train.py", "--work-dir", world / "run", "--set", "log_level=INFO")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    assert trained.exit_code == 0 and "Logging error" not in trained.output
    (log,) = (world / "run").glob("*/*.log")
    assert "'Straße → 道路'" in log.read_text(encoding="utf-8")


def test_every_command_finds_names_in_folders(world: Path) -> None:
    """And what they write down, a further run finds without being told."""
    for config in ("train.py", "label.py"):
        text = (world / config).read_text()
        for name in ("tiny", "park"):
            text = text.replace(repr(str(world / f"tax/{name}.tax")), repr(name))
        (world / config).write_text(text)
    path, work, teacher = ("--path", world / "tax"), ("--work-dir", world / "run"), world / "teacher.pth"
    short = ("--set", "train_cfg.max_iters=1", "--set", "default_hooks.checkpoint.interval=1")
    data, out = ("--data-root", world / "park"), ("-o", world / "out", "--work-dir", world / "one")
    np.save(world / "a.npy", np.zeros((5, 6, 10), np.float32))
    for args in (
        ("scan", "park", *data, "--work-dir", world / "scan"),
        ("relabel", "park", "--source", "tiny", "--data-root", world / "fine", "--split", "val", "-o", world / "new"),
        ("decode", "park", world / "park/labels/train/a.png", world / "a.npy", "-o", world / "a.png"),
        ("train", world / "train.py", *work, *short),
        ("evaluate", world / "train.py", teacher, *work),
        ("evaluate", world / "train.py", teacher, *work, "--dataset", "park", world / "park", "train"),
        ("pseudo-label", world / "label.py", teacher, "--work-dir", world / "label"),
        ("pseudo-label", "park", "--teacher", world / "train.py", "--checkpoint", teacher, *data, *out),
    ):
        assert "park`" in (lost := call(*args).output) or "tiny`" in lost, lost
        found = call(*args, *path)
        assert found.exit_code == 0, (args, found.output)
    again = call("pseudo-label", world / "label/label.py", teacher, "--work-dir", world / "again")
    assert again.exit_code == 0, again.output


def test_relabel_looks_for_the_fine_taxonomy_beside_the_coarse_one(world: Path) -> None:
    args = ("--data-root", world / "fine", "--split", "val", "-o", world / "new")
    done = call("relabel", world / "tax/park.tax", "--source", "tiny", *args)
    assert done.exit_code == 0, done.output


def test_the_configs_of_the_package_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    demo = "lsu_seg/configs/demo/demo.py"
    missing = demo.replace("demo.py", "dem.py")
    for args in (("evaluate", demo, "none.pth"), ("pseudo-label", demo, "none.pth")):
        assert "there is no checkpoint `none.pth`" in call(*args).output
    assert f"'{missing}' does not exist" in refused(2, "train", missing)
    assert f"there is no config `{missing}`" in refused(2, "pseudo-label", missing)
    assert "does not exist" in refused(2, "train", "lsu_seg/configs/../commands/train.py")
    (tmp_path / "lsu_seg/configs/demo").mkdir(parents=True)
    (tmp_path / demo).write_text("default_scope = 'mmseg'\n")  # a file that is there is the one that is meant
    assert "has no `model = dict(type=…, …)`" in refused(1, "evaluate", demo, "none.pth")


# --- mistakes ----------------------------------------------------------------------------------------------


def test_no_such_file(world: Path) -> None:
    assert "'nowhere.py' does not exist" in refused(2, "train", "nowhere.py")
    for command, config in (("pseudo-label", "label.py"), ("evaluate", "train.py")):
        text = refused(1, command, world / config, "none.pth", "--work-dir", world / "run")
        assert text == "error: there is no checkpoint `none.pth`\n"
    text = refused(1, "train", world / "train.py", "--data-root", world / "gone", "--work-dir", world / "run")
    assert text == f"error: {world / 'gone'}: no such folder; set `data_root` to where the dataset lies\n"


def test_options_that_are_none(world: Path) -> None:
    config = world / "train.py"
    assert "`-o` is empty" in refused(2, "decode", world / "tax/park.tax", "a.png", "a.npy", "-o", "")
    assert "`--work-dir` is empty" in refused(2, "train", config, "--work-dir", "")
    assert "`--set max_iters` is not `KEY=VALUE`" in refused(2, "train", config, "--set", "max_iters")
    brackets = refused(2, "train", config, "--set", "model.loss_decode=dict(type='SetNLLLoss')")
    assert "the keys of a `dict(…)` are set one by one, as `--set model.loss_decode.KEY=VALUE`" in brackets
    assert "Imbalanced brackets" in refused(2, "train", config, "--set", "a=[1,(2]")
    text = refused(1, "train", config, "--set", "train_dataloader.dataset.datasets.7.split=val")
    assert "`--set train_dataloader.dataset.datasets.7.split=…` does not fit" in text
    assert "does not fit" in refused(1, "train", config, "--set", "data_root.x=1")


def test_the_former_ways_of_set_say_so(world: Path, tmp_path: Path) -> None:
    config, teacher, pair = world / "train.py", world / "teacher.pth", "train_cfg.max_iters=3"
    for command in (["train", config], ["unify", config], ["demo"]):
        for option in ("-o", "--option"):
            assert f"write `--set {pair}`" in refused(2, *command, option, pair)
    for command in (["evaluate", config, teacher], ["pseudo-label", config, teacher]):
        assert f"write `--set {pair}`" in refused(2, *command, "--option", pair)
        assert f"write `--set {pair}`" in refused(2, *command, "-o", pair)
        assert f"write `--set {pair}`" in refused(2, *command, "--output", pair)
    assert not list(Path.cwd().glob("train_cfg*"))


def test_configs_that_lack_something(world: Path) -> None:
    config, teacher = world / "train.py", world / "teacher.pth"
    work = ("--work-dir", world / "run")
    assert refused(1, "unify", config, *work) == "error: the config has no `unify` section\n"
    assert "no `test_cfg = dict(type='PseudoLabelLoop', …)`" in refused(1, "pseudo-label", config, teacher, *work)
    assert "has no top-level `data_root`" in refused(1, "train", world / "label.py", "--data-root", "x")
    (world / "bare.py").write_text("default_scope = 'mmseg'\n")
    assert "has no `model = dict(type=…, …)`" in refused(1, "evaluate", world / "bare.py", teacher, *work)
    (world / "bare.py").write_text("default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder')\n")
    assert "nothing to evaluate on" in refused(1, "evaluate", world / "bare.py", teacher, *work)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(\n", "SyntaxError"),
        ("_base_ = 'gone.py'\n", "gone.py"),
        ("x = y\n", "name 'y' is not defined"),
        ("custom_imports = dict(imports=['no_such_module'])\n", "no_such_module"),
        ("import no_such_module\nmodel = dict(type=no_such_module.X)\n", "no_such_module"),
        ("from torch.nn import NoSuch\nmodel = dict(backbone=dict(type=NoSuch))\n", "NoSuch"),
    ],
)
def test_configs_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    result = call("train", tmp_path / "bad.py")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert f"error: {tmp_path / 'bad.py'} cannot be read: " in result.output
    assert message in result.output


def test_data_that_is_not_what_the_taxonomy_says(world: Path) -> None:
    save(world / "fine/labels/train/a.png", np.full((24, 40), 9, np.uint8))
    text = refused(1, "train", world / "train.py", "--work-dir", world / "run")
    assert f"{world / 'fine/labels/train/a.png'}: found 960 pixel(s) with unlisted values: 9" in text


def test_taxonomies_that_are_not_there(world: Path) -> None:
    options = ("--work-dir", world / "run", "--set", "train_dataloader.dataset.datasets.0.taxonomy=atlantis")
    assert "atlantis" in refused(1, "train", world / "train.py", *options)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_files_that_are_no_checkpoint(world: Path, content: bytes) -> None:
    (world / "bad.pth").write_bytes(content)
    assert str(world / "bad.pth") in refused(1, "pseudo-label", world / "label.py", world / "bad.pth")


def test_a_work_folder_that_is_a_file(world: Path) -> None:
    (world / "run").write_text("")
    assert str(world / "run") in refused(1, "train", world / "train.py", "--work-dir", world / "run")


def test_the_folder_of_an_output_is_made_and_an_error_names_the_output(world: Path) -> None:
    tax, park, file = world / "tax/park.tax", world / "park", world / "file"
    file.touch()
    scan = ("scan", tax, "--data-root", park, "--split", "train", "--work-dir", world / "scanned")
    assert call(*scan, "--html", world / "new/deep/page.html").exit_code == 0
    assert (world / "new/deep/page.html").is_file()
    assert refused(2, *scan, "--html", file / "page.html").startswith(f"error: {file}: cannot write there (Not a dir")

    label = park / "labels/train/a.png"
    np.save(world / "a.npy", np.zeros((5, 6, 10), np.float32))
    assert refused(1, "decode", tax, label, world / "a.npy", "-o", file / "a.png") == (
        f"error: {file / 'a.png'}: Not a directory\n"
    )
    (world / "long").mkdir()
    long = world / "long" / f"{'a' * 300}.png"
    assert f"{long}: File name too long" in refused(1, "decode", tax, label, world / "a.npy", "-o", long)
    assert not list((world / "long").iterdir())

    # Before the evaluation, which would end in a complaint about the model.
    (world / "no-model.py").write_text("model = dict(type='NoSuchModel')\n")
    text = refused(1, "evaluate", world / "no-model.py", world / "teacher.pth", "-o", file / "out")
    assert text.startswith(f"error: {file / 'out'}: cannot write there (Not a directory)")


def test_relabelling_into_the_input(world: Path) -> None:
    tiny = world / "tax/tiny.tax"
    args = ("relabel", tiny, "--source", tiny, "--data-root", world / "fine", "--split", "train", "-o")
    assert "the output must not be the input" in refused(1, *args, world / "fine")
    assert call(*args, world / "out").output.splitlines()[-1] == f"1 image in {world / 'out'}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("unify = dict(_delete_=True, evaluate=dict())", "the config's `unify` section has no `extra`"),
        ("unify = dict(extra=dict(town=dict(_delete_=True)))", "extra set `town` has no `dataset`"),
        (
            "unify = dict(extra=dict(country=dict(dataset=dict(source='x'))))",
            "extra set `country`: there is no map from",
        ),
        ("unify = dict(extra=dict(country=dict(dataset=dict(source=''))))", "extra set `country`: "),
        ("unify = dict(extra=dict(town=dict(dataset=dict(data_root='gone'))))", "extra set `town`: gone"),
        ("val_dataloader = None", "`val_dataloader.dataset` needs a pipeline"),
        ("val_dataloader = dict(dataset=dict(pipeline=[]))", "`val_dataloader.dataset` needs a pipeline"),
        ("unify = None", "the config has no `test_cfg = dict(type='PseudoLabelLoop', …)` and no `unify` section"),
    ],
)
def test_what_pseudo_label_needs_of_a_config(tmp_path: Path, change: str, said: str) -> None:
    (tmp_path / "config.py").write_text(f"_base_ = {str(DEMO)!r}\n{change}\n")
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04")
    args = (tmp_path / "config.py", tmp_path / "a.pth", "--work-dir", tmp_path / "work")
    assert said in refused(1, "pseudo-label", *args)


def test_precisions_are_compared_on_the_datasets_of_unify(tmp_path: Path) -> None:
    change = "unify = dict(views=dict(precision='bf16'), extra=dict(town=dict(dataset=dict(data_root='gone'))))"
    (tmp_path / "config.py").write_text(f"_base_ = {str(DEMO)!r}\n{change}\n")
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04")
    said = refused(1, "pseudo-label", tmp_path / "config.py", tmp_path / "a.pth", "--compare-precision", 2)
    assert "extra set `town`: gone" in said
