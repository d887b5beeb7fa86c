"""Activation checkpointing (`activation_checkpointing = ['backbone']`): less memory for one more forward pass.

mmengine's own does it the way that torch advises against: a part whose arguments need no gradient, as images do not, is
then not trained at all, without a word, and one that is called with keywords, as Hugging Face's networks are, fails.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from lsu_seg.errors import ConfigError, did_you_mean


def recompute_in_backward(model: nn.Module, names: str | Sequence[str]) -> None:
    """Have parts of a model keep no activations: the backward pass computes them once more.

    Raises:
        ConfigError: they are no names, or the model has no such part.
    """
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, (list, tuple)) or not all(isinstance(name, str) and name for name in listed):
        raise ConfigError(
            f"`activation_checkpointing` is {names!r}; expected a list of names of the model's parts, such as"
            " ['backbone']"
        )
    for name in listed:
        try:
            part = model.get_submodule(name)
        except AttributeError:
            known = [key for key, _ in model.named_modules() if key and key.count(".") <= name.count(".")]
            has = ", ".join(f"`{key}`" for key in known[:8])
            raise ConfigError(
                f"`activation_checkpointing` has {name!r}, and the model has no such part"
                f"{did_you_mean(name, known) or f'; it has {has}'}"
            ) from None
        part.forward = _recomputed(part, part.forward)


def _recomputed(part: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        contexts = lambda: (nullcontext(), _without_statistics(part))  # noqa: E731
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)

    return recomputed


@contextmanager
def _without_statistics(part: nn.Module) -> Iterator[None]:
    """Batch norms have counted this batch already: they count it into a copy, as those of several GPUs must count."""
    counting = [norm for norm in part.modules() if isinstance(norm, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in counting]
    for norm, (_, batches) in zip(counting, before, strict=True):
        norm.momentum, norm.num_batches_tracked = 0.0, None if batches is None else batches.clone()
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(counting, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
