"""The loops of the CPU decoder, compiled by numba. `lsu_seg/decode/cpu.py` prepares their arguments."""
