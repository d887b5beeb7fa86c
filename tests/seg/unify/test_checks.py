"""What is checked of a config and its datasets before any training, and that the shipped ones pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import lsu_onto
import lsu_seg
from helpers.students import student_config
from helpers.unify import config, make_world
from lsu_seg.errors import ConfigError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.unify import checks, unify
from lsu_seg.unify.students import take_sets

CONFIGS = Path(lsu_seg.__file__).parent / "configs"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unify")
    make_world(root)
    return root


def test_names_with_their_scope_mean_the_same(world: Path, tmp_path: Path) -> None:
    plain, cfg = config(world), config(world)
    cfg.train_dataloader.dataset.type = "lsu_seg.CompoundDataset"
    sets = [*cfg.train_dataloader.dataset.datasets, *cfg.unify.evaluate.values()]
    for dataset in [*sets, *(extra.dataset for extra in cfg.unify.extra.values())]:
        dataset.type = "lsu_seg.TaxDataset"
    a, b = (unify.Method(c, tmp_path, 0) for c in (plain, cfg))
    assert b._trained_on == a._trained_on
    assert b._judged_by[0] == a._judged_by[0]
    assert all(sha and files and images for sha, files, images in b._judged_by[0])
    both = dict(type="lsu_seg.CompoundDataset", datasets=list(cfg.unify.evaluate.values()))
    assert unify.inputs(both, None)[:-1] == b._judged_by[0]
    assert unify.inputs(both, None)[-1] == sum(images for *_, images in b._judged_by[0])
    checks.check_config(cfg)
    cfg.unify.extra.town.dataset.data_root = str(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"extra set `town`: .*nowhere"):
        checks.check_files(cfg)


def test_mistakes_come_to_light_before_any_training(world: Path, tmp_path: Path) -> None:
    def refused(change: Any, error: type[Exception], message: str) -> None:
        cfg = config(world)
        change(cfg)
        with pytest.raises(error, match=message):
            unify.unify(cfg, tmp_path / "work", say=print)
        assert not (tmp_path / "work").exists()

    refused(lambda c: c.pop("unify"), ConfigError, "no `unify` section")
    refused(lambda c: c.unify.pop("extra"), ConfigError, "no `extra`")
    refused(lambda c: c.unify.pop("evaluate"), ConfigError, "no `evaluate`")
    refused(
        lambda c: c.unify.update(students=("best",)),
        ConfigError,
        "expected a list of some of raw, constrained, set",
    )
    for refresh, message in ((dict(every=0), "`every` .* is 0"), (dict(), "every"), (dict(often=1), "often")):
        refused(
            lambda c, r=refresh: c.unify.update(refresh=r),
            ConfigError,
            f"`unify.refresh`.*{message}",
        )
    refused(lambda c: c.unify.pop("unsure"), ConfigError, "neither `unify.unsure` nor `unify.threshold`")
    refused(lambda c: c.unify.update(unsure=6), ConfigError, "`unify.unsure` is 6; .* share, 0 to 1")
    refused(
        lambda c: c.unify.update(threshold=0.7),
        ConfigError,
        r"`unify.unsure` is 0\.1 and `unify.threshold` is 0\.7; .* one of the two",
    )
    refused(
        lambda c: c.model.decode_head.update(loss_decode=dict(type="DiceLoss")),
        ConfigError,
        "model.decode_head.loss_decode is .*DiceLoss.* cannot be trained on sets",
    )

    def weighted_masks(cfg: Config) -> None:
        cfg.unify.extra.town.dataset.loss_weight = 0.5
        cfg.model.decode_head = dict(type="Mask2FormerHead")

    refused(weighted_masks, ConfigError, "the `loss_weight` of .*demo_town.* has no effect on a model")
    one = config(world).train_dataloader.dataset.datasets[0]
    refused(lambda c: c.train_dataloader.update(dataset=one), ConfigError, "must be a CompoundDataset")
    repeated = dict(type="RepeatDataset", dataset=one, times=2)
    union = dict(type="CompoundDataset", datasets=[repeated])
    refused(lambda c: c.train_dataloader.update(dataset=dict(repeated, dataset=union)), ConfigError, "without wrappers")
    refused(lambda c: c.train_dataloader.update(dataset=union), DatasetError, "a member .* is a RepeatDataset")
    refused(lambda c: c.train_dataloader.dataset.update(datasets=[]), ConfigError, "without `datasets`")
    refused(
        lambda c: c.unify.extra.town.update(dataset=repeated),
        ConfigError,
        "the dataset of extra set `town` is a RepeatDataset; expected `dict",
    )
    refused(
        lambda c: c.unify.evaluate.update(zero_shot=repeated), ConfigError, "evaluation set `zero_shot` is a RepeatDa"
    )
    for name in ("extra.town.dataset", "evaluate.zero_shot"):
        refused(
            lambda c, n=name: c.merge_from_dict({f"unify.{n}.data_root": "gone"}),
            ConfigError,
            "no such folder",
        )
        refused(
            lambda c, n=name: c.merge_from_dict({f"unify.{n}.taxonomy": "atlantis"}),
            ConfigError,
            "atlantis",
        )
    masks = world / "masks.tax"
    masks.write_text("tax 1\ndataset masks v1 -> demo v1\nencoding: rle\nsegments: v1\n0 way = road\n")
    for change, message in (
        (
            {"taxonomy": str(masks)},
            "the truth of extra set `town`: .* are `encoding: rle`; expected a folder of",
        ),
        ({"taxonomy": "atlantis"}, "the truth of extra set `town`: .*atlantis"),
        ({"folder": "gone"}, "the truth of extra set `town`: gone: no such folder"),
    ):
        refused(lambda c, change=change: c.unify.extra.town.truth.update(change), ConfigError, message)
    refused(lambda c: c.unify.extra.town.truth.pop("folder"), ConfigError, "set `town` has no `folder`")


@pytest.mark.parametrize("file", [CONFIGS / "demo/demo.py", CONFIGS / "camvid/camvid.py"], ids=lambda f: f.stem)
def test_a_shipped_config_loads_and_its_model_fits_its_source(file: Path) -> None:
    cfg = load_config(file)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    source = lsu_onto.load(cfg.train_dataloader.dataset.source)
    assert model.decode_head.num_classes == source.num_classes
    for dataset in (*cfg.train_dataloader.dataset.datasets, *(e.dataset for e in cfg.unify.extra.values())):
        constraint = lsu_onto.load(dataset.taxonomy, dataset.get("source"))
        assert constraint.source_classes == source.source_classes
        assert dataset.split in constraint.layout.splits


def test_a_network_of_a_function_gets_the_loss_of_sets(tmp_path: Path) -> None:
    cfg = student_config(tmp_path)
    cfg.model = dict(type="TorchSegmentor", factory="net.py:build", loss_decode=dict(type="CrossEntropyLoss"))
    cfg.unify = dict(unsure=0.25)
    take_sets(cfg)
    assert cfg.model.loss_decode == dict(type="SetNLLLoss", source="tiny")
    del cfg.model["loss_decode"]
    take_sets(cfg)
    assert cfg.model.loss_decode.type == "SetNLLLoss"
    cfg.model.loss_decode = dict(type="DiceLoss")
    with pytest.raises(ConfigError, match=r"model.loss_decode is .*DiceLoss.*, which cannot be trained on sets"):
        take_sets(cfg)
