"""`python tools/pseudo_label.py …` is `lsu-seg pseudo-label …`, for people who expect a script here."""

import sys

from lsu_seg.cli import main

if __name__ == "__main__":
    main(["pseudo-label", *sys.argv[1:]], prog_name="lsu-seg")
