"""CLIPSeg and SAM 3 as segmentors: networks that look for what words describe, with prompts for each class."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lsu_onto import INSTALL
from lsu_seg.decode import QueryView, View
from lsu_seg.errors import TeacherError
from lsu_seg.models.hf_models import (
    CLIPSEG,
    PROMPTED,
    HFModel,
    architecture,
    check_complete,
    check_kinds,
    folder_preprocessor,
    loading_errors,
    quiet,
    tokenizer,
    weight_files,
)
from lsu_seg.models.hub import check_no_address, downloaded, hub_name, pinned
from lsu_seg.models.sam3 import Sam3Net
from lsu_seg.models.segmentor import NetSegmentor
from lsu_seg.openmmlab.registry import MODELS, register
from lsu_seg.openmmlab.weights import check_finite
from lsu_seg.runtime.home import at_home


@register(MODELS)
class PromptSegmentor(NetSegmentor):
    """CLIPSeg or SAM 3, which look for what prompts say: teachers for classes that they were never trained on.

    A pixel's evidence for a class is the network's probability that the prompts of this class fit, and its mass of no
    object is the probability that no class's prompts fit. It labels and is evaluated; it is not trained.

    Args:
        hf: `dict(pretrained='folder')`: a folder with the model and its processor, or a name on a hub.
        classes: names of the source's classes, in the order of its channels.
        prompts: what each of them looks like, in words: a text or several. CLIPSeg takes the mean of their embeddings;
            SAM 3, pixel by pixel, the one that fits best. (Not a dict with the classes, because mmengine sorts the keys
            of a config's dicts when it saves them.)
        data_preprocessor: as for `HFSegmentor`. test_cfg: None or `dict(mode='whole')`.

    Raises:
        TeacherError: the folder has no such model, a class has no prompt, or a prompt is too long.
    """

    names_place = "classes"
    untrainable = "a PromptSegmentor is not trained: it labels, and a student is trained on its labels"

    def __init__(
        self,
        hf: Mapping[str, Any],
        classes: Sequence[str],
        prompts: Sequence[str | Sequence[str]],
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        train_cfg: dict[str, Any] | None = None,
        pretrained: None = None,
    ) -> None:
        if set(hf) != {"pretrained"} or not hf["pretrained"]:
            raise TeacherError(f"`hf` is {dict(hf)}; expected `dict(pretrained='FOLDER')`")
        if test_cfg and test_cfg.get("mode", "whole") != "whole":
            raise TeacherError(
                f"test_cfg is {dict(test_cfg)}; a PromptSegmentor sees whole images (windows: `PseudoLabelLoop`)"
            )
        check_no_address(hf["pretrained"])
        hub = hub_name(hf["pretrained"])
        commit = pinned(hub) if hub else None
        path = downloaded(commit) if commit else at_home(hf["pretrained"])
        if len(classes) != len(prompts):
            raise TeacherError(
                f"there are {len(classes)} `classes` and {len(prompts)} `prompts`; expected one for each"
            )
        texts = [[text] if isinstance(text, str) else list(text) for text in prompts]
        for name, several in zip(classes, texts, strict=True):
            if not several or not all(isinstance(text, str) and text.strip() for text in several):
                raise TeacherError(f"`prompts` has {several!r} for `{name}`; expected a text, or several")
        model = _load(path)
        tokens = _tokens(model.net, path, texts)
        lengths = [len(several) for several in texts]
        kind = PromptedNet if type(model.net).__name__ == CLIPSEG else Sam3Net
        with loading_errors(path):  # the tokenizer may be that of another model
            net = kind(model.net, tokens, lengths)
        if data_preprocessor is None and model.data_preprocessor is None:
            raise TeacherError(
                f"nothing says how images are normalised: {path} has no preprocessor_config.json; save the model's"
                " processor there, or write `data_preprocessor=dict(type='SegDataPreProcessor', mean=…, std=…)`"
            )
        super().__init__(
            net,
            len(texts),
            model.multiple,
            False,
            None,
            None,
            data_preprocessor or model.data_preprocessor,
            init_cfg,
        )
        self.class_names, self.weight_files, self.origin = tuple(classes), model.files, str(commit or "")

    def evidence_of(self, batch: Tensor) -> list[View | QueryView]:
        logits = self.net(self.fitting(batch)).float()
        nothing = logsigmoid(-logits).sum(1).exp()
        return [View(logsigmoid(one), void=void) for one, void in zip(logits, nothing, strict=True)]

    def extract_feat(self, inputs: Tensor) -> Any:
        return self.net(self.fitting(inputs))

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        raise TeacherError(self.untrainable)


class PromptedNet(nn.Module):
    """CLIPSeg with its prompts: images, float `[N, 3, H, W]` → one logit for each class, `[N, K, h, w]`.

    `transformers` runs the image's encoder once for each prompt, and takes the patches of any image for a square.
    """

    embeddings: Tensor

    @torch.no_grad()
    def __init__(self, model: Any, tokens: Mapping[str, Tensor], lengths: Sequence[int]) -> None:
        """tokens: of all prompts; lengths: how many each class has."""
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        words = model.clip.get_text_features(**tokens).pooler_output
        embeddings = torch.stack([part.mean(0) for part in words.split(list(lengths))])
        self.register_buffer("embeddings", embeddings, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        model, decoder = self.model, self.model.decoder
        patch = model.config.vision_config.patch_size
        grid = images.shape[2] // patch, images.shape[3] // patch
        seen = model.clip.get_image_features(pixel_values=images, output_hidden_states=True).hidden_states
        layers = [seen[i + 1] for i in reversed(model.extract_layers)]
        return torch.stack([self._of_one(decoder, [x[i] for x in layers], grid) for i in range(len(images))])

    def _of_one(self, decoder: Any, layers: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
        """`[K, h, w]` of one image, whose patches have `[L, C]` in each layer."""
        words = self.embeddings
        state: Any = 0
        for i, (x, layer, reduce) in enumerate(zip(layers, decoder.layers, decoder.reduces, strict=True)):
            state = reduce(x) + state
            if i == decoder.conditional_layer:
                state = decoder.film_mul(words)[:, None] * state + decoder.film_add(words)[:, None]
            state = layer(state.expand(len(words), *state.shape[-2:]), attention_mask=None)
        maps = state[:, 1:].mT.reshape(len(words), -1, *grid)  # the first is the token of the class
        logits: Tensor = decoder.transposed_convolution(maps)[:, 0]
        return logits


def _load(path: Path) -> HFModel:
    if importlib.util.find_spec("transformers") is None:
        raise TeacherError(f"Hugging Face models need `transformers`, which is not installed: {INSTALL.format('hf')}")
    import transformers

    if (name := architecture(path)) not in PROMPTED:
        expected = " or a ".join(f"`{each}`" for each in PROMPTED[:2])
        raise TeacherError(f"{path}: found a model `{name}`; expected a {expected}; other models are HFSegmentors")
    cls: Any = getattr(transformers, CLIPSEG if name == CLIPSEG else "Sam3Model", None)
    if cls is None:
        raise TeacherError(
            f"{path}: holds SAM 3, which transformers {transformers.__version__} does not have: upgrade it"
        )
    with quiet(transformers), loading_errors(path):
        check_kinds(path)
        net, info = cls.from_pretrained(str(path), local_files_only=True, dtype=torch.float32, output_loading_info=True)
        if name == CLIPSEG:
            _check_decoder(path, net.config)
    check_complete(path, info)
    check_finite(str(path), net)
    multiple = int(net.config.vision_config.patch_size) if name == CLIPSEG else Sam3Net.multiple
    model = HFModel(net, (), weight_files(path), False, False, multiple, None)
    return model._replace(data_preprocessor=folder_preprocessor(path, model))


def _tokens(model: Any, path: Path, prompts: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """The tokens of all prompts, `input_ids` and `attention_mask`.

    Raises:
        TeacherError: a prompt has more tokens than the model takes.
    """
    flat = [text for several in prompts for text in several]
    longest = model.config.text_config.max_position_embeddings
    with loading_errors(path):
        given = tokenizer(path)(flat, padding=True, return_tensors="pt")
        tokens = {name: given[name] for name in ("input_ids", "attention_mask")}
    for text, used in zip(flat, tokens["attention_mask"].sum(1).tolist(), strict=True):
        if used > longest:
            raise TeacherError(
                f"`prompts` has {text!r}, which is {used} tokens long; {path} takes {longest} at most: shorten it, or"
                " split it into several prompts"
            )
    return tokens


def _check_decoder(path: Path, config: Any) -> None:
    """Refuse numbers of CLIPSeg's decoder that do not go together, of which some fail for the first image.

    Raises:
        TeacherError: they don't.
    """
    layers, taken = config.vision_config.num_hidden_layers, config.extract_layers
    if not all(0 <= i < layers for i in taken):
        raise TeacherError(f"{path}: the config's `extract_layers` is {list(taken)}; expected numbers below {layers}")
    if not 0 <= config.conditional_layer < len(taken):
        found = config.conditional_layer
        raise TeacherError(f"{path}: the config's `conditional_layer` is {found}; expected a number below {len(taken)}")
    if config.reduce_dim % config.decoder_num_attention_heads:
        raise TeacherError(
            f"{path}: the config's `decoder_num_attention_heads` is {config.decoder_num_attention_heads}; expected a"
            f" divisor of `reduce_dim`, {config.reduce_dim}"
        )
