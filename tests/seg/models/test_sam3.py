"""SAM 3 as a teacher that is told in words what to look for, at random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

from helpers.hf import inside, write_tokenizer
from helpers.tiny import CLASSES, write_tax
from lsu_seg.cli import main
from lsu_seg.decode import View
from lsu_seg.errors import TeacherError

if not hasattr(transformers, "Sam3Model"):
    pytest.skip("this transformers has no SAM 3", allow_module_level=True)

PROMPTS: list[Any] = [["grass", "lawn"] if name == "grass" else name for name in CLASSES]


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network, lively, its tokenizer and its processor's file."""
    path = tmp_path_factory.mktemp("sam3")
    part = dict(hidden_size=32, num_attention_heads=2, intermediate_size=32)
    detr = dict(num_layers=1, **part)
    backbone = dict(
        model_type="sam3_vit_model",
        num_hidden_layers=2,
        image_size=64,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[1],
        pretrain_image_size=32,
        **part,
    )
    special = dict(bos_token_id=54, eos_token_id=55, pad_token_id=55)
    config = transformers.Sam3Config(
        vision_config=dict(
            backbone_config=backbone, fpn_hidden_size=32, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]]
        ),
        text_config=dict(vocab_size=56, projection_dim=16, num_hidden_layers=1, max_position_embeddings=16)
        | part
        | special,
        geometry_encoder_config=detr,
        detr_encoder_config=detr,
        detr_decoder_config=detr | dict(num_queries=5),
        mask_decoder_config=dict(hidden_size=32, num_attention_heads=2),
    )
    torch.manual_seed(0)
    net = transformers.Sam3Model(config)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    net.save_pretrained(path)
    write_tokenizer(path)
    half = [0.5, 0.5, 0.5]
    (path / "preprocessor_config.json").write_text(json.dumps(dict(image_mean=half, image_std=half)))
    return path


def built(path: Path, **changes: Any) -> Any:
    init_default_scope("mmseg")
    settings = dict(type="PromptSegmentor", hf=dict(pretrained=str(path)), classes=CLASSES, prompts=PROMPTS)
    return MODELS.build({**settings, **changes}).eval()


def test_its_probabilities_are_those_of_transformers(sam3: Path) -> None:
    """Of an image and a prompt at a time, by presence and place."""
    segmentor = built(sam3)
    net = transformers.Sam3Model.from_pretrained(sam3).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(sam3)

    def theirs(image: torch.Tensor, prompt: str) -> torch.Tensor:
        tokens = tokenizer([prompt], padding="max_length", max_length=16, return_tensors="pt")
        out = net(pixel_values=image[None], **tokens)
        p = out.semantic_seg.sigmoid() * out.presence_logits.sigmoid()[..., None, None]
        return interpolate(p.log(), (16, 16), mode="bilinear", align_corners=False)[0, 0]

    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for image, view in zip(images, segmentor.evidence_of(images), strict=True):
            assert isinstance(view, View) and view.void is not None and view.logits.shape == (5, 16, 16)
            for own, several in zip(view.logits, PROMPTS, strict=True):
                texts = [several] if isinstance(several, str) else several
                p = torch.stack([theirs(image, text) for text in texts])
                assert (own >= p.amax(0) - 1e-3).all() and (own <= p.amax(0) + 0.2).all()
                if len(texts) == 1:
                    torch.testing.assert_close(own, p[0], rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(view.void, (1 - view.logits.exp()).prod(0), rtol=1e-3, atol=1e-6)
    assert view.logits.std(0).max() > 0.01, "prompts matter"


def test_images_of_any_shape(sam3: Path) -> None:
    with torch.no_grad():
        view = built(sam3).evidence_of(torch.randn(1, 3, 96, 160))[0]
    assert view.logits.shape == (5, 24, 40) and view.logits.isfinite().all()


def test_one_line_labels_with_it(sam3: Path, park: Path, tmp_path: Path) -> None:
    write_tax(tmp_path / "tax")
    line = [tmp_path / "tax/park.tax", "--data-root", park / "park", "--teacher", sam3, "--confidence", "--no-flip"]
    line += ["-o", tmp_path / "out", "--work-dir", tmp_path / "log", "--set", "test_cfg.window=(64,64)"]
    done = CliRunner().invoke(main, ["pseudo-label", *map(str, line)])
    assert done.exit_code == 0, done.output
    assert inside(park, tmp_path / "out")


def test_what_is_refused(sam3: Path, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=r"tokens long; \S+ takes 16 at most"):
        built(sam3, prompts=["road " * 20, *CLASSES[1:]])
    (tmp_path / "config.json").write_text(json.dumps(dict(architectures=["Sam2Model"])))
    with pytest.raises(TeacherError, match="expected a `CLIPSegForImageSegmentation` or a `Sam3Model`"):
        built(tmp_path)


def test_the_file_of_the_video_model_holds_it_too(sam3: Path, tmp_path: Path) -> None:
    """The detector beside a tracker, which is not needed."""
    weights = load_file(sam3 / "model.safetensors")
    both = {f"detector_model.{name}": value for name, value in weights.items()}
    save_file(both | {"tracker_model.memory": torch.zeros(3)}, tmp_path / "model.safetensors", {"format": "pt"})
    own = json.loads((sam3 / "config.json").read_text())
    video = dict(model_type="sam3_video", architectures=["Sam3VideoModel"], detector_config=own)
    (tmp_path / "config.json").write_text(json.dumps(video))
    for name in ("vocab.json", "merges.txt", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((sam3 / name).read_bytes())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        views = [built(path, prompts=CLASSES).evidence_of(image)[0] for path in (sam3, tmp_path)]
    assert torch.equal(views[0].logits, views[1].logits)
