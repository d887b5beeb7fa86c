"""Train and judge across datasets whose classes disagree: the MMSegmentation side of the toolkit.

`import lsu_seg` makes our parts known to mmengine's registries and takes care of the stack's rough edges
(`compat`). It imports neither torch nor our own modules; those come with the first name that is looked up.
"""

import importlib.util

from lsu_onto import INSTALL

for _needed in ("mmengine", "mmseg", "torch"):
    if importlib.util.find_spec(_needed) is None:
        raise ImportError(
            f"lsu_seg needs `{_needed}`, which is not installed: {INSTALL.format('seg')} (lsu_onto works without it)"
        )

from . import compat  # noqa: E402

compat.install()  # before anything imports mmseg.models or loads a checkpoint

from . import registry as registry  # noqa: E402
