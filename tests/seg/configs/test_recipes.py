"""The recipes of the paper: what is in them, and each kind run dry on miniatures of every dataset."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from helpers.miniatures import draw
from helpers.official import OFFICIAL

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from mmseg.registry import MODELS  # noqa: E402

import lsu_onto  # noqa: E402
import lsu_seg  # noqa: E402
from lsu_seg.label_files import read_raw  # noqa: E402
from lsu_seg.openmmlab.config import load_config  # noqa: E402
from lsu_seg.unify import unify  # noqa: E402

CONFIGS = Path(lsu_seg.__file__).parent / "configs"
RECIPES = sorted([*CONFIGS.glob("urban/*.py"), *CONFIGS.glob("offroad/*.py")])

PAPER = {
    "urban": {
        "cityscapes",
        "vistas v1.2",
        "apolloscape",
        "a2d2",
        "bdd100k",
        "camvid",
        "coco_panoptic",
        "goose",
        "idd",
        "kitti",
        "nuimages",
        "lanes",
        "waymo",
    },
    "offroad": {
        "goose",
        "rellis3d",
        "tas500",
        "ycor",
        "freiburg_forest",
        "wildscenes",
        "great_outdoors",
        "cityscapes",
        "coco_panoptic",
        "vistas v1.2",
    },
}
ZERO_SHOT = {"urban": {"wilddash2"}, "offroad": {"rugd"}}
PARAMETERS = {
    "mask2former_swin_b": 107e6,
    "mask2former_swin_l": 215e6,
    "segformer_b5": 82e6,
    "upernet_swin_b": 121e6,
}


def small_mask2former(**backbone: Any) -> dict[str, Any]:
    return {
        "model.hf": dict(
            pretrained=None,
            config=dict(
                hidden_dim=32,
                feature_size=32,
                mask_feature_size=32,
                encoder_layers=1,
                decoder_layers=2,
                num_attention_heads=2,
                encoder_feedforward_dim=32,
                dim_feedforward=32,
                num_queries=40,
                train_num_points=64,
                backbone_config=dict(num_heads=[1, 1, 2, 2], window_size=4, image_size=64, **backbone),
            ),
        ),
    }


SMALL: dict[str, dict[str, Any]] = {
    "mask2former_swin_b": small_mask2former(embed_dim=16, depths=[1] * 4),
    "mask2former_swin_l": small_mask2former(embed_dim=24, depths=[1, 1, 2, 1]),
    "segformer_b5": {
        "model.backbone": dict(embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4, init_cfg=None),
        "model.decode_head": dict(in_channels=[8] * 4, channels=8),
    },
    "upernet_swin_b": {
        "model.backbone": dict(
            embed_dims=8, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4, pretrain_img_size=64, init_cfg=None
        ),
        "model.decode_head": dict(in_channels=[8, 16, 32, 64], channels=8),
        "model.auxiliary_head": dict(in_channels=32, channels=8),
    },
}
"""What makes a recipe's model small. These, and `SHORT`, are all that a dry run changes."""
SHORT: dict[str, Any] = {
    "model.data_preprocessor.size": (32, 64),
    "train_dataloader.dataset.pipeline.2.scale": (64, 32),
    "train_dataloader.dataset.pipeline.3.crop_size": (32, 64),
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "val_dataloader.num_workers": 0,
    "train_cfg.max_epochs": 2,
    "unify.views.scales": (1.0, 2.0),
}

WHOLE = ("upernet_swin_b_cityscapes", "segformer_b5_offroad")
"""The recipes whose dry run has all datasets, in `make test-all`; in every other run, two take their turn."""
QUICK = (*WHOLE, "mask2former_swin_b_vistas")
"""Every architecture, and every source: these are run dry in each test, the others in `make test-all`."""
RUNS = [(f, f.stem in WHOLE) for f in RECIPES] + [(f, False) for f in RECIPES if f.stem in WHOLE]
"""Recipes, and whether with all datasets."""


load = functools.cache(lsu_onto.load)


def model_of(file: Path) -> str:
    return file.stem.rpartition("_")[0]


def trained_on(cfg: Config) -> list[Any]:
    return [*cfg.train_dataloader.dataset.datasets, *(e.dataset for e in cfg.unify.extra.values())]


def test_there_is_a_recipe_of_every_model_for_every_source() -> None:
    sources = {"cityscapes": "urban", "vistas": "urban", "offroad": "offroad"}
    wanted = {f"{domain}/{model}_{source}" for source, domain in sources.items() for model in PARAMETERS}
    assert {f"{f.parent.name}/{f.stem}" for f in RECIPES} == wanted


@pytest.mark.parametrize("file", RECIPES, ids=lambda f: f.stem)
def test_what_a_recipe_trains_on(file: Path) -> None:
    cfg, domain = load_config(file), file.parent.name
    (home,) = cfg.train_dataloader.dataset.datasets
    source = load(home.taxonomy, home.source)
    classes = [
        cfg.model[place].num_classes if place else cfg.model.num_classes
        for place in (("",) if "hf" in cfg.model else ("decode_head", "auxiliary_head"))
        if not place or place in cfg.model
    ]
    assert set(classes) == {source.num_classes}
    assert file.stem.endswith("_" + source.source)
    assert {d.taxonomy for d in trained_on(cfg)} == PAPER[domain]
    judged = {d.taxonomy for name, d in cfg.unify.evaluate.items() if not name.endswith("_val")}
    assert judged == ZERO_SHOT[domain]
    assert not judged & {d.taxonomy for d in trained_on(cfg)}
    assert not {d.data_root for d in trained_on(cfg)} & {
        d.data_root for d in cfg.unify.evaluate.values() if d.taxonomy in judged
    }
    places = [(d.data_root, d.split) for d in trained_on(cfg)]
    assert len(set(places)) == len(places)
    for d in (*trained_on(cfg), *cfg.unify.evaluate.values(), cfg.val_dataloader.dataset):
        constraint = load(d.taxonomy, d.source)
        assert constraint.source_classes == source.source_classes
        assert d.split in constraint.layout.splits
    assert cfg.val_dataloader.batch_size == 1  # images of several sizes
    # Nothing that is judged is trained on: other splits of the source dataset.
    assert (cfg.val_dataloader.dataset.data_root, cfg.val_dataloader.dataset.split) not in places
    assert set(range(source.num_classes)) <= set(source.relabel.tolist()), "the teacher cannot learn every class"


@pytest.mark.parametrize("model", PARAMETERS)
def test_a_full_size_model_and_its_schedule(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = load_config(next(f for f in RECIPES if model_of(f) == model))
    init_default_scope("mmseg")
    if "hf" in cfg.model:
        cfg.model.hf.pretrained = None
        assert cfg.model.hf.config.no_object_weight == 0.005
    # The rates of stochastic depth are numbers; all else has a shape alone, or it would be a gigabyte of weights.
    monkeypatch.setattr(torch, "linspace", functools.partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        segmentor = MODELS.build(cfg.model)
    count = sum(p.numel() for p in segmentor.parameters())
    assert count == pytest.approx(PARAMETERS[model], rel=0.01)
    groups = build_optim_wrapper(segmentor, cfg.optim_wrapper).optimizer.param_groups
    rates = {(round(g["lr"], 9), g["weight_decay"]) for g in groups}
    assert rates == {(1e-4, 0.05), (1e-5, 0.05)}
    slow = sum(p.numel() for g in groups if round(g["lr"], 9) == 1e-5 for p in g["params"])
    assert 0.6 * count < slow < count  # the encoder is most of each
    assert cfg.optim_wrapper.clip_grad.max_norm == 1.0
    epochs = cfg.train_cfg.max_epochs
    assert (epochs, cfg.param_scheduler[1].milestones) == (100, [0.9 * epochs, 0.95 * epochs])
    assert (cfg.param_scheduler[0].end, cfg.train_dataloader.batch_size) == (1, 4)
    crop = next(t for t in cfg.train_dataloader.dataset.pipeline if t.type == "TaxRandomCrop")
    assert tuple(crop.crop_size) == tuple(cfg.model.data_preprocessor.size) == (750, 1536)


@pytest.fixture
def larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that can be trained on: feature maps of one pixel are none that Mask2Former normalises."""
    monkeypatch.setattr("helpers.miniatures.SIZE", (48, 64))


@pytest.mark.filterwarnings("ignore:.*labels are not where the list says")  # ApolloScape's road01, officially so
@pytest.mark.parametrize(
    ("file", "whole"),
    [
        pytest.param(f, whole, id=f"{f.stem}{'-whole' * whole}", marks=[] if quick else pytest.mark.slow)
        for f, whole in RUNS
        for quick in [f.stem in QUICK and not whole]
    ],
)
def test_dry_run(file: Path, whole: bool, tmp_path: Path, larger: None) -> None:
    """Teacher, labels of the datasets, student on the union, figures on a dataset that nobody was trained on."""
    cfg = load_config(file, str(tmp_path / "data"), {**SMALL[model_of(file)], **SHORT})
    if not whole:
        names = sorted(cfg.unify.extra)
        for name in names:
            if name not in {names[(2 * RECIPES.index(file) + i) % len(names)] for i in (0, 1)}:
                del cfg.unify.extra[name]
    drawn: dict[tuple[str, str], int] = {}
    for dataset in (*trained_on(cfg), *cfg.unify.evaluate.values()):
        dataset.serialize_data = False
        root = Path(dataset.data_root)
        if not root.exists():
            splits = draw(OFFICIAL[dataset.taxonomy], root, load(dataset.taxonomy, dataset.source))
            drawn |= {(str(root), split): len(images) for split, images in splits.items()}

    work = tmp_path / "work"
    results = unify.unify(cfg, work, say=lambda line: None)
    k = load(cfg.val_dataloader.dataset.taxonomy, cfg.val_dataloader.dataset.source).num_classes
    for name, extra in cfg.unify.extra.items():
        folder = work / "pseudo" / name / "constrained"
        sure = sorted((folder / "confidence").rglob("*.png"))
        labels = sorted(f for f in folder.rglob("*.png") if f not in sure)
        assert len(labels) == len(sure) == drawn[extra.dataset.data_root, extra.dataset.split], name
        assert ({*read_raw(str(labels[0]), "id").flat} - {255}) <= {*range(k)}
    assert not [*(work / "pseudo").glob("*/raw")]

    student = load_config(work / "student_set/student_set.py")
    assert len(student.train_dataloader.dataset.datasets) == len(trained_on(cfg))
    assert all(d.unsure == cfg.unify.unsure for d in student.train_dataloader.dataset.datasets)
    logs = "".join(f.read_text() for f in (work / "student_set").rglob("*.log"))
    table = logs.split("samples of each dataset:")[1]
    for name in {load(d.taxonomy, d.source).dataset for d in trained_on(cfg)}:
        assert f"  {name} " in table
    for model in ("teacher", "student_set"):
        assert results[model].keys() == cfg.unify.evaluate.keys()
        for figures in results[model].values():
            assert figures["source/pixels"] > 0
            assert 0 <= figures["miou"] <= 1
    assert ZERO_SHOT[file.parent.name] <= results["student_set"].keys()
