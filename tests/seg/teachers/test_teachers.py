"""Hugging Face models behind MMSegmentation's interface, and as teachers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn.functional import interpolate

from helpers.hf import M2F, PREPROCESSOR, SEGFORMER, TINY, built, folder, inside, model
from helpers.tiny import CLASSES, LOAD, model_config
from lsu_seg.decode import QueryView, View, decoder
from lsu_seg.errors import TeacherError
from lsu_seg.evaluation.run import evaluate
from lsu_seg.models import hf_models
from lsu_seg.models.huggingface import mask_targets
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.teachers import SegmentorTeacher
from lsu_seg.teachers.classes import class_mismatch, names_of
from lsu_seg.training.run import train

# --- behind MMSegmentation's interface -----------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_a_runner_trains_validates_saves_and_reloads_it(name: str, park: Path, tmp_path: Path) -> None:
    tiny = str(park / "tax/tiny.tax")
    dataset = dict(type="TaxDataset", taxonomy=tiny, data_root=str(park / "fine"), pipeline=LOAD)
    loader = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False))
    cfg = Config(
        dict(
            custom_imports=dict(imports=["lsu_seg"]),
            default_scope="mmseg",
            log_level="ERROR",
            model=model(name),
            work_dir=str(tmp_path / "run"),
            randomness=dict(seed=0),
            train_dataloader=dict(
                loader, batch_size=2, sampler=dict(type="InfiniteSampler"), dataset=dict(dataset, split="train")
            ),
            val_dataloader=dict(loader, dataset=dict(dataset, split="val")),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2),
            val_cfg=dict(type="ValLoop"),
            val_evaluator=dict(type="OntologyIoU", source="tiny", views=("source",)),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3)),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
        ),
        format_python_code=False,
    )
    checkpoint = train(cfg, quiet=True)
    assert checkpoint.name == "iter_2.pth"
    weights = torch.load(checkpoint, weights_only=False)["state_dict"]
    start = built(model(name)).state_dict()
    assert weights.keys() == start.keys()

    measured = evaluate(cfg, checkpoint, {"val": cfg.val_dataloader.dataset}, quiet=True)["val"]
    assert 0 <= measured["source/mIoU"] <= 1

    cfg.test_dataloader = dict(
        loader, dataset=dict(dataset, taxonomy=str(park / "tax/park.tax"), data_root=str(park / "park"), split="train")
    )
    cfg.test_cfg = dict(type="PseudoLabelLoop", out_dir=str(tmp_path / "labels"), scales=(0.5, 1.0))
    assert pseudo_label(cfg, checkpoint, quiet=True)["images"] == 3
    assert inside(park, tmp_path / "labels")


def test_a_teacher_without_normalisation_is_refused() -> None:
    init_default_scope("mmseg")
    teacher = SegmentorTeacher(MODELS.build({**model_config(), "data_preprocessor": None}), CLASSES)
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    with pytest.raises(TeacherError, match="data preprocessor, a BaseDataPreprocessor, makes no batch of the images"):
        list(teacher.evidence([image], None, [(64, 64)]))


@pytest.mark.parametrize("name", TINY)
def test_its_labels_are_those_of_the_decoder(name: str) -> None:
    """Padded and resized, the labels at the original size are the argmax of the evidence of the image alone."""
    segmentor = built(model(name), seed=1)
    image = torch.randint(0, 256, (3, 70, 96), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    sample = SegDataSample(metainfo=dict(ori_shape=(77, 190), img_shape=(70, 96)))
    with torch.no_grad():
        [predicted] = segmentor.test_step(dict(inputs=[image], data_samples=[sample]))
        assert tuple(predicted.img_padding_size) == (0, 0, 0, 26)
        normalised = (image.flip(0)[None] - 128.0) / 64  # as a teacher's view: in a size that needs no padding
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


def test_another_number_of_classes_gets_a_new_head_and_weights_may_be_in_shards(tmp_path: Path) -> None:
    path = folder(tmp_path / "segformer")
    (path / "model.safetensors").unlink()
    built(model(SEGFORMER)).net.save_pretrained(path, max_shard_size="30KB")
    assert (path / "model.safetensors.index.json").is_file() and len(list(path.glob("*-of-*"))) > 1
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(path)), num_classes=7))
    assert segmentor(torch.randn(1, 3, 64, 64), mode="tensor").shape[1] == 7
    assert names_of(segmentor) == {}
    kept = "net.segformer.stages.0.patch_embeddings.proj.weight"
    state, before = segmentor.state_dict(), built(model(SEGFORMER)).state_dict()
    shared = [k for k in state if "patch_embeddings" in k and k.endswith("weight")] or [kept]
    assert all(torch.equal(state[k], before[k]) for k in shared)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: (p / "config.json").unlink(),
            "found no config.json; expected a folder that `model.save_pretrained`",
        ),
        (lambda p: (p / "config.json").write_text("{"), "cannot be read as the config of a model"),
        (
            lambda p: alter(p / "config.json", architectures=["BertModel"]),
            "found a model `BertModel`; expected one of Mask",
        ),
        (lambda p: (p / "preprocessor_config.json").unlink(), "how images are normalised is not said"),
        (lambda p: alter(p / "preprocessor_config.json", image_mean=None), "does not say how images are normalised"),
        (lambda p: (p / "model.safetensors").unlink(), "the model cannot be loaded: OSError"),
        (lambda p: (p / "model.safetensors").write_bytes(b"half"), "the model cannot be loaded: Safetensor"),
        (
            lambda p: (p / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "model.safetensors` is a git-LFS pointer and no checkpoint; run `git lfs pull`",
        ),
        (
            lambda p: spoil_weight(p, "decode_head.classifier.bias"),
            "weights that are NaN: `decode_head.classifier.bias`",
        ),
        (
            lambda p: drop_weight(p, "decode_head.classifier.bias"),
            "the file lacks 1 of them, e.g. `decode_head.classif",
        ),
        (lambda p: alter(p / "config.json", decoder_hidden_size=8), "the model cannot be loaded"),
        (
            lambda p: alter(p / "config.json", decoder_hidden_size=8),
            "of the config's model [8]; its config.json is of another model: get the files again",
        ),
        (
            lambda p: alter(p / "config.json", id2label={str(i): name for i, name in enumerate(CLASSES, 1)}),
            "`id2label` is {1: 'road', 2: 'grass', 3: 'tree', 4: 'sky', 5: 'car'}; expected a name for each of its ",
        ),
        (lambda p: alter(p / "config.json", hidden_sizes="x"), "Field 'hidden_sizes' expected a "),
    ],
)
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
    change_weights(path, lambda weights: weights.pop(name))


def spoil_weight(path: Path, name: str) -> None:
    change_weights(path, lambda weights: weights[name].fill_(torch.nan))


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            dict(hf=dict(model="SegformerForSemantic", config={}), num_classes=5),
            "did you mean `SegformerForSemanticSeg",
        ),
        (
            dict(hf=dict(model=SEGFORMER, config=dict(hiden_sizes=[8])), num_classes=5),
            "no `hiden_sizes`; did you mean `hidden",
        ),
        (dict(hf=dict(model=SEGFORMER, config=dict(depths="x")), num_classes=5), "cannot be made of"),
        (dict(hf=dict(model=SEGFORMER, config={})), "`num_classes` of the SegformerForSemanticSegmentation is missing"),
        (dict(hf=dict(path="x")), "`hf` has the keys ['path']; expected `pretrained`"),
        (dict(hf=dict(pretrained="no/where")), "there is no teacher `no/where`"),
        (dict(model(SEGFORMER), test_cfg=dict(mode="slide")), "an HFSegmentor sees whole images"),
        (dict(model(SEGFORMER), pretrained="x"), "write `hf=dict(pretrained='x')`"),
        (dict(model(M2F), loss_decode=dict(type="CrossEntropyLoss")), "`loss_decode` has no effect on a Mask2Former"),
    ],
)
def test_configs_that_are_wrong(config: dict[str, Any], message: str) -> None:
    with pytest.raises(TeacherError) as refusal:
        built(dict(dict(type="HFSegmentor", data_preprocessor=PREPROCESSOR), **config))
    assert message in str(refusal.value)


def test_transformers_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = hf_models.importlib.util.find_spec
    monkeypatch.setattr(
        hf_models.importlib.util, "find_spec", lambda name: None if name == "transformers" else found(name)
    )
    with pytest.raises(TeacherError, match=r"pip install '.\[hf\]'"):
        hf_models.build(dict(model=SEGFORMER, config={}), 5)


# --- classes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Road", "object--grass", "Tree", "sky", "CAR"], None),
        (["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"], None),
        (
            ["road", "tree", "grass", "sky", "car"],
            "differ from the source taxonomy's from channel 1 on: ['tree', 'grass'",
        ),
    ],
)
def test_class_names_of_a_folder_are_the_sources(tmp_path: Path, names: list[str], message: str | None) -> None:
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=str(folder(tmp_path / "f", names=names)))))
    problem = class_mismatch(segmentor, CLASSES)
    assert problem is None if message is None else message in str(problem)
    assert class_mismatch(segmentor, [*CLASSES, "bus"]) == (
        "the model predicts 5 classes, and the source taxonomy has 6"
    )
