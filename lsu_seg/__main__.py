"""`python -m lsu_seg` is `lsu-seg`, and so is `torchrun -m lsu_seg`."""

from lsu_seg.cli import main

if __name__ == "__main__":
    main(prog_name="lsu-seg")
