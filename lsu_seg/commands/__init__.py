"""The commands of `lsu-seg`, a file each: what they take, what they print, how they end. No logic.

Imports are inside the commands, so that `--help` starts fast.
"""
