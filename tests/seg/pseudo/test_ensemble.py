"""Several teachers label together, from one file that lists them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from helpers.hf import inside
from helpers.nets import save_net, write_net
from helpers.tiny import CLASSES, model_config, read, save_checkpoint
from lsu_seg.cli import main

KINDS = """tax 1
source kinds v1
0 plant
1 ground
2 machine
dataset kinds_labels v1
0 plant
1 ground
2 machine
map kinds_labels v1 -> kinds v1
plant = plant
ground = ground
machine = machine
map kinds_labels v1 -> tiny v1
plant > grass tree
ground = road
machine -> void
"""


def label(park: Path, work: Path, teacher: object, *extra: object) -> Result:
    taxonomy, root = park / "tax/park.tax", park / "park"
    where = ("--data-root", root, "-o", work / "out", "--work-dir", work / "log", "--path", park / "tax")
    args = ("pseudo-label", taxonomy, *where, "--teacher", teacher, *extra)
    return CliRunner().invoke(main, [str(a) for a in args])


def listed(file: Path, *teachers: dict) -> Path:
    file.write_text(yaml.safe_dump({"teachers": list(teachers)}))
    return file


@pytest.fixture(scope="module")
def a(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A model of MMSegmentation."""
    folder = tmp_path_factory.mktemp("a")
    (folder / "unet.py").write_text(f"model = {model_config()!r}\n")
    return dict(teacher=str(folder / "unet.py"), checkpoint=str(save_checkpoint(folder / "unet.pth")))


@pytest.fixture(scope="module")
def b(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A network of one's own, normalised in its own way."""
    folder = tmp_path_factory.mktemp("b")
    factory = write_net(folder / "net")
    weights = save_net(folder / "own.pth", factory, classes=6)
    settings = {"model.args.classes": 6, "model.drop_channels": [5], "model.mean": [0.5] * 3, "model.std": [0.2] * 3}
    return dict(teacher=factory, checkpoint=str(weights), set=settings)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, park: Path) -> dict:
    """A network that predicts the classes of another source."""
    (park / "tax/kinds.tax").write_text(KINDS)
    folder = tmp_path_factory.mktemp("kinds")
    factory = write_net(folder / "net")
    weights = save_net(folder / "kinds.pth", factory, classes=3)
    return dict(teacher=factory, checkpoint=str(weights), source="kinds", set={"model.args.classes": 3})


def labels(work: Path) -> np.ndarray:
    return read(work / "out/labels/train/a.png")


def test_one_teacher_in_a_file_labels_as_by_itself(park: Path, tmp_path: Path, a: dict) -> None:
    alone = label(park, tmp_path / "alone", a["teacher"], "--checkpoint", a["checkpoint"], "--confidence")
    assert alone.exit_code == 0, alone.output
    for name, teachers in {"one": [a], "twice": [a, dict(a, weight=3, name="again")]}.items():
        found = label(park, tmp_path / name, listed(tmp_path / f"{name}.yaml", *teachers), "--confidence")
        assert found.exit_code == 0, found.output
        for kind in ("labels", "confidence/labels"):
            one, other = (read(tmp_path / w / f"out/{kind}/train/a.png").astype(int) for w in ("alone", name))
            assert np.abs(one - other).max() <= (kind != "labels" and name == "twice")  # one view decides by logits


def test_several_teachers_of_several_kinds_and_sources(
    park: Path, tmp_path: Path, a: dict, b: dict, kinds: dict
) -> None:
    file = listed(
        tmp_path / "all.yaml",
        dict(a, scales=[0.5, 1], flip=False),
        dict(b, weight=2),
        dict(kinds, flip=False, through="kinds_labels"),
    )
    result = label(park, tmp_path, file)
    assert result.exit_code == 0, result.output
    assert inside(park, tmp_path / "out")
    assert "teacher `own`: warning: neither the checkpoint nor the model names its classes" in result.stderr
    assert "time of each teacher: unet " in result.stderr
    assert "teacher `kinds`: none of its classes may be car" in result.stderr
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    entries = manifest["teachers"]
    assert [e["name"] for e in entries] == ["unet", "own", "kinds"]
    assert [e["weight"] for e in entries] == [1, 2, 1]
    assert [e["scales"] for e in entries] == [[0.5, 1.0], [1.0], [1.0]]
    assert [e["flips"] for e in entries] == [[False], [False, True], [False]]
    assert entries[2]["way"] == ["kinds v1", "kinds_labels v1", "tiny v1"]
    assert entries[2]["map"] == [[1, 2], [0], [5]]
    assert manifest["checkpoint_sha256"] == " ".join(e["checkpoint_sha256"] for e in entries)
    assert len(set(manifest["checkpoint_sha256"].split())) == 3

    first = labels(tmp_path)
    again = CliRunner().invoke(
        main, ["pseudo-label", str(tmp_path / "log/park.py"), "--work-dir", str(tmp_path / "log")]
    )
    assert again.exit_code == 0, again.output
    np.testing.assert_array_equal(labels(tmp_path), first)
    said = [dict(a, scales=[0.5, 1], flip=False, calibration=False), dict(b, weight=2, flip=True)]  # the same, in words
    same = label(park, tmp_path, listed(file, *said, dict(kinds, flip=False, through="kinds_labels")))
    assert same.exit_code == 0, same.output
    other = label(park, tmp_path, listed(file, a, dict(b, weight=1), kinds))
    assert other.exit_code == 1
    assert "holds labels made with other settings" in other.output
    assert "teacher `unet`: scales: there [0.5, 1.0], now [1.0]\n" in other.output
    assert "teacher `own`: weight: there 2.0, now 1.0\n" in other.output
    assert "teachers: there" not in other.output
    fewer = label(park, tmp_path, listed(file, a, b))
    assert "teachers: there unet, own, kinds, now unet, own\n" in fewer.output

    apart = label(park, tmp_path / "window", listed(file, dict(a, window=[32, 32]), b, kinds))
    assert apart.exit_code == 0, apart.output
    assert inside(park, tmp_path / "window/out")


def test_labels_are_those_of_the_mean_evidence(park: Path, tmp_path: Path, a: dict, b: dict) -> None:
    """Where both allowed classes differ clearly, by what the two networks say themselves."""
    from mmengine.config import Config

    from lsu_seg.models.ensemble import Ensemble
    from lsu_seg.pseudo.oneline import pseudo_label_config

    file = listed(tmp_path / "two.yaml", dict(a, weight=1), dict(b, weight=3))
    result = label(park, tmp_path, file, "--no-flip")
    assert result.exit_code == 0, result.output
    cfg: Config = pseudo_label_config(
        str(park / "tax/park.tax"), str(park / "park"), str(file), None, "out", paths=[str(park / "tax")]
    )
    settings = cfg.model.to_dict()
    assert settings.pop("type") == "Ensemble"
    ensemble = Ensemble(**settings).eval()
    image = torch.from_numpy(read(park / "park/images/train/a.png")[..., ::-1].copy()).permute(2, 0, 1)
    p = 0
    for teacher in ensemble.teachers:
        teacher.model.data_preprocessor.test_cfg = None  # nothing is to be padded
        batch = teacher.model.data_preprocessor({"inputs": [image]}, False)["inputs"]
        with torch.no_grad():
            logits = teacher.model(batch, mode="tensor")
        logits = torch.nn.functional.interpolate(logits, image.shape[1:], mode="bilinear")[0]
        p = p + teacher.weight * logits.softmax(0).numpy()
    raw, found = read(park / "park/labels/train/a.png"), labels(tmp_path)
    clear = (raw == 2) & (np.abs(p[1] - p[2]) > 1e-4)  # may be grass or tree
    assert clear.any()
    np.testing.assert_array_equal(found[clear], np.where(p[1] > p[2], 1, 2)[clear])

    with torch.no_grad():  # without constraints, as an evaluation has it
        (sample,) = ensemble.predict(image[None].float())
    np.testing.assert_array_equal(sample.pred_sem_seg.data[0], p.argmax(0))
    result = CliRunner().invoke(
        main,
        [
            *("evaluate", str(tmp_path / "log/park.py"), "-o", str(tmp_path / "figures")),
            *("--dataset", str(park / "tax/park.tax"), str(park / "park"), "train"),
        ],
    )
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures/evaluation.json").read_text())
    assert len(figures["model"]["sha256"].split()) == 2
    assert "reliability" not in figures["sets"]["park"]["views"]["source"], "it has no logits"
    assert not list((tmp_path / "figures").glob("*.svg"))


def test_mistakes_end_in_a_line_that_names_the_teacher(
    park: Path, tmp_path: Path, a: dict, b: dict, kinds: dict
) -> None:
    for teachers, message in (
        ([dict(a, wieght=2)], "nothing reads the key `wieght` of `teachers.0` of {file}; did you mean `weight`?"),
        ([a, dict(b, weight=0)], "`teachers.1` of {file}: `weight` is 0; expected a number above 0"),
        ([a, dict(checkpoint="x.pth")], "`teachers.1` has `teacher: None`; expected what `--teacher` takes"),
        ([a, dict(b, checkpoint=str(tmp_path / "no.pth"))], "`model.teachers.1`: there is no checkpoint"),
        ([a, dict(b, checkpoint=a["checkpoint"])], "teacher `unet-2`: `"),
        (
            [a, dict(kinds, source="tiny")],
            "teacher `kinds`: the model predicts 3 classes, and the source taxonomy has 5",
        ),
        ([a, dict(kinds, source="knids")], "teacher `kinds`: there is no source `knids`; did you mean `kinds`?"),
        ([a, dict(a, scales=[0])], "teacher `unet-2`: scales are (0.0,); expected positive numbers"),
        ([dict(a, precision="fp99"), a], "teacher `unet`: precision is 'fp99'; expected one of"),
        ([a, dict(b, calibration=True)], "`teachers.1` of {file}: `calibration` is True; expected the file of"),
        ([{**a, 3: 4}], "nothing reads the key `3` of "),
        ([a, dict(b, calibration="")], "`teachers.1` of {file}: `calibration` is ''; expected the file of"),
        ([a, dict(b, calibration="no.json")], "teacher `own`: no.json: No such file or directory; expected the file"),
        ([dict(a, name=["x"])], "`teachers.0` of {file}: `name` is ['x']; expected a name"),
        ([dict(a, source=3)], "`teachers.0` of {file}: `source` is 3; expected the name of a source"),
        ([dict(a, through=[3])], "`teachers.0` of {file}: `through` is [3]; expected names of taxonomies"),
        ([dict(a, weight=10**400)], "`weight` is 100000000; expected a number from 1e-6 to 1e6"),
        ([dict(a, weight=1e-320)], "`weight` is 1e-320; expected a number from 1e-6 to 1e6"),
        ([dict(a, flip="no")], "`teachers.0` has `flip: no`; expected true or false"),
        ([dict(a, flips="n")], "`teachers.0` of {file}: `flips` is 'n'; expected a list of true and false"),
        ([dict(a, checkpoint=3)], "`teachers.0` has `checkpoint: 3`; expected a file"),
        ([dict(a, set={3: 4})], "`teachers.0` has `set: {3: 4}`; expected keys of its config"),
        ([dict(a, set={"model": None})], "`teachers.0`: `model` is None; expected `dict(…)`"),
        ([dict(a, set={"custom_imports": 3})], "`teachers.0`: `custom_imports` is 3; expected `dict(…)`"),
        ([dict(a, set={"custom_imports.imports": 3})], "`teachers.0`: `custom_imports` has 3; expected `dict(imports="),
        ([dict(teacher=str(tmp_path / "wrong.yaml"))], "wrong.yaml lists teachers itself: write them into "),
        ([dict(a, weight="1e-3")], "`weight` is '1e-3'; expected a number above 0: write 0.001, without quotes"),
        ([dict(a, model={"type": "x"})], "nothing reads the key `model` of `teachers.0` of {file}; it has teacher, "),
        ([dict(a, scales=0.5)], "teacher `unet`: scales are 0.5; expected positive numbers in a list, such as [0.5, 1"),
        ([dict(a, window=64)], "teacher `unet`: window is 64; expected (height, width), multiples of 32, such as"),
        ([], "`teachers` is []; expected a list of `teacher: …, checkpoint: …`"),
    ):
        result = label(park, tmp_path, listed(tmp_path / "wrong.yaml", *teachers))
        assert result.exit_code == 1, result.output
        assert message.replace("{file}", str(tmp_path / "wrong.yaml")) in result.output, result.output
        assert "Traceback" not in result.output
        assert not (tmp_path / "out").exists()
    result = label(park, tmp_path, listed(tmp_path / "two.yaml", a, b), "--checkpoint", a["checkpoint"])
    assert "each teacher has its own `checkpoint`" in result.output
    for change, message in (
        ("model.teachers.0.model=3", "`model.teachers.0` has no `model = dict(type=…, …)`"),
        ("model.teachers.0.checkpoint=3", "`model.teachers.0`: `checkpoint` is 3; expected a file"),
    ):
        result = label(park, tmp_path, tmp_path / "two.yaml", "--set", change)
        assert message in result.output, result.output
    text = (tmp_path / "two.yaml").read_text()
    (tmp_path / "base.yaml").write_text(f"_base_: wrong.yaml\n{text}")
    for wrong, message in (  # which its reader takes without a word
        (f"{text}  weight: 1\n  weight: 2\n", "wrong.yaml:{1}: the key `weight` stands twice (first in line {0}),"),
        (f"{text}teachers: []\n", "the key `teachers` stands twice (first in line 1), and only the last would count"),
        (f"{text}5: 3\n", "the key `5` is no name; expected lines of `KEY: VALUE`"),
        (f"x: !!python/object/apply:os.mkdir ['{tmp_path}/ran']\n", "`!!python/object/apply:os.mkdir` would run code"),
    ):
        (tmp_path / "wrong.yaml").write_text(wrong)
        lines = len(wrong.splitlines())
        for file in ("wrong", "base"):
            result = label(park, tmp_path, tmp_path / f"{file}.yaml")
            assert message.replace("{1}", str(lines)).replace("{0}", str(lines - 1)) in result.output, result.output
    assert not (tmp_path / "ran").exists()
    assert len(CLASSES) == 5


def test_an_audit_asks_all_of_them(park: Path, tmp_path: Path, a: dict, kinds: dict) -> None:
    from lsu_seg.pseudo.oneline import pseudo_label_config
    from lsu_seg.pseudo.sampling import _calibrations, drawn_sample

    file = listed(tmp_path / "two.yaml", a, dict(kinds, window=[32, 32]))
    paths = (str(park / "tax"),)
    asked = drawn_sample(tmp_path / "work", str(park / "tax/park.tax"), None, paths, str(park / "park"), str(file))
    p = asked.sample.p / 255
    assert asked.raw is not None
    np.testing.assert_allclose(p.sum(1), 1, atol=0.02)

    named = listed(tmp_path / "named.yaml", dict(a, calibration="own.json"), dict(kinds, calibration=False))
    cfg = pseudo_label_config(str(park / "tax/park.tax"), "park", str(named), None, "labels", paths=paths)
    assert _calibrations(cfg, None) == [Path("own.json")], "a sample depends on it"


def test_the_source_of_prompts_is_found_where_the_labels_source_is(park: Path, kinds: dict) -> None:
    from lsu_seg.pseudo.oneline import _described

    assert _described("kinds", lambda: None, [str(park / "tax")]).source_classes == ("plant", "ground", "machine")  # type: ignore[arg-type,return-value]
