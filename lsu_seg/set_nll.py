"""The address of the set-valued loss on tensors that users import; it lives in `losses`."""

from lsu_seg.losses.set_nll import set_nll_loss, set_nll_map

__all__ = ["set_nll_loss", "set_nll_map"]
