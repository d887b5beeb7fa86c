"""Fixtures of the tests of commands."""

from __future__ import annotations

from functools import partial

import pytest


@pytest.fixture
def short_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audits rehearse eight maps."""
    from lsu_seg.audit import verdicts

    monkeypatch.setattr(verdicts, "Settings", partial(verdicts.Settings, maps=8))
