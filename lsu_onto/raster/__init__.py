"""Label images → the values that they store, to the bit: the one reader of `lsu_onto` and `lsu_seg` (needs Pillow)."""
