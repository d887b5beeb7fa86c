"""`python tools/train.py …` is `lsu-seg train …`, for people who expect a script here."""

import sys

from lsu_seg.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]], prog_name="lsu-seg")
