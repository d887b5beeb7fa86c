"""Everything that means a user's mistake, for the commands: these become messages, all else is our bug."""

from lsu_onto import TaxonomyError
from lsu_seg.decode.views import DecodeError
from lsu_seg.demo.relabel import RelabelError
from lsu_seg.engine import ConfigError
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.label_files import LabelFileError
from lsu_seg.layout.pairs import DatasetError
from lsu_seg.openmmlab.compat import UntrustedCheckpointError
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.runtime.launch import LaunchError
from lsu_seg.targets.table import TargetError
from lsu_seg.teachers import TeacherError
from lsu_seg.training.checks import DisagreementError

USER_ERRORS = (
    ConfigError,
    DatasetError,
    DecodeError,
    DisagreementError,
    EvaluationError,
    LabelFileError,
    LaunchError,
    OutputError,
    RelabelError,
    TargetError,
    TaxonomyError,
    TeacherError,
    UntrustedCheckpointError,
)
