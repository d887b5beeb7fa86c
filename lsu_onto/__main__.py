"""`python -m lsu_onto` is `lsu-onto`."""

from lsu_onto.cli import main

if __name__ == "__main__":
    main(prog_name="lsu-onto")
