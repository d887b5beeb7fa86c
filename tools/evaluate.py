"""`python tools/evaluate.py …` is `lsu-seg evaluate …`, for people who expect a script here."""

import sys

from lsu_seg.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]], prog_name="lsu-seg")
