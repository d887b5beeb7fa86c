"""Any torch network as a teacher and as a student, from the command line to the figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from mmengine.config import Config

from helpers.hf import inside
from helpers.nets import save_net, write_net
from helpers.students import student_config
from helpers.tiny import ALLOWED, read
from lsu_seg.cli import main
from lsu_seg.models.factory import find, make
from lsu_seg.pseudo.inputs import modules_sha256
from lsu_seg.pseudo.loop import _config_sha256
from lsu_seg.pseudo.output import file_sha256


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def label(park: Path, work: Path, *teacher: object) -> Result:
    taxonomy, root = park / "tax/park.tax", park / "park"
    where = ("--data-root", root, "-o", work / "out", "--work-dir", work / "log", "--no-flip")
    return call("pseudo-label", taxonomy, *where, "--teacher", *teacher)


def test_a_function_and_its_weights_label_in_one_line(park: Path, tmp_path: Path) -> None:
    """Inside the constraints, and with the best of the allowed logits of the network itself."""
    factory = write_net(tmp_path / "net")
    weights = save_net(tmp_path / "net.pth", factory, prefix="module.", classes=6)
    settings = ("--set", "model.args.classes=6", "--set", "model.drop_channels=[5]")
    result = label(park, tmp_path, factory, "--checkpoint", weights, *settings)
    assert result.exit_code == 0, result.output
    assert "is shown RGB images with the mean and the deviation of ImageNet" in result.stderr
    assert "its channels are taken for the source taxonomy's: 0 road, 1 grass" in result.stderr
    assert inside(park, tmp_path / "out")

    net = make(find(factory), dict(classes=6)).eval()
    net.load_state_dict({k.removeprefix("module."): v for k, v in torch.load(weights, weights_only=True).items()})
    image = torch.from_numpy(read(park / "park/images/train/a.png").copy()).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        logits = net(((image - mean) / std)[None])
    logits = torch.nn.functional.interpolate(logits, image.shape[1:], mode="bilinear")[0, :5].numpy()
    raw, found = read(park / "park/labels/train/a.png"), read(tmp_path / "out/labels/train/a.png")
    green = raw == 2  # may be grass or tree
    assert set(found[green].tolist()) == ALLOWED[1]
    clear = green & (np.abs(logits[1] - logits[2]) > 1e-3)
    np.testing.assert_array_equal(found[clear], np.where(logits[1] > logits[2], 1, 2)[clear])


def test_another_place_is_the_same_teacher_and_other_code_is_not(park: Path, tmp_path: Path) -> None:
    factory = write_net(tmp_path / "net")
    weights = save_net(tmp_path / "net.pth", factory)
    assert label(park, tmp_path, factory, "--checkpoint", weights).exit_code == 0
    made = json.loads((tmp_path / "out/manifest.json").read_text())
    assert made["checkpoint_sha256"] == file_sha256(weights)

    def model(name: str, **settings: object) -> Config:
        return Config(dict(model=dict(type="TorchSegmentor", factory=name, **settings)))

    moved = write_net(tmp_path / "moved")
    assert modules_sha256(model(moved)) == made["modules_sha256"]
    assert _config_sha256(model(moved, checkpoint="a.pth")) == made["model_sha256"]
    assert _config_sha256(model(moved, mean=[0, 0, 0], std=[1, 1, 1])) != made["model_sha256"]
    (tmp_path / "net/blocks.py").write_text((tmp_path / "net/blocks.py").read_text().replace("ReLU", "Tanh"))
    changed = label(park, tmp_path, factory, "--checkpoint", weights)
    assert changed.exit_code == 1
    assert "holds labels made with other settings" in changed.output
    assert "modules_sha256: there {'net.py:build': " in changed.output


def test_a_function_that_loads_its_weights_needs_no_checkpoint(park: Path, tmp_path: Path) -> None:
    factory = write_net(tmp_path / "net")
    refused = label(park, tmp_path, factory)
    assert refused.exit_code == 1
    assert (
        "makes random weights: `stem.0.weight` has others when it is called again: give the CHECKPOINT"
        in refused.output
    )
    result = label(park, tmp_path, factory.replace("build", "seeded"))
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out/manifest.json").read_text())["checkpoint_sha256"].startswith("none: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: name.replace("net.py", "nat.py"), "there is no file `.*nat.py`; did you mean `net.py`?"),
        (lambda name: name.replace("build", "biuld"), "has no function `biuld`; did you mean `build`?"),
        (lambda name: name.replace("build", "numbers"), "returned a int; expected a torch.nn.Module"),
        (lambda name: name.replace("build", "ends"), r"ends` fails: .*net.py:\d+: in `raise .*: SystemExit"),
        (
            lambda name: name.partition(":")[0],
            "is no teacher's config; if one of its functions makes a network, name it: ",
        ),
        (
            lambda name: name.partition(":")[0].replace("net.py", "weights"),
            "or a function that makes a network: `file.py",
        ),
    ],
)
def test_mistakes_end_in_a_line(park: Path, tmp_path: Path, change: object, message: str) -> None:
    factory = write_net(tmp_path / "net")
    result = label(park, tmp_path, change(factory), "--checkpoint", save_net(tmp_path / "net.pth", factory))  # type: ignore[operator]
    assert result.exit_code == 1
    assert re.search(message, result.output), result.output
    assert "Traceback" not in result.output


def test_an_audit_asks_it(park: Path, tmp_path: Path) -> None:
    """Once, and again if the code has changed."""
    factory = write_net(tmp_path / "net")
    weights = save_net(tmp_path / "net.pth", factory)
    where = ("--data-root", park / "park", "--work-dir", tmp_path / "asked", "--checkpoint", weights)
    config = tmp_path / "teacher.py"
    config.write_text(
        f"model = dict(type='TorchSegmentor', factory={factory!r})\ncustom_imports = dict(imports=['lsu_seg'])"
    )

    def asked(teacher: object) -> int:
        result = call("audit", park / "tax/park.tax", *where, "--teacher", teacher)
        assert "3 images and 320 pixels were looked at" in result.output, result.output
        return len([*(tmp_path / "asked").iterdir()])

    assert [asked(factory), asked(config)] == [1, 1]  # the same teacher
    blocks = tmp_path / "net/blocks.py"
    blocks.write_text(blocks.read_text().replace("ReLU", "Tanh"))
    assert [asked(config), asked(factory)] == [2, 2]

    loading = tmp_path / "net/loading.py"
    loading.write_text(
        "import net, torch\n\n\ndef build():\n    made = net.build()\n"
        f"    made.load_state_dict(torch.load({str(weights)!r}))\n    return made\n"
    )
    where = where[:-2]
    assert [asked(f"{loading}:build"), asked(f"{loading}:build")] == [3, 3]
    save_net(weights, factory, seed=1)
    assert asked(f"{loading}:build") == 4


def test_a_student_is_trained_judged_and_labels(tmp_path: Path) -> None:
    """On sets, with further logits; it begins with weights that the config names."""
    factory = write_net(tmp_path / "net")
    start = save_net(tmp_path / "start.pth", factory)
    cfg = student_config(tmp_path, iterations=2)
    cfg.model = dict(
        type="TorchSegmentor",
        factory=factory,
        args=dict(shape="dict"),
        checkpoint=str(start),
        auxiliary=["aux"],
        num_classes=5,
        size_divisor=8,
        loss_decode=dict(type="SetNLLLoss", source="tiny"),
    )
    file = tmp_path / "student.py"
    cfg.dump(file)
    trained = call("train", file)
    assert trained.exit_code == 0, trained.output
    checkpoint = tmp_path / "work/iter_2.pth"
    weights, before = torch.load(checkpoint, weights_only=False)["state_dict"], torch.load(start, weights_only=True)
    assert {name.removeprefix("net.") for name in weights} == before.keys()
    assert not torch.equal(weights["net.aux.weight"], before["aux.weight"])
    start.unlink()  # it is not needed any more
    further = call("train", file, "--resume", "--set", "train_cfg.max_iters=3")
    assert further.exit_code == 0, further.output
    assert further.output.endswith("iter_3.pth\n")

    park = tmp_path / "park"
    sets = ("--dataset", tmp_path / "tax/park.tax", park, "train", "-o", tmp_path / "figures")
    judged = call("evaluate", file, checkpoint, *sets)
    assert judged.exit_code == 0, judged.output
    report = json.loads((tmp_path / "figures/evaluation.json").read_text())
    assert report["model"]["checkpoint"] == str(checkpoint)
    labelled = call(
        *("pseudo-label", tmp_path / "tax/park.tax", "--data-root", park, "-o", tmp_path / "out"),
        *("--work-dir", tmp_path / "log", "--teacher", factory, "--checkpoint", checkpoint),
        *("--set", "model.args.shape=dict", "--set", "model.size_divisor=8"),
    )
    assert labelled.exit_code == 0, labelled.output
    assert "taken for the source taxonomy's" not in labelled.output  # our checkpoint names its classes
    assert inside(tmp_path, tmp_path / "out")
