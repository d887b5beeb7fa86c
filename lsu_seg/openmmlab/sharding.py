"""Training with weights, gradients and the optimizer's state shared out over the ranks: `strategy` of a config (FSDP).

mmengine has this in another runner, on torch's first FSDP, which lays weights out anew and saves a file per rank. Here
it is torch's second (`fully_shard`), in which weights keep names and shapes. A checkpoint is the one that any other
training writes: it loads on one GPU, and a training goes on from it with more ranks, or fewer, or without sharding.
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast, get_world_size, is_main_process
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import hooks_of, is_type
from lsu_seg.openmmlab.weights import local

_LEAST_PART = 0.01
"""Share of the model's weights from which on a block is gathered by itself: many small messages take longer."""
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
"""They are never called, and what is called is what torch gathers the weights for. Nor are MMSegmentation's heads, of
which a model may have a list: it calls their `loss` and `predict`."""


def is_sharded(cfg: Config) -> bool:
    """Whether a config asks for it, as mmengine's own do."""
    return is_type(cfg.get("strategy"), "FSDPStrategy")


def check_sharding(cfg: Config) -> None:
    """Refuse another `strategy` or `runner_type` than FSDP's, and what FSDP cannot do here.

    Raises:
        ConfigError: as said.
    """
    runner = cfg.get("runner_type") or "Runner"
    strategy = cfg.get("strategy")
    if not strategy and runner == "Runner":
        return
    if not is_sharded(cfg):
        key = "strategy" if strategy else "runner_type"
        raise ConfigError(
            f"`{key}` is {cfg[key]!r}, and mmengine's Runner trains here, which has none of the FlexibleRunner's"
            " strategies: leave it out, or write `strategy = dict(type='FSDPStrategy')` to share the model out over the"
            " GPUs; `--precision bf16` and `activation_checkpointing = ['backbone']` save memory, too"
        )
    if runner not in ("Runner", "FlexibleRunner"):
        raise ConfigError(f"`runner_type` is {runner!r}; leave it out")
    with_it = "`strategy` is FSDP, and "
    if more := [key for key in strategy if key != "type"]:
        raise ConfigError(
            f"{with_it}has {', '.join(f'`{key}`' for key in more)}, which is of torch's first FSDP, and here its second"
            " shards: write `strategy = dict(type='FSDPStrategy')`; to recompute activations, write"
            " `activation_checkpointing = ['backbone']`"
        )
    if cfg.get("launcher", "none") == "none":
        raise ConfigError(
            f"{with_it}one process trains, so there is nothing to share out: start one for each GPU, with"
            " `torchrun --nproc-per-node=8 -m lsu_seg train … --launcher pytorch`, or leave `strategy` out"
        )
    if cfg.get("model_wrapper_cfg"):
        raise ConfigError(
            f"{with_it}`model_wrapper_cfg` says otherwise how the model is wrapped: leave one of them out"
        )
    if cfg.get("compile"):
        raise ConfigError(f"{with_it}`compile` has not been made to work with it: leave one of them out")
    if any(is_type(hook, "TeacherRefreshHook") for hook in hooks_of(cfg)):
        raise ConfigError(
            f"{with_it}a TeacherRefreshHook labels with a whole model on each rank: leave one of them out"
        )
    from torch.distributed import fsdp  # slow

    if not hasattr(getattr(fsdp, "FSDPModule", None), "set_reshard_after_forward"):
        raise ConfigError(f"{with_it}torch {torch.__version__} is too old for it; expected 2.8 or newer")


class Sharding:
    """The sharing out of one training's model, and what its checkpoints need.

    Args:
        average: whether an EMAHook copies the model, which torch does not do once it is sharded.
    """

    def __init__(self, average: bool) -> None:
        self._average = average
        self._gathering = False
        """Whether `state_dict` has whole weights now. Else it has the rank's own parts, as torch has it."""

    def shard(self, model: nn.Module) -> str:
        """Give each rank its part of every weight of a model, which is on its device. The first rank's values count.

        Returns:
            A line for the log.
        """
        _check_weights(model)
        if initialise := getattr(model, "init_weights", None):
            initialise()  # not later, as mmengine does: it writes into whole weights
        for weight in model.state_dict().values():
            broadcast(weight)
        if self._average:
            copied = copy.deepcopy(model)
            self._shard(copied)
            vars(model)["__deepcopy__"] = lambda memo: copied
        weights = sum(weight.numel() for weight in model.parameters())
        blocks = self._shard(model)
        own = sum(local(weight).numel() for weight in model.parameters())
        return (
            f"FSDP: this one of {get_world_size()} ranks keeps {own:,} of {weights:,} weights, and gathers {blocks}"
            " blocks of them one by one"
        )

    def _shard(self, model: nn.Module) -> int:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(next(model.parameters()).device.type, (get_world_size(),))
        frozen = {weight for weight in model.parameters() if not weight.ndim}
        blocks = _blocks(model)
        for part in (*blocks, model):
            part.register_forward_hook(_own_memory)
            fully_shard(part, mesh=mesh, ignored_params=frozen)
        model.register_state_dict_post_hook(functools.partial(self._gather))  # it is given an attribute
        model.register_load_state_dict_pre_hook(self._scatter)
        return len(blocks)

    def shard_optimizer(self, wrapper: OptimWrapper) -> None:
        """Have the optimizer of a sharded model save and load whole states, and log the norm of whole gradients."""
        for one in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
            one.optimizer.register_state_dict_post_hook(self._gather_moments)
            one.optimizer.register_load_state_dict_pre_hook(self._scatter_moments)
            if clip := getattr(one, "clip_func", None):
                one.clip_func = functools.partial(_clip, clip)

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Have `state_dict` of model and optimizer be that of a training without sharding, for the first rank alone.

        All ranks must ask for the same ones, in the same order. The others get zeros that take no memory: eight
        of them on one machine would otherwise need its memory eight times.
        """
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False

    def _gather(self, module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
        if self._gathering:
            for key in [key for key in state if key.startswith(prefix)]:
                state[key] = _whole(state[key])

    def _scatter(self, module: nn.Module, state: dict[str, Any], prefix: str, *others: Any) -> None:
        for name, own in module.named_parameters(remove_duplicate=False):
            if (key := prefix + name) in state:
                state[key] = _part(state[key], own)

    def _gather_moments(self, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any] | None:
        if not self._gathering:
            return None
        whole = {key: {name: _whole(value) for name, value in each.items()} for key, each in state["state"].items()}
        return {**state, "state": whole}

    def _scatter_moments(self, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(state["param_groups"], optimizer.param_groups, strict=False)
        own = {key: weight for kept, now in pairs for key, weight in zip(kept["params"], now["params"], strict=False)}
        parts = {
            key: {name: _part(value, own.get(key)) for name, value in each.items()}
            for key, each in state["state"].items()
        }
        return {**state, "state": parts}


def _check_weights(model: nn.Module) -> None:
    scalars = [name for name, weight in model.named_parameters() if weight.requires_grad and not weight.ndim]
    if scalars:
        raise ConfigError(
            f"`strategy` is FSDP, and `{scalars[0]}` of the model is a single number, which torch cannot share out:"
            " make it a tensor of one number, or freeze it (`requires_grad_(False)`), or leave `strategy` out"
        )


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Repeated parts that are worth a message of their own, inner ones first; the rest is gathered with the model."""
    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    least = _LEAST_PART * sum(weight.numel() for weight in model.parameters())
    blocks, taken = [], set[int]()
    for module in reversed([*model.modules()]):  # the inner ones stand behind those that contain them
        if not isinstance(module, (nn.ModuleList, nn.Sequential)):
            continue
        for block in module.children():
            own = {id(weight): weight for weight in block.parameters() if id(weight) not in taken}
            size = sum(weight.numel() for weight in own.values())
            shared = any(uses[key] > 1 for key in own)
            called = not isinstance(block, _CONTAINERS) and not hasattr(block, "loss")
            if size >= least and not shared and called and any(block.children()):
                blocks.append(block)
                taken |= own.keys()
    return blocks


def _own_memory(block: nn.Module, arguments: Any, output: Any) -> Any:
    """Where a block returns a view, and `x += y` follows, torch would not gather its weights for the backward pass."""
    return tree_map(lambda part: part.clone() if isinstance(part, Tensor) and part._is_view() else part, output)


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Have all weights on all ranks as long as this is open: each may then predict what it likes, or nothing.

    Sharded, a forward pass waits for all ranks, and images of other sizes take other numbers of passes. All ranks
    must come here. Nothing, if the model is not sharded.
    """
    gather(model)
    try:
        yield
    finally:
        release(model)


def gather(model: nn.Module) -> None:
    """The first half of `whole`."""
    for part in _sharded_parts(model):
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()


def release(model: nn.Module) -> None:
    """The second half of `whole`."""
    parts = _sharded_parts(model)
    for part in parts:
        part.reshard()
        part.set_reshard_after_forward(part is not parts[0], recurse=False)


def _sharded_parts(model: nn.Module) -> list[Any]:
    return [part for part in model.modules() if hasattr(part, "unshard") and hasattr(part, "reshard")]


def _whole(value: Any) -> Any:
    from torch.distributed.tensor import DTensor

    if not isinstance(value, DTensor):
        return value
    full = value.full_tensor().detach()
    return full.cpu() if is_main_process() else torch.zeros((), dtype=full.dtype).expand(full.shape)


def _part(value: Any, own: Any) -> Any:
    """The rank's part of a whole tensor, as its own weight is one. Of another shape: whoever loads it says so."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    plain = isinstance(value, Tensor) and not isinstance(value, DTensor)
    if not plain or not isinstance(own, DTensor) or value.shape != own.shape:
        return value
    there = value.to(own.device_mesh.device_type)
    return distribute_tensor(there, own.device_mesh, own.placements, src_data_rank=None)


def _clip(clip: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    norm = clip(*args, **kwargs)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
