"""The loops of the CPU decoder, compiled by numba. `lsu_seg/decode/cpu.py` calls them; `docs/decoding.md` explains.

`entry` has the function that Python calls, `rows` what is done for a label row, `sampling`, `evidence` and `choices` the
steps of that, `lanes` vectors of eight, `records` the names of what goes between them, and `jit` how they are compiled.
"""
