"""The small world that the calls are about: its files, and for each command lines that work there.

Everything costly is made once, by the programs themselves. The paths in the lines are relative to the world's folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # for the tiny world of the tests

Run = Callable[[Path, str], None]
"""Runs a line of the program, in a process of its own; it must succeed."""

ONTO = """\
validate .
validate park.tax two.tax --format json
validate ok --strict --format sarif
validate broken.tax --fix --unsafe-fixes
validate broken.tax --diff
validate two.tax --watch
fmt --check .
fmt --diff messy.tax
fmt messy.tax
explain TAX306
init mine --source demo -o mine.tax
init mine --source demo --from-csv list.csv -o mine.tax
init mine --source tiny --path . --from-labels park/labels/train -o mine.tax
init mine --source tiny --path . --data-root park --encoding id
import list.csv --from csv --name mine --source demo -o mine.tax
import list.csv --from csv --as source --name mine --void 255
import labels.csv --from data-priors --source tiny --path . --name mine
import mseg.tsv --from mseg --column town-4 -o mine.tax
import module.py:TownDataset --from mmseg --name mine --taxonomy-version v2 --source demo
import cvat.json --from json --name mine --source tiny --path . -o mine.tax
import config.json --from json --as source --name mine
import coco.json --from json --name mine
import labeling.xml --from xml --name mine -o mine.tax
import labelmap.txt --from labelmap --name mine --encoding rgb
import park.sssom.tsv --from sssom --source tiny --path . --name mine
suggest park.tax --source demo --format json
suggest 'two v2' --path . --source demo -o mine.tax
changes park.tax --against old_park.txt
changes park.tax --against git:HEAD --format json
changes park.tax --against park.npz --format sarif
check-maps . --strict
check-maps ok park.tax --format json
compose park.tax tiny demo --path . -o mine.tax
compose park tiny demo --path .
invert park.tax -o mine.tax
invert park --source tiny --path .
restrict demo road car sky --name mine -o mine.tax
restrict tiny.tax @ground --groups
unite demo_town demo_country --name mine -o mine.tax
unite park 'two v2' --path . --format json -o mine.tax
unite park 'two v2' --path . --name mine --merge road,way --drop-below 0.1 --scan scan.json
list --format json --path .
show park.tax
show park way --source tiny --path . --format json
show two.tax 'two v1'
render park.tax -o mine.svg
render park --path . --source tiny --view matrix -o mine.html
render park.tax tiny demo --path . -o mine.svg
render tiny.tax --view tree -o mine.svg
render park --view triangle tiny demo --path . -o mine.svg
compile park.tax -o mine.npz
compile idd --source cityscapes -o mine.npz
export park.tax --to json
export park.tax --to csv -o mine.csv
export park.tax --to sssom
export park.tax --to skos -o mine.ttl
export park.tax --to mmseg
export tiny.tax --to hf
export park.tax --to md
export park.tax --to cvat -o mine.json
export park.tax --to labelstudio -o mine.xml
lsp --stdio
doctor --format json
docs -o errors
"""

SEG = """\
scan park.tax --data-root park --work-dir work/scan
scan park.tax --data-root park --split train --format json --html mine.html --deep
scan rgb/park.tax --data-root rgb_park --unknown void --jobs 2 --fresh
scan id16/park.tax --data-root id16_park --max-pixels 100000
relabel park.tax --source tiny --path . --data-root park --split train -o relabelled
train train.py --work-dir run --set train_cfg.max_iters=1
train train.py --work-dir run --data-root fine --resume
train student.py --work-dir run
calibrate tiny.tax --teacher model.py:build --checkpoint net.pth --data-root fine --split val --images 2 -o mine.json
pseudo-label park.tax --teacher model.py:build --checkpoint net.pth --data-root park --confidence --no-flip -o out
pseudo-label park.tax --teacher train.py --checkpoint teacher.pth --data-root park --threshold 0.5 -o out
pseudo-label park.tax --teacher ensemble.yaml --data-root park --scales 0.5,1 -o out
pseudo-label park.tax --teacher train.py --checkpoint teacher.pth --data-root park -o labels --resume
pseudo-label label.py teacher.pth --work-dir log
pseudo-label park.tax --teacher model.py:build --checkpoint net.pth --data-root park --compare-precision 1 -o out
review export labels --to cvat --data-root park --path . -o tasks2 --images 2
review export labels --to labelstudio --data-root park --path . -o tasks2 --format json
review export labels --to fiftyone --data-root park --path . -o tasks2
review import tasks/annotations.xml --work labels --data-root park --path . --by ann --clip
review import tasks_ls/tasks.json --work labels --data-root park --path . --format json
export-dataset labels --to hf --data-root park --path . -o mine
export-dataset labels --to webdataset --data-root park --path . -o mine
export-dataset labels --to folder --data-root park --path . -o mine --copy
export-dataset labels --to coco-panoptic --data-root park --path . -o mine --unfinished
audit labels --work-dir work/audit --html mine.html --path . --format json
audit park.tax --data-root park --teacher model.py:build --checkpoint net.pth --work-dir work/audit --propose mine.tax
suggest park.tax --data-root park --teacher train.py --checkpoint teacher.pth --source tiny --path . -o mine.tax
average teacher.pth student.pth -o mine.pth --share 0.4
evaluate train.py teacher.pth --work-dir run
evaluate train.py teacher.pth --dataset tiny.tax fine val -o mine --precision bf16
compare evaluation/evaluation.json evaluation/evaluation.json --format json
unify unify.py --work-dir run --jobs 1
decode park.tax park/labels/train/a.png logits.npy -o mine.png --threshold 0.3
decode park.tax park/labels/train logits -o mine --confidence
"""

LAYOUT = "splits: train val\nimages: images/{split}/{stem}.png\nlabels: labels/{split}/{stem}.png\n"
TINY = """
[ground]
0 road   #804080
[nature]
1 grass  #98fb98
2 tree   #6b8e23
[other]
3 sky    #4682b4
4 car    #00008e
"""
PARK = """
1 way     #805080  = road
2 green   #70a030  > grass tree
3 sky     #4080b0  = sky
4 thing   #202090  ~ car void
5 animal  #d02040  ! any
6 skip    #00ffff  -> any ! sky
"""
COLOURS = [0x805080, 0x70A030, 0x4080B0, 0x202090, 0xD02040, 0x00FFFF, 0]
TAX_FILES = {
    "two.tax": """\
tax 1
dataset two v1 -> tiny v1
encoding: id
0 strasse "Straße" #010203 aka street = road
1..3,7 stuff -> any ! sky
- tram < car

dataset two v2 -> tiny v1
void: 255
0 strasse  = road
1 park     > @nature
2 auto     ~ car void
""",
    "child.tax": "tax 1\ndataset child v1\nextends park v1\n\n7 pond #000099\n\nmap child v1 -> tiny v1\npond ! any\n",
    "bridge.tax": """\
tax 1
dataset bridge v1 -> tiny v1
0 road   = road
1 grass  = grass
2 tree   = tree
3 sky    = sky
4 car    = car

map bridge v1 -> demo v1
road   > road
grass  = grass
tree   = tree
sky    = sky
car    = car
""",
    "broken.tax": "tax 1\ndataset broken v1 -> tiny v1\n1 way = raod\n1 green <> grass\n[x]\n2 air = sky ! sky\n",
    "messy.tax": "tax   1\ndataset messy v1 -> demo v1\n   1 way    =   road\n22 green ~ grass tree # x\n",
    "meadow.tax": "tax 1\nsource meadow v1\nprompt-grass: a lawn | grass\n0 grass #00ff00\n1 sky #4682b4\n",
    "pyproject.toml": '[tool.lsu-onto]\nexclude = ["old_*"]\nignore = ["TAX308"]\n',
    "config.json": '{"id2label": {"0": "road", "1": "car", "2": "sky"}, "num_labels": 3}',
    "coco.json": '{"categories": [{"id": 1, "name": "road", "supercategory": "x"}, {"id": 4, "name": "car"}]}',
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\ncar:0,0,142::\n",
    "class.owl": '<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>',
    "names.yaml": "names:\n  0: road\n  1: car\nnc: 2\n",
    "scan.json": "{}",
}
MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, classes, 1)

    def forward(self, images):
        return self.head(torch.relu(self.conv(images)))


def build(classes=5):
    return Net(classes)
"""
ENSEMBLE = """\
teachers:
  - teacher: model.py:build
    checkpoint: net.pth
    weight: 2
  - teacher: train.py
    checkpoint: teacher.pth
    scales: [1]
    flip: false
"""
TRAIN = """\
custom_imports = dict(imports=['lsu_seg'])
default_scope = 'mmseg'
log_level = 'WARNING'
model = {model}
dataset = dict(type='TaxDataset', taxonomy='tiny.tax', data_root='fine', pipeline={load})
train_dataloader = dict(batch_size=2, sampler=dict(type='CompoundSampler'), dataset=dict(
    type='CompoundDataset', datasets=[dict(dataset, split='train')]))
test_dataloader = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='val'))
test_evaluator = dict(type='OntologyIoU', source='tiny')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
"""


def lines(program: str) -> list[list[str]]:
    return [shlex.split(line) for line in (ONTO if program == "lsu_onto" else SEG).splitlines()]


def make(folder: Path, program: str, run: Run) -> None:
    """Make the world of a program in an empty folder."""
    _taxonomies(folder)
    (_lists if program == "lsu_onto" else _learnt)(folder, run)


Tree = dict[str, tuple[int, int, int]]


def tree(folder: Path) -> Tree:
    """Kind, size and time of each file and folder."""
    found: Tree = {}
    for here, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = os.path.join(here, name)  # noqa: PTH118 (names may be any bytes)
            status = os.lstat(path)
            is_folder = stat.S_ISDIR(status.st_mode)
            sizes = (0, 0) if is_folder else (status.st_size, status.st_mtime_ns)
            found[os.path.relpath(path, folder)] = (stat.S_IFMT(status.st_mode), *sizes)
    return found


def put_back(folder: Path, base: Path) -> None:
    """Make a folder a copy of the world again, whatever a call has left there."""
    if not folder.exists():
        shutil.copytree(base, folder, symlinks=True)
        return
    kept = tree(base)
    for name, what in sorted(tree(folder).items(), reverse=True):  # what is in a folder, before the folder
        if kept.get(name) != what:
            (os.rmdir if stat.S_ISDIR(what[0]) else os.unlink)(folder / name)
    there = tree(folder)
    for name, what in sorted(kept.items()):
        if name not in there:
            if stat.S_ISDIR(what[0]):
                (folder / name).mkdir()
            else:
                shutil.copy2(base / name, folder / name, follow_symlinks=False)


def _taxonomies(folder: Path) -> None:
    (folder / "tiny.tax").write_text(f"tax 1\nsource tiny v1\n{LAYOUT}void: 255\n{TINY}")
    for encoding, place in (("id", "."), ("rgb", "rgb"), ("id16/1000", "id16")):
        void = {"id": "255", "rgb": "#000000"}.get(encoding, "60")
        (folder / place).mkdir(exist_ok=True)
        name = "park" if place == "." else f"{place}_park"
        head = f"tax 1\ndataset {name} v1 -> tiny v1\nencoding: {encoding}\nvoid: {void}\n{LAYOUT}"
        (folder / place / "park.tax").write_text(head + PARK)
        data = folder / {"id": "park"}.get(encoding, f"{place}_park")
        _pair(data, "train/a", encoding, range(7))
        _pair(data, "train/b", encoding, [1, 3])
    for split in ("train", "val"):
        _pair(folder / "fine", f"{split}/a", "channels", [0, 1, 2, 3, 4])
    shutil.copytree(ROOT / "tests/tax/ok", folder / "ok")
    for name, text in TAX_FILES.items():
        (folder / name).write_text(text)
    park = (folder / "park.tax").read_text()
    (folder / "old_park.txt").write_text(park.replace("> grass tree", "> grass").replace("5 animal", "7 animal"))
    for name in ("-x", "a b", "new\nline", "em😀ji", "sur\udcff", "[red]m[]", "{stem}", "%s", "ü" * 60):
        (folder / "odd").mkdir(exist_ok=True)
        (folder / "odd" / f"{name}.tax").write_text(park.replace("dataset park", "dataset odd"))


def _pair(data: Path, name: str, encoding: str, rows: Sequence[int]) -> None:
    """An image of noise, and blocks of these rows as an annotation tool stores them."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    drawn = np.kron(rng.choice(rows, (3, 5)), np.ones((8, 8), int))
    if encoding == "rgb":
        colours = np.array(COLOURS)[drawn]
        labels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1).astype(np.uint8)
    elif encoding == "id16/1000":
        labels = (np.array([1, 2, 3, 4, 5, 6, 60])[drawn] * 1000 + 7).astype(np.uint16)
    else:
        labels = (drawn if encoding == "channels" else np.array([1, 2, 3, 4, 5, 6, 255])[drawn]).astype(np.uint8)
    for kind, pixels in (("images", rng.integers(0, 256, (*drawn.shape, 3), np.uint8)), ("labels", labels)):
        path = data / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _lists(folder: Path, run: Run) -> None:
    from helpers import exchange

    names = {"list.csv": "LIST", "labels.csv": "LABELS", "master.csv": "MASTER", "mseg.tsv": "MSEG"}
    for name, attribute in (names | {"module.py": "MODULE", "rich.tax": "RICH"}).items():
        (folder / name).write_text(getattr(exchange, attribute).replace("dataset field", "dataset rich"))
    for to, name in (("cvat", "cvat.json"), ("labelstudio", "labeling.xml"), ("sssom", "park.sssom.tsv")):
        run(folder, f"export park.tax --to {to} -o {name}")
    run(folder, "export park.tax --to skos -o park.ttl")
    run(folder, "compile park.tax -o park.npz")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for line in (["init", "-q", "--template="], ["add", "park.tax", "tiny.tax"], ["commit", "-qm", "a"]):
        subprocess.run(["git", *identity, *line], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _learnt(folder: Path, run: Run) -> None:
    from helpers.tiny import LOAD, model_config

    (folder / "model.py").write_text(MODEL)
    (folder / "ensemble.yaml").write_text(ENSEMBLE)
    train = TRAIN.format(model=model_config(), load=LOAD)
    (folder / "train.py").write_text(train)
    member = "dict(type='TaxDataset', taxonomy='park.tax', data_root='park', split='train', labels='labels')"
    student = train.replace("datasets=[", f"source='tiny', datasets=[{member}, ")
    (folder / "student.py").write_text(student.replace("dict(type='CrossEntropyLoss'", "dict(type='CrossEntropyLoss'"))
    extra = "dict(town=dict(dataset=dict(type='TaxDataset', taxonomy='park.tax', data_root='park', split='train')))"
    judge = "dict(val=dict(type='TaxDataset', taxonomy='tiny.tax', data_root='fine', split='val'))"
    views = "views=dict(scales=(1.0,), flips=(False,))"
    unify = f"unify = dict(extra={extra}, {views}, students=('raw',), unsure=0.1, evaluate={judge})\n"
    (folder / "unify.py").write_text(train + unify)
    label = train.replace("test_evaluator", "unused").replace("test_dataloader", "unused_too")
    data = "dict(type='TaxDataset', taxonomy='park.tax', data_root='park', split='train', pipeline=dataset['pipeline'])"
    label += f"test_dataloader = dict(batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False), dataset={data})"
    (folder / "label.py").write_text(label + "\ntest_cfg = dict(type='PseudoLabelLoop', out_dir='out')\n")
    run(folder, "")  # the process that may compute: see `weights`
    for line in (
        "pseudo-label park.tax --teacher train.py --checkpoint teacher.pth --data-root park --confidence -o labels",
        "evaluate train.py teacher.pth --dataset tiny.tax fine val -o evaluation",
        "review export labels --to cvat --data-root park --path . -o tasks",
        "review export labels --to labelstudio --data-root park --path . -o tasks_ls",
    ):
        run(folder, line)


def weights(folder: Path) -> None:
    """Weights and logits of the teachers. A process that has computed with torch can no longer be forked."""
    import numpy as np
    import torch

    from helpers.tiny import save_checkpoint

    for seed, name in enumerate(("teacher.pth", "student.pth")):
        save_checkpoint(folder / name, seed)
    sys.path.insert(0, os.fspath(folder))
    from model import build  # type: ignore[import-not-found]

    torch.save({"state_dict": build().state_dict()}, folder / "net.pth")
    (folder / "logits").mkdir()
    for path in (folder / "logits.npy", folder / "logits/a.npy", folder / "logits/b.npy"):
        np.save(path, np.random.default_rng(0).normal(size=(5, 6, 10)).astype(np.float32))
