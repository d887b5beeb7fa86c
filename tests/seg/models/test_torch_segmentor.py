"""Networks that a function makes, behind MMSegmentation's interface."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn.functional import interpolate

from helpers.nets import lively, save_net, write_net
from helpers.tiny import CLASSES
from lsu_seg.decode import decoder
from lsu_seg.errors import TeacherError, UserError
from lsu_seg.models.outputs import Reader
from lsu_seg.models.torch_segmentor import MEAN, STD, TorchSegmentor
from lsu_seg.targets import TargetSet
from lsu_seg.targets.table import TargetTable
from lsu_seg.teachers import SegmentorTeacher, Views
from lsu_seg.teachers.classes import class_mismatch


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_net(tmp_path_factory.mktemp("net"))


def built(factory: str, seed: int = 0, **settings: Any) -> TorchSegmentor:
    init_default_scope("mmseg")
    segmentor: TorchSegmentor = MODELS.build(dict(type="TorchSegmentor", factory=factory, **settings)).eval()
    lively(segmentor.net, seed)
    return segmentor


def picture(height: int = 64, width: int = 96, seed: int = 1) -> torch.Tensor:
    """BGR, as images are loaded."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    return interpolate(small, (height, width), mode="bilinear")[0].mul(255).to(torch.uint8)


def predicted(segmentor: Any, image: torch.Tensor, **meta: Any) -> SegDataSample:
    size = tuple(image.shape[1:])
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size) | meta)
    with torch.no_grad():
        return segmentor.test_step(dict(inputs=[image], data_samples=[sample]))[0]


# --- input and output ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["tensor", "dict", "object", "list", "hf", "detectron"])
def test_outputs_of_every_usual_form_are_the_same_labels(factory: str, shape: str) -> None:
    """The network itself says what the logits are of an image that is normalised as torchvision does."""
    segmentor = built(factory, args=dict(shape=shape))
    assert segmentor.queries == (shape in ("hf", "detectron"))
    rgb = picture().flip(0) / 255
    normalised = (rgb - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    net: Any = segmentor.net
    with torch.no_grad():
        logits = net.head(net.stem(normalised[None]))
    sample = predicted(segmentor, picture())
    if not segmentor.queries:
        expected = interpolate(logits, (64, 96), mode="bilinear")[0]
        torch.testing.assert_close(sample.seg_logits.data, expected, rtol=1e-4, atol=1e-4)
        assert segmentor(torch.zeros(2, 3, 64, 96), mode="tensor").shape == (2, *logits.shape[1:])
    else:  # one mask for each class, so the order of the classes is that of the masks
        at = interpolate(logits, (64, 96), mode="bilinear")[0].sigmoid().argmax(0)
        assert (sample.pred_sem_seg.data[0] == at).float().mean() > 0.99
    assert sample.seg_logits.data.shape == (5, 64, 96)


def test_normalisation_is_said_in_numbers_from_0_to_1(factory: str) -> None:
    own = built(factory, mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 0.2], bgr=True)
    image = picture()
    by_hand = (image / 255 - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor([0.5, 0.25, 0.2])[
        :, None, None
    ]
    batch = own.data_preprocessor(dict(inputs=[image], data_samples=[SegDataSample()]), False)["inputs"]
    torch.testing.assert_close(batch[0], by_hand, rtol=1e-5, atol=1e-5)
    assert not own.assumed
    assumed = built(factory, bgr=True)
    assert "BGR images with the mean and the deviation of ImageNet" in assumed.assumed
    assert assumed.data_preprocessor.mean.flatten().tolist() == pytest.approx([255 * v for v in reversed(MEAN)])
    given = dict(type="SegDataPreProcessor", mean=[1.0] * 3, std=[2.0] * 3, size_divisor=32)
    assert not built(factory, data_preprocessor=given).assumed


@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_are_those_of_the_decoder(factory: str, align_corners: bool) -> None:
    """Also of an image of a size that the network does not take."""
    segmentor = built(factory, args=dict(multiple=16), size_divisor=16, align_corners=align_corners)
    image = picture(72, 104)
    sample = predicted(segmentor, image, ori_shape=(77, 190))
    teacher = SegmentorTeacher(segmentor, CLASSES, Views(flips=(False,), memory=None))
    normalised = teacher._normalised([image])
    views = segmentor.evidence_of(interpolate(normalised, (64, 96), mode="bilinear"))  # 72/16 rounds to 4, 104/16 to 6
    assert views[0].align_corners is align_corners
    expected = decoder("cpu").unconstrained(views, (77, 190), "image").labels
    best = sample.seg_logits.data.topk(2, 0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert clear.mean() > 0.95
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(sample.pred_sem_seg.data[0].numpy()[clear], expected[clear])


def test_channels_that_are_no_classes_are_left_out(factory: str) -> None:
    names = ["road", "grass", "none of them", "tree", "sky", "car", "background"]
    for shape in ("tensor", "hf"):
        whole = built(factory, args=dict(classes=7, shape=shape))
        kept = built(factory, args=dict(classes=7, shape=shape), drop_channels=[6, "none of them"], classes=names)
        assert kept.num_classes == kept.out_channels == 5
        assert list(kept.class_names) == CLASSES
        assert class_mismatch(kept, CLASSES) is None
        assert "predicts 7 classes, and the source taxonomy has 5; `--set model.drop_channels" in str(
            class_mismatch(whole, CLASSES)
        )
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        all_of_it, some = whole.evidence_of(images)[1], kept.evidence_of(images)[1]
        if shape == "tensor":
            assert torch.equal(some.logits, all_of_it.logits[[0, 1, 3, 4, 5]])
        else:
            assert torch.equal(some.classes, all_of_it.classes[:, [0, 1, 3, 4, 5, 7]])  # no object stays
            assert torch.equal(some.masks, all_of_it.masks)
    alone = built(factory, args=dict(classes=6), drop_channels=5)  # as `--set model.drop_channels=5` says it
    assert alone.reader.kept == (0, 1, 2, 3, 4)
    kept.stated_classes = {"meta.classes": names}  # the checkpoint's names are of all channels
    assert class_mismatch(kept, CLASSES) is None
    kept.stated_classes = {"meta.classes": names[::-1]}
    assert "differ from the source taxonomy's from channel 0 on" in str(class_mismatch(kept, CLASSES))


def test_where_the_logits_are_is_said_for_other_outputs(factory: str) -> None:
    segmentor = built(factory, args=dict(shape="list"), output=-1)
    images = torch.randn(1, 3, 32, 32)
    out = segmentor.train()._run(images)
    assert torch.equal(out.logits, segmentor.net(images)[1])
    with pytest.raises(
        TeacherError, match=r"returned a list of `0` \[1, 5, 16, 16\] and `1` \[1, 5, 16, 16\], and noth"
    ):
        built(factory, args=dict(shape="list")).train()._run(images)


@pytest.mark.filterwarnings("ignore:The shape of value will convert:UserWarning")  # MMSegmentation's own
def test_slides_as_mmsegmentation_does_and_sees_several_views(factory: str) -> None:
    """In windows with `mode='slide'`, and in several views with `SegTTAModel`."""
    slide = dict(mode="slide", crop_size=(32, 48), stride=(32, 48))
    whole, sliding = built(factory), built(factory, test_cfg=slide)
    image = picture()
    quarters = predicted(sliding, image).seg_logits.data
    quarter = predicted(whole, image[:, 32:, 48:]).seg_logits.data
    torch.testing.assert_close(quarters[:, 32:, 48:], quarter, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(quarters, predicted(whole, image).seg_logits.data, atol=1e-3)
    views = SegTTAModel(module=whole)
    meta = dict(ori_shape=(64, 96), img_shape=(64, 96), img_path="a.png")
    samples = [
        [SegDataSample(metainfo=meta | dict(flip=False))],
        [SegDataSample(metainfo=meta | dict(flip=True, flip_direction="horizontal"))],
    ]
    with torch.no_grad():
        [merged] = views.test_step(dict(inputs=[[image], [image.flip(2)]], data_samples=samples))
        plain = predicted(whole, image).seg_logits.data.softmax(0)
        mirrored = predicted(whole, image.flip(2)).seg_logits.data.softmax(0).flip(2)
    both = (plain + mirrored) / 2
    clear = both.topk(2, 0).values.diff(dim=0)[0].abs() > 1e-4
    assert torch.equal(merged.pred_sem_seg.data[0][clear], both.argmax(0)[clear])


def test_a_network_that_runs_out_of_memory_sees_pieces(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    segmentor = built(factory)
    image = picture(128, 128)
    teacher = SegmentorTeacher(segmentor, CLASSES, Views(flips=(False,), memory=None))
    [(_, whole)] = teacher.evidence([image], None, [(128, 128)])
    net: Any = segmentor.net
    forward = net.forward

    def cramped(images: torch.Tensor) -> torch.Tensor:
        if images.shape[2] * images.shape[3] > 96 * 128:
            raise torch.OutOfMemoryError("CUDA out of memory")
        out: torch.Tensor = forward(images)
        return out

    monkeypatch.setattr(net, "forward", cramped)
    [(_, pieces)] = teacher.evidence([image], None, [(128, 128)])
    assert pieces.out_of_memory
    torch.testing.assert_close(pieces.views[0].logits, whole.views[0].logits, rtol=1e-4, atol=1e-4)


# --- training ------------------------------------------------------------------------------------------------


def target(value: int = 0) -> SegDataSample:
    data = torch.full((1, 32, 32), value)
    data[0, :8], data[0, 8:16] = 255, 256
    return SegDataSample(gt_sem_seg=PixelData(data=data))


def test_it_learns_sets_and_from_further_outputs(factory: str) -> None:
    loss = dict(type="SetNLLLoss", source="tiny")
    settings = dict(args=dict(shape="dict"), auxiliary=["aux"], auxiliary_weight=0.5)
    segmentor = built(factory, **settings, loss_decode=loss).train()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    segmentor.loss_decode.use_table(TargetTable("tiny", 5, [TargetSet((1, 2))]))
    losses = segmentor(images, [target(), target()], mode="loss")
    net: Any = segmentor.net
    p = interpolate(net(images)["out"], (32, 32), mode="bilinear").softmax(1)
    chosen = torch.cat([p[:, 1:3, 8:16].sum(1).flatten(), p[:, 0, 16:].flatten()])
    torch.testing.assert_close(losses["loss_ce"], -chosen.log().mean(), rtol=1e-4, atol=1e-5)
    q = interpolate(net(images)["aux"], (32, 32), mode="bilinear").softmax(1)
    chosen = torch.cat([q[:, 1:3, 8:16].sum(1).flatten(), q[:, 0, 16:].flatten()])
    torch.testing.assert_close(losses["loss_aux_aux"], -0.5 * chosen.log().mean(), rtol=1e-4, atol=1e-5)

    plain = built(factory, **settings).train()  # cross-entropy: sets are nothing to it
    own = plain(images, [target(), target()], mode="loss")["loss_ce"]
    torch.testing.assert_close(own, -p[:, 0, 16:].log().mean(), rtol=1e-4, atol=1e-5)


def test_it_can_be_copied(factory: str) -> None:
    """As averages of a student's weights are made."""
    segmentor = built(factory)
    twin = copy.deepcopy(segmentor)
    lively(segmentor.net, 1)
    images = torch.randn(1, 3, 32, 32)
    assert not torch.equal(twin(images, mode="tensor"), segmentor(images, mode="tensor"))
    twin.load_state_dict(segmentor.state_dict())
    assert torch.equal(twin(images, mode="tensor"), segmentor(images, mode="tensor"))


def test_losses_in_a_list_are_added(factory: str) -> None:
    """As in heads of MMSegmentation."""
    loss = dict(type="CrossEntropyLoss", avg_non_ignore=True)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    values = []
    for losses in (loss, [loss, loss | dict(loss_weight=2.0)]):
        segmentor = built(factory, loss_decode=losses).train()
        hard = target()
        hard.gt_sem_seg.data[hard.gt_sem_seg.data == 256] = 1
        values.append(segmentor(images, [hard, hard], mode="loss")["loss_ce"])
    torch.testing.assert_close(values[1], 3 * values[0])


def test_masks_are_no_targets_of_it(factory: str) -> None:
    segmentor = built(factory, args=dict(shape="hf")).train()
    with pytest.raises(TeacherError, match="predicts masks, which a `TorchSegmentor` cannot train"):
        segmentor(torch.randn(1, 3, 32, 32), [target()], mode="loss")


# --- weights -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer": {"state": {0: {"momentum": torch.ones(3)}}}},
        lambda state: {"model": {f"net.{k}": v for k, v in state.items()}},
        lambda state: {"state_dict": {f"net.{k}": v for k, v in state.items()}, "meta": {"CLASSES": tuple(CLASSES)}},
        lambda state: {"state_dict": state, "state_dict_ema": {k: v + 1 for k, v in state.items()}},
    ],
)
def test_weights_are_found_wherever_training_codes_put_them(factory: str, tmp_path: Path, wrap: Any) -> None:
    state = torch.load(save_net(tmp_path / "net.pth", factory, seed=3), weights_only=True)
    torch.save(wrap(state), tmp_path / "wrapped.pth")
    init_default_scope("mmseg")
    segmentor = MODELS.build(dict(type="TorchSegmentor", factory=factory, checkpoint=str(tmp_path / "wrapped.pth")))
    assert all(torch.equal(value, state[name]) for name, value in segmentor.net.state_dict().items())
    assert segmentor.weight_files == (tmp_path / "wrapped.pth",)
    assert not segmentor.untrained


def test_weights_that_do_not_fit(factory: str, tmp_path: Path) -> None:
    state = torch.load(save_net(tmp_path / "net.pth", factory), weights_only=True)

    def message(checkpoint: Any) -> str:
        torch.save(checkpoint, tmp_path / "bad.pth")
        with pytest.raises(TeacherError) as caught:
            built(factory, checkpoint=str(tmp_path / "bad.pth"))
        return str(caught.value)

    assert "missing keys in source state_dict: head.bias" in message(
        {k: v for k, v in state.items() if k != "head.bias"}
    )
    assert "unexpected key in source state_dict: head.scale" in message({**state, "head.scale": torch.ones(1)})
    assert "size mismatch for head.bias" in message({**state, "head.bias": torch.ones(7)})
    several = message({"model": state, "average": state})
    assert "several times (`['model']`, `['average']`): write the right ones into a file of their own" in several
    assert "is of another model" in message({"a.weight": torch.ones(1)})
    assert "weights that are NaN: `head.bias`" in message({**state, "head.bias": torch.full((5,), torch.nan)})
    with pytest.raises(TeacherError, match=r"there is no checkpoint `.*none.pth`"):
        built(factory, checkpoint=str(tmp_path / "none.pth"))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_that_is_saved_with_its_code(factory: str, tmp_path: Path, frozen: bool) -> None:
    """TorchScript: the function only loads it."""
    whole: Any = built(factory).net
    net, images = torch.nn.Sequential(whole.stem, whole.head).eval(), torch.randn(1, 3, 128, 128)
    traced: Any = torch.jit.trace(net, images)
    (torch.jit.freeze(traced) if frozen else traced).save(str(tmp_path / "net.ts"))  # then it has no parameters
    (tmp_path / "script.py").write_text(f"import torch\ndef build():\n    return torch.jit.load('{tmp_path}/net.ts')\n")
    segmentor = MODELS.build(dict(type="TorchSegmentor", factory=f"{tmp_path}/script.py:build")).eval()
    assert not segmentor.untrained
    torch.testing.assert_close(segmentor(images, mode="tensor"), net(images))


def test_random_weights_are_told_from_those_that_the_function_loads(factory: str) -> None:
    assert "makes random weights: `stem.0.weight` has others when it is called again" in built(factory).untrained
    init_default_scope("mmseg")
    seeded = MODELS.build(dict(type="TorchSegmentor", factory=factory.replace("build", "seeded")))
    assert not seeded.untrained


# --- settings that are wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(num_classes=4), "a network of 5 channels, and `num_classes` is 4; leave channels"),
        (dict(num_classes=5, drop_channels=[4]), "of 5 channels, less 1, and `num_classes` is 5"),
        (dict(drop_channels=[5]), r"`drop_channels` has 5; the channels of `.*net.py:build` are 0 to 4"),
        (dict(drop_channels=[0, 1, 2, 3, 4]), "`drop_channels` leaves none of the 5 channels"),
        (dict(drop_channels=["car"]), "`drop_channels` has the name 'car', and nothing names the channels"),
        (dict(drop_channels=["cars"], classes=CLASSES), "'cars', which `classes` does not have; did you mean `car`"),
        (dict(classes=CLASSES[:4]), "of 5 channels, and `classes` has 4 names; name all of them"),
        (dict(args=dict(shape="dict"), output="logit"), r"`out` \[1, 5, 64, 64\], which has no `logit`"),
        (dict(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4]), "three numbers from 0 to 1, for images with values"),
        (dict(mean=[0.5, 0.5, 0.5]), "`std` is missing: write both"),
        (dict(mean=[0.5] * 3, std=[0.0] * 3), "`std` is .*; expected three numbers above 0"),
        (dict(bgr=True, data_preprocessor=dict(type="SegDataPreProcessor")), "leave `mean`, `std` and `bgr` out"),
        (dict(test_cfg=dict(mode="slide")), r"expected `dict\(mode='whole'\)`, or `dict\(mode='slide', crop_size"),
        (dict(factory=3), "`factory` is 3; expected `'file.py:function'`"),
        (dict(args=[3]), r"`args` is \[3\]; expected the function's arguments, `dict"),
        (dict(checkpoint=3), "`checkpoint` is 3; expected a file"),
        (dict(classes="road,sky"), "`classes` is 'road,sky'; expected a list of names"),
        (dict(drop_channels=[1.5]), r"`drop_channels` is \[1.5\]; expected a list of numbers or names"),
        (dict(auxiliary=True), "`auxiliary` is True; expected a list of numbers or names"),
        (dict(size_divisor=0), "`size_divisor` is 0; expected a whole number"),
        (dict(size_divisor=1_000_000), "`size_divisor` is 1000000; expected a whole number, 1 to 4096"),
        (dict(bgr="yes"), "`bgr` is 'yes'; expected `True` or `False`"),
        (dict(align_corners=1), "`align_corners` is 1; expected `True` or `False`"),
        (dict(output=1.5), "`output` is 1.5; expected a key, or the number of an item"),
        (dict(loss_decode={}), "`loss_decode` is or has {}; expected a loss, `dict"),
        (dict(loss_decode=[dict(type="CrossEntropyLoss", avg_non_ignore=True), 3]), "`loss_decode` is or has 3; expec"),
        (dict(loss_decode=dict(type="SetNLLLoss", source="tiny", loss_weight="x")), "`loss_weight` of a SetNLLLoss is"),
        (dict(loss_decode=dict(type="SetNLLLoss", source="tiny", reduction="x")), "`reduction` of a SetNLLLoss is 'x'"),
        (dict(loss_decode=[]), "`loss_decode` is an empty list; leave it out for cross-entropy"),
        (dict(auxiliary_weight="x"), "`auxiliary_weight` is 'x'; expected a number"),
        (dict(pretrained="net.pth"), "write `checkpoint='net.pth'`, not `pretrained"),
        (dict(args=dict(multiple=48)), r"fails on 1 image.* of 128x128: .*net.py:\d+: in `raise .*: ValueError: sides"),
        (dict(args=dict(shape="hf"), loss_decode=dict(type="CrossEntropyLoss")), "whose network predicts masks"),
    ],
)
def test_settings_that_are_wrong(factory: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        built(**(dict(factory=factory) | settings))


OTHERS = """
from torch import nn
from blocks import block

def parallel():
    return nn.DataParallel(nn.Sequential(block(3, 8), nn.Conv2d(8, 5, 1)))

def probable():
    return nn.Sequential(block(3, 8), nn.Conv2d(8, 5, 1), nn.Softmax(1))

def lazy():
    return nn.Sequential(nn.LazyConv2d(5, 3))

class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Conv2d(3, 5, 1)]

    def forward(self, images):
        return self.layers[0](images)
"""


def test_networks_that_are_odd(tmp_path: Path) -> None:
    write_net(tmp_path)
    (tmp_path / "odd.py").write_text(OTHERS)
    odd = f"{tmp_path / 'odd.py'}:"
    for prefix in ("", "module."):
        weights = save_net(tmp_path / "net.pth", f"{odd}parallel", prefix=prefix)
        segmentor = built(f"{odd}parallel", checkpoint=str(weights))
        assert isinstance(segmentor.net, torch.nn.Sequential)
    with pytest.raises(TeacherError, match="returned probabilities, which add up to 1; expected logits"):
        built(f"{odd}probable")
    assert "makes random weights: `0.weight` has others" in built(f"{odd}lazy").untrained
    with pytest.raises(
        TeacherError, match=r"a network without weights, .*; layers in a plain list belong to no network"
    ):
        built(f"{odd}Listed", checkpoint=str(weights))
    assert "random weights: its network returns something else when it is made again" in built(f"{odd}Listed").untrained


def test_a_network_of_one_size_is_not_asked(factory: str) -> None:
    """It is shown no blank image, as it takes none of that size: `num_classes` says what it has."""
    segmentor = built(factory, args=dict(multiple=160), num_classes=5, size_divisor=32)
    assert segmentor.evidence_of(torch.zeros(1, 3, 160, 320))[0].logits.shape == (5, 80, 160)
    with pytest.raises(TeacherError, match=r"ValueError: sides \(64, 64\)"):
        segmentor.evidence_of(torch.zeros(1, 3, 64, 64))
    lying = built(factory, args=dict(multiple=160), num_classes=4, size_divisor=32)
    with pytest.raises(TeacherError, match=r"returned 5 channels; expected 4"):
        lying.evidence_of(torch.zeros(1, 3, 160, 320))


def test_outputs_that_are_none() -> None:
    reader = Reader("net.py:build")
    for out, message in {
        torch.zeros(1, 5): r"a tensor \[1, 5\] of float32 for 1 image\(s\); expected logits \[1, K, h, w\]",
        torch.zeros(1, 4, 4, dtype=torch.long): r"a tensor \[1, 4, 4\] of int64",
        torch.zeros(2, 5, 4, 4): r"a tensor \[2, 5, 4, 4\]",
        torch.zeros(1, 5, 0, 4): r"a tensor \[1, 5, 0, 4\]",
        torch.zeros(1, 5, 4, 4).to_sparse(): r"a sparse tensor \[1, 5, 4, 4\]",
        torch.zeros(1, 5, 4, 4, device="meta"): r"a meta tensor \[1, 5, 4, 4\]",
    }.items():
        with pytest.raises(TeacherError, match=message):
            reader.read(out, 1)
    itself: list[Any] = []
    itself.append(itself)
    for other, message in (
        (itself, r"a list of `0` \(list\), and nothing says where"),
        ({"a": 1, "b": torch.zeros(2)}, r"a dict of `a` \(int\) and `b` \[2\], and nothing says where the logits are"),
        (None, "a NoneType, and nothing says where"),
        ({"pred_logits": torch.zeros(1, 3, 5), "pred_masks": torch.zeros(1, 2, 4, 4)}, "expected class logits"),
        ({"pred_logits": torch.zeros(1, 0, 5), "pred_masks": torch.zeros(1, 0, 4, 4)}, "expected class logits"),
    ):
        with pytest.raises(TeacherError, match=message):
            reader.read(other, 1)
