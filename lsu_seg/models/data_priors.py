"""Read the checkpoints released with the paper, as written by the code of `UniBwTAS/data-priors`.

Such a file is a dict with three parts: `model_state_dict`, the weights of a `Mask2FormerForUniversalSegmentation` on a
Swin backbone; `model_config`, its config as a pickled object; and the training state, which is not used here. The
config's `id2label` names the K classes in order. Void has no channel, and no label in the losses.

Reading the object runs no code from the file or from `transformers`: `lsu_seg.openmmlab.compat` has an inert stand-in
for each of its two classes and refuses all others.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lsu_seg.errors import TeacherError, no_file
from lsu_seg.openmmlab.compat import PickledRecord, UntrustedCheckpointError, load_checkpoint

MEAN = (80.85, 77.914, 76.967)
STD = (61.877, 61.501, 64.752)
"""RGB, for values from 0 to 255: the normalisation for all datasets. It is in the released code, not in the files."""

_ARCHITECTURE = (
    "activation_function",
    "class_weight",
    "common_stride",
    "decoder_layers",
    "dice_weight",
    "dim_feedforward",
    "dropout",
    "encoder_feedforward_dim",
    "encoder_layers",
    "enforce_input_projection",
    "feature_size",
    "feature_strides",
    "hidden_dim",
    "ignore_value",
    "importance_sample_ratio",
    "init_std",
    "init_xavier_std",
    "mask_feature_size",
    "mask_weight",
    "no_object_weight",
    "num_attention_heads",
    "num_queries",
    "oversample_ratio",
    "pre_norm",
    "train_num_points",
    "use_auxiliary_loss",
)
_BACKBONE = (
    "attention_probs_dropout_prob",
    "depths",
    "drop_path_rate",
    "embed_dim",
    "encoder_stride",
    "hidden_act",
    "hidden_dropout_prob",
    "image_size",
    "initializer_range",
    "layer_norm_eps",
    "mlp_ratio",
    "num_channels",
    "num_heads",
    "patch_size",
    "qkv_bias",
    "use_absolute_embeddings",
    "window_size",
)
"""Attributes that define the model; the other sixty or so concern text generation and the library's version."""


class Released(NamedTuple):
    """The contents of such a checkpoint.

    Attributes:
        config: arguments of `Mask2FormerConfig` as plain values, with `id2label` and `backbone_config`.
        weights: the state dict.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]


def read(path: Path) -> Released:
    """Read a checkpoint of data-priors.

    Raises:
        TeacherError: the file does not exist, is damaged, or is something else. UntrustedCheckpointError: it holds
            objects other than tensors, plain values and the two configs.
    """
    if not path.is_file():
        raise TeacherError(
            f"{no_file('teacher', path)}; expected a folder that `save_pretrained` wrote, or a checkpoint of"
            " data-priors"
        )
    try:
        checkpoint = load_checkpoint(path, map_location="cpu")
    except UntrustedCheckpointError:
        raise
    except (EOFError, KeyError, IndexError, ValueError, AttributeError, RuntimeError, struct.error) as e:
        raise TeacherError(f"`{path}` is not a checkpoint, or is cut off; get the file again") from e
    keys = sorted(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint).__name__
    if isinstance(checkpoint, dict) and "state_dict" in checkpoint:
        raise TeacherError(
            f"`{path}` is a checkpoint of MMEngine, which does not say what its model is; give its config, too"
        )
    if not isinstance(checkpoint, dict) or not {"model_state_dict", "model_config"} <= checkpoint.keys():
        raise TeacherError(
            f"`{path}`: found {keys}; expected the keys `model_state_dict` and `model_config` of data-priors"
        )
    weights = checkpoint["model_state_dict"]
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise TeacherError(f"`{path}`: `model_state_dict` holds something other than tensors")
    return Released(_config(path, checkpoint["model_config"]), dict(weights))


def _config(path: Path, record: Any) -> dict[str, Any]:
    main = _attributes(path, record, "Mask2FormerConfig", "model_config")
    swin = _attributes(path, main.get("backbone_config"), "SwinConfig", "model_config.backbone_config")
    names = main.get("id2label")
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))) or not names:
        raise TeacherError(f"`{path}`: `id2label` is {names}; expected the classes 0 to K-1 by name")
    stages = swin.get("_out_features") or [f"stage{i + 1}" for i in range(len(swin.get("depths", ())))]
    backbone = {"model_type": "swin", "out_features": stages, **{k: swin[k] for k in _BACKBONE if k in swin}}
    config = {k: main[k] for k in _ARCHITECTURE if k in main}
    for key, value in (*config.items(), *backbone.items(), *names.items()):
        if not _plain(value):
            raise TeacherError(f"`{path}`: `{key}` of its config is a {type(value).__name__}; expected a plain value")
    return {**config, "id2label": {i: str(names[i]) for i in sorted(names)}, "backbone_config": backbone}


def _attributes(path: Path, record: Any, name: str, where: str) -> dict[str, Any]:
    if type(record).__name__ != name:
        raise TeacherError(f"`{path}`: found a {type(record).__name__} as `{where}`; expected a {name}")
    # The class itself is loaded only if the user trusts the file (`compat.TRUST_VARIABLE`).
    return dict(getattr(record, "attributes", {}) if isinstance(record, PickledRecord) else vars(record))


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))
