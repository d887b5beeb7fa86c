"""Small Hugging Face models, and checkpoints of data-priors, for tests of teachers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.tiny import ALLOWED, CLASSES, VOID, model_config, read

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

SWIN = dict(
    model_type="swin",
    embed_dim=16,
    depths=[1] * 4,
    num_heads=[1, 1, 2, 2],
    window_size=4,
    image_size=64,
    out_features=["stage1", "stage2", "stage3", "stage4"],
)
TINY: dict[str, dict[str, Any]] = {
    "Mask2FormerForUniversalSegmentation": dict(
        backbone_config=SWIN,
        hidden_dim=32,
        feature_size=32,
        mask_feature_size=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        num_queries=12,
        train_num_points=64,
    ),
    "MaskFormerForInstanceSegmentation": dict(
        backbone_config=SWIN,
        fpn_feature_size=32,
        mask_feature_size=32,
        decoder_config=dict(
            model_type="detr",
            d_model=16,
            decoder_layers=1,
            encoder_layers=1,
            decoder_ffn_dim=32,
            encoder_ffn_dim=32,
            decoder_attention_heads=2,
            encoder_attention_heads=2,
            num_queries=12,
        ),
    ),
    "EomtForUniversalSegmentation": dict(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        num_blocks=2,
        num_queries=12,
        num_upscale_blocks=2,
        train_num_points=64,
        mlp_ratio=2,
    ),
    "EomtDinov3ForUniversalSegmentation": dict(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
        num_blocks=2,
        num_queries=12,
        num_upscale_blocks=2,
        train_num_points=64,
    ),
    "OneFormerForUniversalSegmentation": dict(
        backbone_config=SWIN,
        hidden_dim=32,
        mask_dim=32,
        conv_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        num_queries=24,
        train_num_points=64,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=100,
    ),
    "SegformerForSemanticSegmentation": dict(
        hidden_sizes=[16] * 4, depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=16
    ),
    "UperNetForSemanticSegmentation": dict(
        backbone_config=SWIN, hidden_size=16, auxiliary_in_channels=64, auxiliary_channels=16
    ),
    "DPTForSemanticSegmentation": dict(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16] * 4,
        fusion_hidden_size=16,
    ),
}
M2F, SEGFORMER = "Mask2FormerForUniversalSegmentation", "SegformerForSemanticSegmentation"
PREPROCESSOR = model_config()["data_preprocessor"]


def model(name: str, **changes: Any) -> dict[str, Any]:
    return dict(
        type="HFSegmentor",
        hf=dict(model=name, config={**TINY[name], **changes}),
        num_classes=5,
        data_preprocessor=PREPROCESSOR,
    )


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


def inside(root: Path, out: Path) -> bool:
    """Every pixel of every label is in S(d); something was asked of the teacher."""
    from helpers.tiny import encode

    for stem in "abc":
        raw, label = read(root / f"park/labels/train/{stem}.png"), read(out / f"labels/train/{stem}.png")
        for row, allowed in enumerate([*ALLOWED, {VOID}]):
            here = label[raw == encode(np.array(row if row < len(ALLOWED) else -1), "id")]
            if not set(here.tolist()) <= allowed:
                return False
    return True


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
        k: v for k, v in weights.items() if not k.endswith(("encoder.layernorm.weight", "encoder.layernorm.bias"))
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
        main["backbone_config"] = kinds["SwinConfig"](**(swin | dict(_commit_hash=None, top_k=50)))
        main["id2label"] = dict(enumerate(names))
        config = kinds["Mask2FormerConfig"](**(main | dict(torch_dtype=torch.float32)))
        checkpoint = {
            "model_state_dict": weights,
            "model_config": config,
            "optimizer_state_dict": {},
            "epoch": 3,
            "scheduler_state_dict": {"last_epoch": 3},
            "config": {"size": "base"},
            "fitness": torch.tensor(0.5),
        }
        torch.save({**checkpoint, **changes}, path)
    return path


def write_tokenizer(path: Path) -> None:
    """A tokenizer of CLIP that knows single letters."""
    letters = "abcdefghijklmnopqrstuvwxyz_"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
