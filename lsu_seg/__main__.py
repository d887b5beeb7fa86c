"""The program `lsu-seg`, which is `python -m lsu_seg` as well, and so `torchrun -m lsu_seg`."""

from lsu_onto.start import start


def main() -> None:
    start("lsu_seg")


if __name__ == "__main__":
    main()
