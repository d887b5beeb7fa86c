"""OpenCV ends the process where a variable of the environment is not what it expects; we say which one before."""

import pytest

from lsu_seg.errors import UserError
from lsu_seg.runtime.opencv import check_variables


def test_a_variable_that_opencv_cannot_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000000000")
    check_variables()
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "two")
    with pytest.raises(UserError, match="with OPENCV_FOR_THREADS_NUM=two in the environment"):
        check_variables()
