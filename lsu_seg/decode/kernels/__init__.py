"""The loops of the CPU decoder, compiled by numba. `lsu_seg/decode/cpu.py` calls them, `docs/decoding.md` explains.

`entry` has the function that Python calls, and `rows` decodes a label row in the steps of `sampling`, `evidence` and
`choices`. `lanes` has vectors of eight values, `records` the data types, and `jit` the compiler settings.
"""
