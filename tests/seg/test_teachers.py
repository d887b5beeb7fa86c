"""Hugging Face models and the checkpoints of data-priors as teachers, and the one-line form of the command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny import ALLOWED, CLASSES, LOAD, VOID, model_config, read, save_checkpoint, write_park, write_tax

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.structures import PixelData  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402
from mmseg.structures import SegDataSample  # noqa: E402
from torch.nn.functional import interpolate  # noqa: E402

from lsu_seg import engine  # noqa: E402
from lsu_seg.cli import main  # noqa: E402
from lsu_seg.compat import UntrustedCheckpointError  # noqa: E402
from lsu_seg.decode import QueryView, View, decoder  # noqa: E402
from lsu_seg.engine import ConfigError  # noqa: E402
from lsu_seg.pseudo.oneline import pseudo_label_config  # noqa: E402
from lsu_seg.teachers import TeacherError, data_priors, hf_models  # noqa: E402
from lsu_seg.teachers.classes import class_mismatch  # noqa: E402
from lsu_seg.teachers.huggingface import mask_targets  # noqa: E402

SWIN = dict(
    model_type="swin", embed_dim=16, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4, image_size=64,
    out_features=["stage1", "stage2", "stage3", "stage4"],
)  # fmt: skip
TINY: dict[str, dict[str, Any]] = {
    "Mask2FormerForUniversalSegmentation": dict(
        backbone_config=SWIN, hidden_dim=32, feature_size=32, mask_feature_size=32, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, encoder_feedforward_dim=32, dim_feedforward=32, num_queries=12, train_num_points=64,
    ),
    "MaskFormerForInstanceSegmentation": dict(
        backbone_config=SWIN, fpn_feature_size=32, mask_feature_size=32,
        decoder_config=dict(
            model_type="detr", d_model=16, decoder_layers=1, encoder_layers=1, decoder_ffn_dim=32, encoder_ffn_dim=32,
            decoder_attention_heads=2, encoder_attention_heads=2, num_queries=12,
        ),
    ),
    "EomtForUniversalSegmentation": dict(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16, num_blocks=2,
        num_queries=12, num_upscale_blocks=2, train_num_points=64, mlp_ratio=2,
    ),
    "SegformerForSemanticSegmentation": dict(
        hidden_sizes=[16] * 4, depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=16
    ),
    "UperNetForSemanticSegmentation": dict(
        backbone_config=SWIN, hidden_size=16, auxiliary_in_channels=64, auxiliary_channels=16
    ),
    "DPTForSemanticSegmentation": dict(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[16] * 4, fusion_hidden_size=16,
    ),
}  # fmt: skip
M2F, SEGFORMER = "Mask2FormerForUniversalSegmentation", "SegformerForSemanticSegmentation"
PREPROCESSOR = model_config()["data_preprocessor"]


def model(name: str, **changes: Any) -> dict[str, Any]:
    return dict(
        type="HFSegmentor", hf=dict(model=name, config={**TINY[name], **changes}), num_classes=5,
        data_preprocessor=PREPROCESSOR,
    )  # fmt: skip


def built(config: dict[str, Any], seed: int = 0) -> Any:
    init_default_scope("mmseg")
    torch.manual_seed(seed)
    segmentor = MODELS.build(config).eval()
    if "pretrained" not in config["hf"]:
        for parameter in segmentor.parameters():  # lively maps
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    return segmentor


def folder(path: Path, name: str = SEGFORMER, names: list[str] | None = CLASSES, **changes: Any) -> Path:
    """A model as `save_pretrained` writes it, with its processor's file."""
    segmentor = built(model(name, **changes))
    if names:
        segmentor.net.config.id2label = dict(enumerate(names))
    segmentor.net.save_pretrained(path)
    processor = dict(
        do_rescale=True, rescale_factor=1 / 255, do_normalize=True, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    return path


@pytest.fixture(scope="module")
def park(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The taxonomies `tiny` and `park`, and a dataset of each."""
    root = tmp_path_factory.mktemp("park")
    write_tax(root / "tax")
    write_park(root / "park", {"a": [0, 1, 2, 3, 4, 5, -1], "b": [1, 3], "c": [0, 2]}, size=(64, 96))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        from tiny import save

        save(root / f"fine/images/{split}/a.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
        save(root / f"fine/labels/{split}/a.png", rng.choice([0, 1, 2, 3, 4, 255], (64, 64)).astype(np.uint8))
    return root


def inside(root: Path, out: Path) -> bool:
    """Every pixel of every label is in S(d); something was asked of the teacher."""
    from tiny import encode

    for stem in "abc":
        raw, label = read(root / f"park/labels/train/{stem}.png"), read(out / f"labels/train/{stem}.png")
        for row, allowed in enumerate([*ALLOWED, {VOID}]):
            here = label[raw == encode(np.array(row if row < len(ALLOWED) else -1), "id")]
            if not set(here.tolist()) <= allowed:
                return False
    return True


# --- behind MMSegmentation's interface -----------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_a_runner_trains_validates_saves_and_reloads_it(name: str, park: Path, tmp_path: Path) -> None:
    tiny = str(park / "tax/tiny.tax")
    dataset = dict(type="TaxDataset", taxonomy=tiny, data_root=str(park / "fine"), pipeline=LOAD)
    loader = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False))
    cfg = Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]), default_scope="mmseg", log_level="ERROR", model=model(name),
            work_dir=str(tmp_path / "run"), randomness=dict(seed=0),
            train_dataloader=dict(loader, batch_size=2, sampler=dict(type="InfiniteSampler"), dataset=dict(dataset, split="train")),
            val_dataloader=dict(loader, dataset=dict(dataset, split="val")),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2), val_cfg=dict(type="ValLoop"),
            val_evaluator=dict(type="OntologyIoU", source="tiny", views=("source",)),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3)),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
        ),
        format_python_code=False,
    )  # fmt: skip
    checkpoint = engine.train(cfg, quiet=True)
    assert checkpoint.name == "iter_2.pth"
    weights = torch.load(checkpoint, weights_only=False)["state_dict"]
    start = built(model(name)).state_dict()
    assert weights.keys() == start.keys()

    measured = engine.evaluate(cfg, checkpoint, {"val": cfg.val_dataloader.dataset}, quiet=True)["val"]
    assert 0 <= measured["source/mIoU"] <= 1

    cfg.test_dataloader = dict(loader, dataset=dict(
        dataset, taxonomy=str(park / "tax/park.tax"), data_root=str(park / "park"), split="train"
    ))  # fmt: skip
    cfg.test_cfg = dict(type="PseudoLabelLoop", out_dir=str(tmp_path / "labels"), scales=(0.5, 1.0))
    assert engine.pseudo_label(cfg, checkpoint, quiet=True)["images"] == 3
    assert inside(park, tmp_path / "labels")


@pytest.mark.parametrize("name", TINY)
def test_its_labels_are_those_of_the_decoder(name: str) -> None:
    """Padded and resized, the labels at the original size are the argmax of the evidence of the image alone."""
    segmentor = built(model(name), seed=1)
    image = torch.randint(0, 256, (3, 70, 96), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    sample = SegDataSample(metainfo=dict(ori_shape=(77, 190), img_shape=(70, 96)))
    with torch.no_grad():
        [predicted] = segmentor.test_step(dict(inputs=[image], data_samples=[sample]))
        assert tuple(predicted.img_padding_size) == (0, 0, 0, 26)
        normalised = (
            image.flip(0)[None] - 128.0
        ) / 64  # as a teacher's view: in a size that needs no padding
        views = segmentor.evidence_of(interpolate(normalised, (64, 96), mode="bilinear", align_corners=False))
    assert isinstance(views[0], QueryView if segmentor.queries else View)
    expected = decoder("cpu").unconstrained(views, (77, 190), name).labels
    best = predicted.seg_logits.data.topk(2, 0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert clear.mean() > 0.9
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(predicted.pred_sem_seg.data[0].numpy()[clear], expected[clear])


@pytest.mark.parametrize("name", ["EomtForUniversalSegmentation", "DPTForSemanticSegmentation"])
def test_vision_transformers_see_whole_images_of_any_shape(name: str) -> None:
    """EoMT's positions are interpolated; at its own size nothing changes. DPT's patches are not taken for a square."""
    segmentor = built(model(name))
    image = torch.randn(1, 3, 64, 64)
    alone = hf_models.build(model(name)["hf"], 5).net.eval()
    alone.load_state_dict(segmentor.net.state_dict())
    own = alone(pixel_values=image)
    got = segmentor.evidence_of(image)[0]
    same = own.masks_queries_logits if segmentor.queries else own.logits
    assert torch.equal(got.masks if segmentor.queries else got.logits, same[0])
    wide = torch.cat([image, image.flip(3)], 3)
    assert segmentor(wide, mode="tensor").shape[2:] == (same.shape[2], 2 * same.shape[3])
    assert segmentor(torch.randn(1, 3, 70, 100), mode="tensor").shape[2:] == (
        same.shape[2],
        6 * same.shape[3] // 4,
    )
    segmentor(wide, mode="tensor")
    assert torch.equal(segmentor(image, mode="tensor"), segmentor(image, mode="tensor"))


def test_masks_for_classes_leave_out_void_and_sets() -> None:
    target = torch.tensor([[[0, 2], [255, 256]], [[255, 255], [300, 255]]])
    masks, classes = mask_targets(target, 5, 255)
    assert [c.tolist() for c in classes] == [[0, 2], []]
    assert masks[0].tolist() == [[[1, 0], [0, 0]], [[0, 1], [0, 0]]]
    assert masks[1].shape == (0, 2, 2)


@pytest.mark.parametrize("name", TINY)
def test_void_and_sets_train_nothing(name: str) -> None:
    segmentor = built(model(name)).train()
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.full((1, 64, 64), 255)))
    sample.gt_sem_seg.data[0, :9] = 257
    losses = segmentor(torch.randn(2, 3, 64, 64), [sample, sample], mode="loss")
    total = sum(losses.values())
    assert total.item() == 0
    total.backward()
    assert all(p.grad is None or not p.grad.any() for p in segmentor.parameters())


# --- masks and sets ------------------------------------------------------------------------------------------

POINT_MODELS = (M2F, "EomtForUniversalSegmentation")


def samples(target: Any) -> list[SegDataSample]:
    return [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in target]


@pytest.mark.parametrize("name", POINT_MODELS)
def test_where_all_is_known_the_loss_is_that_of_transformers(name: str) -> None:
    theirs, ours = built(model(name)).train(), built(dict(model(name), source="loss_known")).train()
    assert not theirs.takes_sets
    assert ours.takes_sets
    images = torch.randn(2, 3, 64, 64)
    target = torch.randint(0, 3, (2, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    losses = []
    for segmentor in (theirs, ours):
        torch.manual_seed(1)
        loss = segmentor(images, samples(target), mode="loss")["loss_masks"]
        loss.backward()
        losses.append(loss.item())
    assert losses[0] > 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    pairs = zip(theirs.parameters(), ours.parameters(), strict=True)
    gradients = [(a.grad, b.grad) for a, b in pairs if a.grad is not None]
    largest = max(float(a.abs().max()) for a, _ in gradients)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5 * largest) for a, b in gradients)


def test_pixels_that_may_be_a_masks_own_count_neither_in_its_loss_nor_in_matching() -> None:
    from lsu_seg.known_masks import masks_and_known
    from lsu_seg.targets import target_table

    segmentor = built(dict(model(M2F, train_num_points=512), source="loss_sets"))
    table = target_table("loss_sets", 5)
    either = table.add([True, True, False, False, False])
    target = torch.full((32, 32), 2)
    target[:16], target[:, 24:] = 0, either  # the right quarter is 0 or 1, and so never 2
    classes, masks = masks_and_known(target, table)
    assert classes.tolist() == [0, 2]
    assert masks[0, 1, :, 24:].sum() == 0
    assert masks[1, 1].all()

    criterion = segmentor.net.criterion
    logits = torch.randn(1, 2, 32, 32, requires_grad=True)
    indices = [(torch.tensor([0, 1]), torch.tensor([0, 1]))]
    losses = criterion.loss_masks(logits, [masks], indices, torch.tensor(2.0))
    sum(losses.values()).backward()
    assert not logits.grad[0, 0, :, 25:].any()
    assert logits.grad[0, 0, :, :23].any()
    assert logits.grad[0, 1, :, 25:].any()  # outside the mask of 2, and trained so

    # Query 0 is class 0 on the left, and says what it likes on the right; query 1 says the contrary on the left.
    half = torch.where(target == 0, 9.0, -9.0)
    half[16:, :24], half[:16, :24] = -9, 9
    for right in (-9.0, 9.0):
        first, second = half.clone(), -half
        first[:, 24:], second[:, 24:] = right, -9
        pairs = criterion.matcher(
            torch.stack([first, second])[None], torch.zeros(1, 2, 6), [masks], [classes]
        )
        assert [p.tolist() for p in pairs[0]] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("name", POINT_MODELS)
def test_sets_alone_train_no_mask(name: str) -> None:
    from lsu_seg.targets import target_table

    segmentor = built(dict(model(name), source="loss_alone")).train()
    either = target_table("loss_alone", 5).add([True, True, False, False, False])
    target = torch.full((2, 64, 64), 255)
    target[:, :9] = either
    assert segmentor(torch.randn(2, 3, 64, 64), samples(target), mode="loss")["loss_masks"].item() == 0
    target[1, 40:] = 3
    loss = segmentor(torch.randn(2, 3, 64, 64), samples(target), mode="loss")["loss_masks"]
    assert loss.isfinite()
    assert loss > 0


def test_the_checks_before_training_know_which_models_take_sets(park: Path) -> None:
    from lsu_seg.datasets import TaxDataset
    from lsu_seg.hooks.checks import check_model

    members = [TaxDataset(str(park / "tax/park.tax"), str(park / "park"), "train", threshold=0.5)]

    def found(name: str, **options: Any) -> str:
        return "\n".join(check_model(built(dict(model(name), **options)), members))

    assert "write `model=dict(source='tiny')`" in found(M2F)
    assert "has source='town', and the datasets `tiny`" in found(M2F, source="town")
    assert (
        found(M2F, source="tiny")
        == found(SEGFORMER, loss_decode=dict(type="SetNLLLoss", source="tiny"))
        == ""
    )
    assert "SetNLLLoss" in found(SEGFORMER)


def test_a_pretrained_models_config_can_be_changed(tmp_path: Path) -> None:
    path = folder(tmp_path / "m2f", M2F)

    def load(num_classes: int = 5, **config: Any) -> Any:
        hf = dict(pretrained=str(path), config=config)
        return built(dict(type="HFSegmentor", hf=hf, num_classes=num_classes))

    for num_classes in (5, 7):
        net = load(num_classes, no_object_weight=0.005, backbone_config=dict(drop_path_rate=0.25)).net
        assert net.criterion.empty_weight.tolist() == pytest.approx([1.0] * num_classes + [0.005])
        assert net.config.backbone_config.drop_path_rate == 0.25
        assert net.config.backbone_config.embed_dim == 16
    for change in (dict(num_queries=13), dict(backbone_config=dict(embed_dim=32))):
        for num_classes in (5, 7):
            with pytest.raises(TeacherError):
                load(num_classes, **change)
    with pytest.raises(TeacherError, match="did you mean `no_object_weight`"):
        load(no_objects_weight=0.1)


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


# --- folders of save_pretrained --------------------------------------------------------------------------------


def test_a_folder_brings_weights_names_and_normalisation(tmp_path: Path) -> None:
    path = folder(tmp_path / "m2f", M2F)
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before, after = (s.evidence_of(image)[0] for s in (built(model(M2F)), segmentor))
    torch.testing.assert_close(after.masks, before.masks)
    torch.testing.assert_close(after.classes, before.classes)
    assert segmentor.class_names == tuple(CLASSES)
    assert segmentor.data_preprocessor.mean.flatten().tolist() == pytest.approx([127.5] * 3)
    assert segmentor.data_preprocessor.std.flatten().tolist() == pytest.approx([63.75] * 3)
    image = torch.tensor([0.0, 127.5, 255.0])[:, None, None].expand(3, 32, 32)  # BGR
    batch = segmentor.data_preprocessor(dict(inputs=[image]), False)["inputs"]
    assert batch[0, :, 0, 0].tolist() == pytest.approx([2, 0, -2])


def test_another_number_of_classes_gets_a_new_head(tmp_path: Path) -> None:
    path = folder(tmp_path / "segformer")
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(path)), num_classes=7))
    assert segmentor(torch.randn(1, 3, 64, 64), mode="tensor").shape[1] == 7
    assert segmentor.class_names is None
    kept = "net.segformer.stages.0.patch_embeddings.proj.weight"
    state, before = segmentor.state_dict(), built(model(SEGFORMER)).state_dict()
    shared = [k for k in state if "patch_embeddings" in k and k.endswith("weight")] or [kept]
    assert all(torch.equal(state[k], before[k]) for k in shared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: (p / "config.json").unlink(), "found no config.json; expected a folder that `model.save_pretrained`"),
        (lambda p: (p / "config.json").write_text("{"), "cannot be read as the config of a model"),
        (lambda p: alter(p / "config.json", architectures=["BertModel"]), "found a model `BertModel`; expected one of Mask"),
        (lambda p: (p / "preprocessor_config.json").unlink(), "how images are normalised is not said"),
        (lambda p: alter(p / "preprocessor_config.json", image_mean=None), "does not say how images are normalised"),
        (lambda p: (p / "model.safetensors").unlink(), "the model cannot be loaded: OSError"),
        (lambda p: (p / "model.safetensors").write_bytes(b"half"), "the model cannot be loaded: Safetensor"),
        (lambda p: drop_weight(p, "decode_head.classifier.bias"), "the file lacks 1 of them, e.g. `decode_head.classif"),
        (lambda p: alter(p / "config.json", decoder_hidden_size=8), "the model cannot be loaded"),
    ],
)  # fmt: skip
def test_folders_that_hold_something_else(tmp_path: Path, change: Any, message: str) -> None:
    path = folder(tmp_path / "segformer")
    change(path)
    with pytest.raises(TeacherError) as refusal:
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


def alter(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def drop_weight(path: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(path / "model.safetensors")
    del weights[name]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(hf=dict(model="SegformerForSemantic", config={}), num_classes=5), "did you mean `SegformerForSemanticSeg"),
        (dict(hf=dict(model=SEGFORMER, config=dict(hiden_sizes=[8])), num_classes=5), "no `hiden_sizes`; did you mean `hidden"),
        (dict(hf=dict(model=SEGFORMER, config=dict(depths="x")), num_classes=5), "cannot be made of"),
        (dict(hf=dict(model=SEGFORMER, config={})), "`num_classes` of the SegformerForSemanticSegmentation is missing"),
        (dict(hf=dict(path="x")), "`hf` has the keys ['path']; expected `pretrained`"),
        (dict(hf=dict(pretrained="no/where")), "there is no `no/where`"),
        (dict(model(SEGFORMER), test_cfg=dict(mode="slide")), "an HFSegmentor sees whole images"),
        (dict(model(SEGFORMER), pretrained="x"), "write `hf=dict(pretrained='x')`"),
        (dict(model(M2F), loss_decode=dict(type="CrossEntropyLoss")), "`loss_decode` has no effect on a Mask2Former"),
    ],
)  # fmt: skip
def test_configs_that_are_wrong(config: dict[str, Any], message: str) -> None:
    with pytest.raises(TeacherError) as refusal:
        built(dict(dict(type="HFSegmentor", data_preprocessor=PREPROCESSOR), **config))
    assert message in str(refusal.value)


def test_transformers_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = hf_models.importlib.util.find_spec
    monkeypatch.setattr(
        hf_models.importlib.util, "find_spec", lambda name: None if name == "transformers" else found(name)
    )
    with pytest.raises(TeacherError, match=r"pip install 'lsu-toolkit\[hf\]'"):
        hf_models.build(dict(model=SEGFORMER, config={}), 5)


# --- classes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Road", "object--grass", "Tree", "sky", "CAR"], None),
        (["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"], None),
        (["road", "tree", "grass", "sky", "car"], "differ from the source taxonomy's from channel 1 on: ['tree', 'grass'"),
    ],
)  # fmt: skip
def test_class_names_of_a_folder_are_the_sources(
    tmp_path: Path, names: list[str], message: str | None
) -> None:
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(folder(tmp_path / "f", names=names)))))
    problem = class_mismatch(segmentor, CLASSES)
    assert problem is None if message is None else message in str(problem)
    assert class_mismatch(segmentor, [*CLASSES, "bus"]) == (
        "the teacher predicts 5 classes, and the source taxonomy has 6"
    )


# --- checkpoints of data-priors --------------------------------------------------------------------------------


class Pickled:
    """What a config object of `transformers` is to a pickle: a class by that name, and attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def released(path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str] = CLASSES, **changes: Any) -> Path:
    """A checkpoint as the published training code saves it, with the names that weights had then, and random weights.

    The classes of the two config objects stand under their names in `transformers` only while it is written.
    """
    from transformers.models.mask2former import configuration_mask2former
    from transformers.models.swin import configuration_swin

    segmentor = built(model(M2F))
    weights_at = path.with_suffix("")
    segmentor.net.save_pretrained(weights_at)  # with the old names
    from safetensors.torch import load_file

    weights = load_file(weights_at / "model.safetensors")
    shutil.rmtree(weights_at)
    weights = {
        k: v
        for k, v in weights.items()
        if not k.endswith(("encoder.layernorm.weight", "encoder.layernorm.bias"))
    }
    swin, main = (dict(c.__dict__) for c in (segmentor.net.config.backbone_config, segmentor.net.config))
    swin = {k: v for k, v in swin.items() if isinstance(v, (int, float, str, list, type(None)))}
    main = {k: v for k, v in main.items() if isinstance(v, (int, float, str, list, type(None)))}
    with monkeypatch.context() as patch:
        kinds = {}
        for module, name in (
            (configuration_swin, "SwinConfig"),
            (configuration_mask2former, "Mask2FormerConfig"),
        ):
            kinds[name] = type(name, (Pickled,), {"__module__": module.__name__, "__qualname__": name})
            patch.setattr(module, name, kinds[name])
        main["backbone_config"] = kinds["SwinConfig"](**swin, _commit_hash=None, top_k=50)
        main["id2label"] = dict(enumerate(names))
        config = kinds["Mask2FormerConfig"](**main, torch_dtype=torch.float32)
        checkpoint = {
            "model_state_dict": weights, "model_config": config, "optimizer_state_dict": {}, "epoch": 3,
            "scheduler_state_dict": {"last_epoch": 3}, "config": {"size": "base"}, "fitness": torch.tensor(0.5),
        }  # fmt: skip
        torch.save({**checkpoint, **changes}, path)
    return path


def test_a_released_checkpoint_becomes_the_model_that_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = released(tmp_path / "3_best.pth", monkeypatch)
    assert any(
        ".encoder.encoder.layers.0." in key for key in data_priors.read(path).weights
    )  # not today's names
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before, after = (s.evidence_of(image)[0] for s in (built(model(M2F)), segmentor))
    torch.testing.assert_close(after.masks, before.masks)
    torch.testing.assert_close(after.classes, before.classes)
    assert segmentor.class_names == tuple(CLASSES)
    assert segmentor.data_preprocessor.mean.flatten().tolist() == pytest.approx(list(data_priors.MEAN))


class Writes:
    """Unpickling this makes a folder: harmless proof that code ran."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_malicious_one_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n, place in enumerate(("model_config", "config", "model_state_dict")):
        proof = tmp_path / f"ran{n}"
        path = released(tmp_path / f"{n}.pth", monkeypatch, **{place: Writes(proof)})
        with pytest.raises(UntrustedCheckpointError, match="mkdir"):
            built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
        assert not proof.exists()


def test_a_folder_with_a_malicious_pickle_is_refused(tmp_path: Path) -> None:
    """The format of weights before safetensors."""
    path = folder(tmp_path / "f")
    (path / "model.safetensors").unlink()
    proof = tmp_path / "ran"
    torch.save({"weights": Writes(proof)}, path / "pytorch_model.bin")
    with pytest.raises(TeacherError, match="the model cannot be loaded"):
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    assert not proof.exists()


def test_the_stand_in_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lsu_seg.compat import PickledRecord, load_checkpoint

    record = load_checkpoint(released(tmp_path / "3.pth", monkeypatch))["model_config"]
    assert isinstance(record, PickledRecord)
    assert type(record) is not transformers.Mask2FormerConfig
    assert record.attributes["num_queries"] == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_dict": {}}, "is a checkpoint of MMEngine, which does not say what its model is"),
        ({"model_state_dict": {"a": 1}}, "`model_state_dict` holds something other than tensors"),
        ({"model_state_dict": {"a": torch.zeros(1)}}, "the weights do not fit the config"),
        ({"model_config": {"a": 1}}, "found a dict as `model_config`; expected a Mask2FormerConfig"),
    ],
)
def test_checkpoints_that_are_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    path = released(tmp_path / "x.pth", monkeypatch, **changes)
    with pytest.raises(TeacherError) as refusal:
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(path))))
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    for content, message in (
        (b"x", "is not a checkpoint, or is cut off"),
        (None, "found list; expected the keys"),
    ):
        path = tmp_path / "x.pth"
        path.write_bytes(content) if content else torch.save([1], path)
        with pytest.raises(
            (TeacherError, UntrustedCheckpointError), match=message if content is None else str(path)
        ):
            data_priors.read(path)


# --- the command -----------------------------------------------------------------------------------------------


def call(*args: object) -> Result:
    return CliRunner().invoke(main, ["pseudo-label", *(str(a) for a in args)])


def one_line(park: Path, *teacher_and_work: Path, extra: tuple[object, ...] = ()) -> Result:
    *teacher, work = teacher_and_work
    return call(
        park / "tax/park.tax", "--data-root", park / "park", "--teacher", *teacher, "-o", work / "out",
        "--work-dir", work / "log", *extra,
    )  # fmt: skip


def test_one_line_with_each_kind_of_teacher(
    park: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "teacher.py"
    config.write_text(
        f"model = {model_config()!r}\ntrain_cfg = dict(type='IterBasedTrainLoop', max_iters=3)\n"
    )
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


def test_the_line_says_all_that_the_config_does() -> None:
    cfg, checkpoint = pseudo_label_config(
        "idd", "data", ["a.pth"], "out", "vistas", "val", [0.5, 2], False, 0.2, True, "void"
    )
    assert checkpoint is None
    assert cfg.test_cfg.to_dict() == dict(
        type="PseudoLabelLoop", out_dir="out", scales=[0.5, 2], flips=[False], threshold=0.2, confidence=True,
        title="pseudo-labels of idd",
    )  # fmt: skip
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


def test_options_and_folder_share_a_letter(park: Path, tmp_path: Path) -> None:
    result = one_line(park, folder(tmp_path / "f"), tmp_path, extra=("-o", "test_cfg.scales=[0.5]"))
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
            "expected one folder to write to, -o OUT; found none",
        ),
        (
            ("idd", "x", "--teacher", "f", "--data-root", "d", "-o", "out"),
            "expected one TAXONOMY; found `idd`, `x`",
        ),
        (("a.py", "b.pth", "--split", "val"), "`--split` belongs to the form TAXONOMY --teacher"),
        (
            ("idd", "--teacher", "f", "--data-root", "d", "-o", "o", "--scales", "1,x"),
            "`1,x` is no list of numbers",
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
        (("idd", "--source", "cityscapes", "--teacher", "f", "--split", "tran"), "has no split `tran`; it has train, val"),
        (("idd", "--source", "cityscapes", "--teacher", "no.pth"), "there is no `no.pth`"),
        (("idd", "--source", "cityscapes", "--teacher", "m.py", "c.pth"), "there is no config `m.py`"),
        (("idd", "--source", "cityscapes", "--teacher", "m.py"), "give its checkpoint after it: --teacher CONFIG CHECKPOINT"),
    ],
)  # fmt: skip
def test_lines_with_mistakes(args: tuple[str, ...], message: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = call(*args, "--data-root", data, "-o", tmp_path / "out", "--work-dir", tmp_path / "log")
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_config_without_weights_needs_a_checkpoint() -> None:
    cfg, _ = pseudo_label_config("demo_town", "data", ["a.pth"], "out", "demo")
    cfg.model = model_config()
    with pytest.raises(ConfigError, match="random weights: give the CHECKPOINT"):
        engine.pseudo_label(cfg, None)


@pytest.mark.slow
def test_the_line_under_torchrun(park: Path, tmp_path: Path) -> None:
    path = folder(tmp_path / "f")
    assert one_line(park, path, tmp_path / "one").exit_code == 0
    tool = Path(__file__).parents[2] / "tools/pseudo_label.py"
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29653", tool,
         park / "tax/park.tax", "--data-root", park / "park", "--teacher", path, "-o", tmp_path / "two",
         "--work-dir", tmp_path / "log", "--launcher", "pytorch"],
        check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    for stem in "abc":
        label = f"labels/train/{stem}.png"
        assert (tmp_path / "two" / label).read_bytes() == (tmp_path / "one/out" / label).read_bytes()
