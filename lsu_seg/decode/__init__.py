"""From teacher views and annotated rows to pseudo-labels. `reference` is the rule in plain torch."""

from lsu_seg.decode.reference import Decoded, DecodeError, View, decode, decode_unconstrained

__all__ = ["DecodeError", "Decoded", "View", "decode", "decode_unconstrained"]
