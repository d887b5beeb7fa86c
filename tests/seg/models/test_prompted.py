"""A teacher that looks for what words describe, at random weights."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from helpers.hf import folder, inside, write_tokenizer
from helpers.tiny import CLASSES, write_tax
from lsu_seg.cli import main
from lsu_seg.decode import View
from lsu_seg.errors import TeacherError

PROMPTS: list[Any] = [["grass", "lawn"] if name == "grass" else name for name in CLASSES]


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network, lively, its tokenizer and its processor's file."""
    path = tmp_path_factory.mktemp("clipseg")
    both = dict(hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=3)
    config = transformers.CLIPSegConfig(
        text_config=dict(
            vocab_size=56, max_position_embeddings=16, bos_token_id=54, eos_token_id=55, pad_token_id=55, **both
        ),
        vision_config=dict(image_size=64, patch_size=16, **both),
        projection_dim=24,
        reduce_dim=16,
        extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )
    torch.manual_seed(0)
    net = transformers.CLIPSegForImageSegmentation(config)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    net.save_pretrained(path)
    write_tokenizer(path)
    other = folder(tmp_path_factory.mktemp("other"))
    (path / "preprocessor_config.json").write_text((other / "preprocessor_config.json").read_text())
    return path


def built(clipseg: Path, **changes: Any) -> Any:
    init_default_scope("mmseg")
    settings = dict(type="PromptSegmentor", hf=dict(pretrained=str(clipseg)), classes=CLASSES, prompts=PROMPTS)
    return MODELS.build({**settings, **changes}).eval()


def test_its_logits_are_those_of_transformers(clipseg: Path) -> None:
    """Which takes an image for each prompt, and no averages of prompts."""
    segmentor = built(clipseg, prompts=CLASSES)
    net = transformers.CLIPSegForImageSegmentation.from_pretrained(clipseg).eval()
    tokens = transformers.CLIPTokenizer.from_pretrained(clipseg)(CLASSES, padding=True, return_tensors="pt")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for image, ours in zip(images, segmentor.net(images), strict=True):
            theirs = net(pixel_values=image.expand(5, -1, -1, -1), **tokens).logits
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert segmentor.class_names == tuple(CLASSES)


def test_images_of_any_shape_and_several_prompts(clipseg: Path) -> None:
    segmentor = built(clipseg)
    with torch.no_grad():
        view = segmentor.evidence_of(torch.randn(1, 3, 70, 130))[0]
        averaged = segmentor.net.embeddings[CLASSES.index("grass")]
        words = [built(clipseg, classes=["one"], prompts=[word]).net.embeddings[0] for word in ("grass", "lawn")]
    assert isinstance(view, View) and view.void is not None
    assert view.logits.shape == (5, 64, 128) and view.void.shape == (64, 128)
    assert view.logits.isfinite().all() and (view.logits <= 0).all()
    fits = view.logits.exp()
    torch.testing.assert_close(view.void, (1 - fits).prod(0), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(averaged, (words[0] + words[1]) / 2, rtol=1e-4, atol=1e-5)


def test_one_line_takes_the_prompts_from_the_sources_names(clipseg: Path, park: Path, tmp_path: Path) -> None:
    write_tax(tmp_path / "tax")
    tiny = tmp_path / "tax/tiny.tax"
    text = re.sub(r"(?m)^1 grass .*", '1 grass "Low_grass" #98fb98 aka lawn', tiny.read_text())
    tiny.write_text(re.sub(r"(?m)^0 road", "prompt-sky: the sky | clouds\n0 road", text))
    line = [tmp_path / "tax/park.tax", "--data-root", park / "park", "--teacher", clipseg, "--confidence"]
    line += ["-o", tmp_path / "out", "--work-dir", tmp_path / "log"]
    done = CliRunner().invoke(main, ["pseudo-label", *map(str, line)])
    assert done.exit_code == 0, done.output
    assert inside(park, tmp_path / "out")
    model = Config.fromfile(tmp_path / "log/park.py").model
    assert model.type == "PromptSegmentor"
    assert model.classes == CLASSES
    assert model.prompts[:2] == [["road"], ["grass", "low grass", "lawn"]]
    assert model.prompts[CLASSES.index("sky")] == ["the sky", "clouds"]
    again = CliRunner().invoke(main, ["pseudo-label", str(tmp_path / "log/park.py")])
    assert again.exit_code == 0, again.output
    first = json.loads((tmp_path / "out/manifest.json").read_text())
    assert first["checkpoint_sha256"].count(" ") == 4  # config, processor, two of the tokenizer, weights
    other = CliRunner().invoke(main, ["pseudo-label", *map(str, line), "--set", "model.prompts.1=meadow"])
    assert other.exit_code == 1
    assert "model_sha256: there" in other.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(prompts=[[], *CLASSES[1:]]), r"`prompts` has \[\] for `road`; expected a text, or several"),
        (dict(prompts=[[3], *CLASSES[1:]]), r"`prompts` has \[3\] for `road`"),
        (dict(prompts=CLASSES[1:]), "there are 5 `classes` and 4 `prompts`; expected one for each"),
        (dict(prompts=["road " * 20, *CLASSES[1:]]), r"tokens long; \S+ takes 16 at most: shorten it"),
        (dict(hf=dict(model="CLIPSeg")), "expected `dict"),
        (dict(test_cfg=dict(mode="slide")), "a PromptSegmentor sees whole images"),
    ],
)
def test_what_it_is_not_told_is_refused(clipseg: Path, changes: Any, message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        built(clipseg, **changes)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("tokenizer_config.json", {"model_max_length": "77"}, "the model cannot be loaded: TypeError"),
        ("tokenizer_config.json", {"model_input_names": ["input_ids"]}, "the model cannot be loaded: KeyError: 'att"),
        ("vocab.json", {"r": 3000, "o": 3001}, "the model cannot be loaded: IndexError"),
        ("config.json", {"extract_layers": [0, 1, 9]}, r"`extract_layers` is \[0, 1, 9\]; expected numbers below 3"),
        ("config.json", {"conditional_layer": 9}, "`conditional_layer` is 9; expected a number below 3"),
        ("config.json", {"decoder_num_attention_heads": 3}, "expected a divisor of `reduce_dim`, 16"),
    ],
)
def test_a_folder_whose_files_do_not_go_together_is_refused(
    clipseg: Path, tmp_path: Path, file: str, changes: dict[str, Any], message: str
) -> None:
    path = Path(shutil.copytree(clipseg, tmp_path / "clipseg"))
    before = json.loads((path / file).read_text()) if (path / file).exists() else {}
    (path / file).write_text(json.dumps(before | changes))
    with pytest.raises(TeacherError, match=message):
        built(path)


def test_it_is_neither_trained_nor_another_model(clipseg: Path, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="a PromptSegmentor is not trained"):
        built(clipseg)(torch.zeros(1, 3, 64, 64), [], mode="loss")
    with pytest.raises(TeacherError, match="which needs words for each class: write `model = dict"):
        MODELS.build(dict(type="HFSegmentor", hf=dict(pretrained=str(clipseg))))
    with pytest.raises(TeacherError, match="found a model `SegformerForSemanticSegmentation`; expected a `CLIPSegFor"):
        built(folder(tmp_path / "segformer"))
