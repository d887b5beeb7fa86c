"""How many examples hypothesis tries: all of them in `make test-all`, and a share in `make test`."""

from hypothesis import settings


def examples(full: int) -> int:
    return max(10, full * settings().max_examples // 100)
