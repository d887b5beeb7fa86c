"""The program `lsu-seg`, which is `python -m lsu_seg` as well, and so `torchrun -m lsu_seg`."""

try:
    from lsu_onto.start import start
except ModuleNotFoundError as error:
    if error.name == "lsu_onto":
        raise SystemExit("error: write `python -m lsu_seg`: the folder itself is no program") from None
    if error.name != "lsu_onto.start":
        raise
    import lsu_onto

    file = lsu_onto.__file__
    raise SystemExit(f"error: `{file}` was imported in the place of the package `lsu_onto`: rename it") from None


def main() -> None:
    start("lsu_seg")


if __name__ == "__main__":
    main()
