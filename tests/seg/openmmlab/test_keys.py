"""Which keys of a config are read, and what becomes of the others."""

from __future__ import annotations

import ast
import inspect
import re
import resource
from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config
from mmengine.runner import Runner, set_random_seed

from lsu_seg.errors import ConfigError
from lsu_seg.openmmlab.config import load_config
from lsu_seg.openmmlab.keys import SECTIONS, check_keys, find, read_keys
from lsu_seg.unify import students

RECIPES = sorted(Path(mmseg.__path__[0], ".mim/configs/segformer").glob("*.py"))[:5]


def config(folder: Path, text: str) -> Path:
    (folder / "config.py").write_text(text)
    return folder / "config.py"


def test_the_keys_that_mmengine_reads() -> None:
    """Contract: its Runner reads no key of the config that we would take for misspelt."""
    source = inspect.getsource(Runner)
    read = set(re.findall(r"(?<![\w.])(?:self\.)?cfg(?:\.get\(\s*|\[)'(\w+)'", source))
    assert {"model", "sync_bn", "compile"} <= read <= read_keys()
    assert set(re.findall(r"env_cfg\.get\('(\w+)'", source)) == set(SECTIONS["env_cfg"])
    assert set(SECTIONS["randomness"]) == set(inspect.signature(set_random_seed).parameters)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train_dataloder = dict(batch_size=1)", "`train_dataloder`; did you mean `train_dataloader`?"),
        ("modle = dict(type='X')", "`modle`; did you mean `model`?"),
        ("work_dirs = 'work'", "`work_dirs`; did you mean `work_dir`?"),
        ("param_schedulr = dict()", "`param_schedulr`; did you mean `param_scheduler`?"),
        ("unify = dict(studens=['raw'])", "`unify.studens`; did you mean `students`?"),
        ("env_cfg = dict(cudnn_benchmrk=True)", "`env_cfg.cudnn_benchmrk`; did you mean `cudnn_benchmark`?"),
        ("randomness = dict(x=1)", "`randomness.x`; it has seed, diff_rank_seed, deterministic"),
        ("unify = 3", "`unify` is 3; expected `dict(…)`"),
        ("unify = dict(extra={3: dict()})", "a set of `unify.extra` is called 3; expected a name"),
        ("unify = dict(evaluate={('a',): dict()})", "a set of `unify.evaluate` is called ('a',); expected a name"),
        ("unify = {3: 4}", "nothing reads the key `unify.3`; it has "),
        ("unify = dict(extra=['a'])", "`unify.extra` is ['a']; expected `dict(NAME=dict(…), …)`"),
    ],
)
def test_a_misspelt_key_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as refusal:
        load_config(config(tmp_path, text + "\n"))
    assert str(tmp_path / "config.py") in str(refusal.value)


def test_a_config_is_a_program_with_variables(tmp_path: Path) -> None:
    text = "crop_size = (8, 8)\nnum_classes = 3\nmodels = [dict(type='X')]\nmodel = models[0]\ntrain_pipeline = []\n"
    assert load_config(config(tmp_path, text)).model.type == "X"
    (tmp_path / "base.py").write_text("work_dirs = 'a'\n")
    inherits = config(tmp_path, "_base_ = 'base.py'\nwork_dir = _base_.work_dirs\n")
    assert load_config(inherits).work_dir == "a"


def test_every_key_of_unify_that_is_read_can_be_written(tmp_path: Path) -> None:
    read = set(students._DOUBT)  # read in a loop
    for file in Path(students.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Attribute(value=ast.Attribute(attr="unify"), attr=key) if key not in ("get", "to_dict"):
                    read.add(key)
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="unify"), attr="get"), args=[ast.Constant(str(key)), *_]
                ):
                    read.add(key)
                case ast.Compare(left=ast.Constant(str(key)), comparators=[ast.Attribute(attr="unify")]):
                    read.add(key)
    assert {"extra", "evaluate", "student_init", "refresh", "views", "threshold"} <= read
    assert read == set(SECTIONS["unify"])
    text = ", ".join(f"{key}=dict()" for key in sorted(read))
    assert set(load_config(config(tmp_path, f"unify = dict({text})\n")).unify) == read


def test_none_removes_an_inherited_unify_section(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("unify = dict(extra=dict())\n")
    assert "unify" not in load_config(config(tmp_path, "_base_ = 'base.py'\nunify = None\n"))
    assert "unify" not in load_config(config(tmp_path, "_base_ = 'base.py'\n"), options={"unify": None})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_mmsegmentation_have_no_misspelt_key(path: Path) -> None:
    check_keys(Config.fromfile(path))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("train_dataloder.batch_size", "has no key `train_dataloder`, and nothing reads one; did you mean"),
        ("zebra", "has no key `zebra`, and nothing reads one"),
        ("unify.studens", "`unify.studens`; did you mean `students`?"),
        ("data_root", "comes too late, the config's paths are made of it: write `--data-root …`"),
        ("stages.3.depth", "config.py: `stages` has 1 entries, and none is `3`; they are counted from 0"),
        ("stages.a", "`stages` has 1 entries, and none is `a`"),
        ("stages.0.depth.0", "config.py: `stages.0.depth` is 1, which has no keys"),
    ],
)
def test_what_set_refuses(tmp_path: Path, key: str, said: str) -> None:
    path = config(tmp_path, "data_root = 'data'\nstages = [dict(depth=1)]\n")
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_config(path, options={key: 1})


def test_the_part_of_a_config_that_is_most_like_what_was_built() -> None:
    """A part has got more keys since; another that has some of them is not meant."""
    members = [dict(type="TaxDataset", split="train"), dict(type="TaxDataset", split="train", weight="x")]
    built = dict(type="TaxDataset", split="train", weight="x", source="tiny")
    assert find({"dataset": {"datasets": members}}, built) == "dataset.datasets.1"
    assert find({"dataset": {"datasets": members}}, members[0]) == "dataset.datasets.0"


def test_set_changes_what_there_is_and_adds_what_is_read(tmp_path: Path) -> None:
    path = config(tmp_path, "stages = [dict(depth=1)]\n")
    cfg = load_config(path, options={"stages.0.depth": 2, "load_from": "a.pth", "unify.students": ["raw"]})
    assert (cfg.stages[0].depth, cfg.load_from, cfg.unify.students) == (2, "a.pth", ["raw"])


def test_set_changes_an_entry_of_a_list_of_anything(tmp_path: Path) -> None:
    path = config(tmp_path, "model = dict(mean=[1.0, 2.0], depths=((1, 2), (3, 4)), necks=[dict(a=1), dict(b=2)])\n")
    options = {"model.mean.1": 5, "model.depths.1.0": 9, "model.necks.1": None, "model.necks.0": {"c": 3}}
    model = load_config(path, options=options).model
    assert (model.mean, model.depths, model.necks) == ([1.0, 5], ((1, 2), (9, 4)), [dict(a=1, c=3), None])


@pytest.mark.parametrize("data_root", [None, "elsewhere"])
def test_a_variable_of_a_base_comes_too_late(tmp_path: Path, data_root: str | None) -> None:
    (tmp_path / "base.py").write_text("norm = dict(type='BN')\nmodel = dict(norm_cfg=norm)\n")
    path = config(tmp_path, "_base_ = 'base.py'\ndata_root = 'data'\n")
    with pytest.raises(ConfigError, match=r"`--set norm\.type=…` comes too late: .* into `model\.norm_cfg`"):
        load_config(path, data_root, {"norm.type": "GN"})


def test_a_base_of_the_package_is_named_where_it_lies(tmp_path: Path) -> None:
    """`_base_` is relative to the config's folder, and pages write it for one beside the package."""
    file = tmp_path / "a.py"
    file.write_text('_base_ = ["lsu_seg/configs/_base_/schedule_short.py"]\n')
    with pytest.raises(ConfigError, match=r"is relative to the folder of the config; write `(.*)`$") as refused:
        load_config(file)
    named = str(refused.value).split("`")[-2]
    file.write_text(f"_base_ = [{named!r}]\n")
    assert load_config(file).optim_wrapper
    nothing = "lsu_seg/configs/" + "nothing.py"  # in parts: it is no file that a text of ours names
    file.write_text(f"_base_ = [{nothing!r}]\n")
    with pytest.raises(ConfigError, match=rf"cannot be read: FileNotFoundError: .*/{nothing}"):
        load_config(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no keys; expected lines of `KEY: VALUE`"),
        ("- a\n", "it has no keys; expected lines of `KEY: VALUE`"),
        ("teachers: &a [*a]\n", "a part of it has itself as a part"),
    ],
)
def test_a_file_of_data_that_is_no_config(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"a.yaml cannot be read: {message}"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b: 1\n", "the key `a.b` is no name; write letters, digits and `_` alone"),
        ("'': 1\n", "the key `` is no name"),
        ("class: 1\n", "the key `class` is no name"),
        ("_delete_: true\n", "`_delete_` stands at the top, where it deletes nothing"),
        ("x: !!timestamp y\n", "a.yaml:1: `y` is a date to YAML"),
        ("model:\n  date: 2020-01-01\n", "a.yaml:2: `2020-01-01` is a date to YAML; write it in quotes"),
        (
            "a0: &a0 [1, 1]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(20)),
            "a.yaml: its anchors stand for more than 1,000,000 values",
        ),
    ],
)
def test_data_that_is_no_config_of_mmengines(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("assert 1 == 2\n", "AssertionError: in line 1, `assert 1 == 2`"),
        ("import torch\n\nclass Net(torch.nn.Module):\n    pass\n", r"RuntimeError: in line 3, `class Net\("),
        ("x = " + "-" * 9000 + "1\n", r"\w+Error: \S"),
    ],
)
def test_a_config_that_fails_without_a_word(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(ConfigError, match=f"a.py cannot be read: {message}"):
        load_config(tmp_path / "a.py")


def test_a_config_without_an_end_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("model = dict()\nmodel['neck'] = model\n")
    with pytest.raises(ConfigError, match=r"a.py cannot be read: a `_base_` leads back to its own file, or a part has"):
        load_config(tmp_path / "a.py")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.py|_base_ = 'b.py'", "b.py|_base_ = ['c.yaml']", "c.yaml|_base_: a.py"], "a.py -> .*b.py -> .*c.yaml -> "),
        (["a.yaml|_base_: a.yaml"], "a `_base_` leads back to its own file: .*a.yaml -> .*a.yaml$"),
        (["a.py|_base_ = 3"], "its `_base_` is 3; expected the name of a file, or a list"),
        (["a.py|_base_ = 'b.py'", "b.py|x = ("], r"SyntaxError: .*, in .*b\.py:1$"),
        (["a.py|_base_ = 'b.py'", "b.py|\nraise ValueError"], r"ValueError: without a word, in .*b\.py:2$"),
        (["a.py|_base_ = 'b.yaml'", "b.yaml|x: ["], r"ParserError: .*, in .*b\.yaml$"),
        (["a.py|x = (\n"], r"SyntaxError: '\(' was never closed \(line 1\)$"),
        (
            ["a.json|{'_base_': 'b.py', 'y': '{{ _base_.x }}'}", "b.py|x = 3"],
            r"; write `\{\{ _base_\.x \}\}` without quotes: the value brings its own",
        ),
        (
            ["a.py|_base_ = 'b.py'\ny = ['c/{{ _base_.x }}']", "b.py|x = 3"],
            r"`\{\{ _base_\.x \}\}` in `y\.0` is in quotes, or a part of a text, .*; in Python, `f'…\{_base_\.x\}…'`",
        ),
        (["a.yaml|_base_: b.py\ny: c/{{ _base_.x }}", "b.py|x = 3"], r"in `y` is in quotes, .* without quotes$"),
        (["a.py|_base_ = None"], "its `_base_` is None; expected the name of a file, or a list"),
        (["a.yaml|x: " + "1:" * 200 + "1.5"], "OverflowError: "),
        (["a.yaml|_base_: ~"], "its `_base_` is None; expected the name of a file, or a list"),
        (['a.yaml|_base_: "b\\0"'], r"its `_base_` is 'b\\x00'; expected the name of a file, or a list"),
        (["a.yaml|x: !!bool y"], "KeyError: 'y'$"),
        (["a.json|{'_base_': 'b.py', 'y': {{ _base_.z }}}", "b.py|x = 3"], "KeyError: 'z'$"),  # which has no quotes
    ],
)
def test_a_mistake_in_what_a_config_inherits(tmp_path: Path, files: list[str], message: str) -> None:
    for file in files:
        name, _, text = file.partition("|")
        (tmp_path / name).write_text(text.replace("'", '"') if name.endswith("json") else text)
    with pytest.raises(ConfigError, match=f"(?s)cannot be read: .*{message}"):
        load_config(tmp_path / files[0].partition("|")[0])


def test_a_limit_on_files_is_said_of_mmengines_copy(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n" * 100)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ConfigError, match=r"copies configs to .* no file of that size; see `ulimit -f`"):
            load_config(tmp_path / "a.py")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
