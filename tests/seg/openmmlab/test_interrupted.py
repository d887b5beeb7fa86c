"""Ctrl-C while mmengine is at work stays what it is, whatever mmengine makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from helpers.tiny import model_config
from lsu_seg.openmmlab.config import load_config
from lsu_seg.openmmlab.failures import named
from lsu_seg.openmmlab.runner import build_runner


@pytest.mark.parametrize("stop", ["KeyboardInterrupt", "SystemExit(3)"])
def test_while_a_config_is_read(tmp_path: Path, stop: str) -> None:
    (tmp_path / "a.py").write_text(f"try:\n    raise {stop}\nexcept:\n    raise SyntaxError('no') from None\n")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        load_config(tmp_path / "a.py")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), SyntaxError("no"), EOFError()])
def test_while_a_run_is_built(error: Exception) -> None:
    error.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), named(Config()):
        raise error


def test_while_a_config_is_laid_out_for_the_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine's own `except:` around yapf makes a SyntaxError of it; and it has opened the file by then."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", interrupted)
    monkeypatch.setattr("mmengine.config.config.FormatCode", interrupted, raising=False)
    cfg = Config(dict(model=model_config(), default_scope="mmseg", work_dir=str(tmp_path)), "#", "town.py")
    with pytest.raises(KeyboardInterrupt):
        build_runner(cfg)
    assert not list(tmp_path.glob("*.py")) and not list(tmp_path.glob(".*"))
