"""The program `lsu-onto`, which is `python -m lsu_onto` as well."""

try:
    from lsu_onto.start import start
except ModuleNotFoundError as error:
    if error.name != "lsu_onto":
        raise
    raise SystemExit("error: write `python -m lsu_onto`: the folder itself is no program") from None


def main() -> None:
    start("lsu_onto")


if __name__ == "__main__":
    main()
