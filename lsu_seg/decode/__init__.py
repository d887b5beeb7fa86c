"""From teacher views and annotated rows to pseudo-labels. `reference` is the rule in plain torch."""

from lsu_seg.decode.reference import decode, decode_unconstrained
from lsu_seg.decode.views import Decoded, DecodeError, QueryView, View

__all__ = ["DecodeError", "Decoded", "QueryView", "View", "decode", "decode_unconstrained"]
