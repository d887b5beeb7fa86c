"""The program `lsu-onto`, which is `python -m lsu_onto` as well."""

from lsu_onto.start import start


def main() -> None:
    start("lsu_onto")


if __name__ == "__main__":
    main()
