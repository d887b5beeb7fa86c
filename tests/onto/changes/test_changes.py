"""`lsu-onto changes`: golden pairs in `tests/tax/changes`, and revisions of git.

`NAME.old.tax` is the version before, `NAME.new.tax` states at its end what broke. To add a case, add two files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers.tax import TAX, expected
from lsu_onto.changes.revisions import changes
from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped

NEW = sorted((TAX / "changes").glob("*.new.tax"))


def run(*args: str) -> Result:
    result = CliRunner().invoke(main, ["changes", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def old(new: Path) -> Path:
    return new.with_name(new.name.replace(".new.", ".old."))


@pytest.mark.parametrize("new", NEW, ids=lambda p: p.name.split(".")[0])
def test_pair_has_the_changes_it_expects_and_no_more(new: Path) -> None:
    found, texts = changes(str(new), str(old(new)))
    assert [(d.span.line, d.span.column, d.code) for d in found] == expected(new)
    assert all(d.second is None or d.second.file in texts for d in found)


@pytest.mark.parametrize("file", [*NEW, *map(old, NEW)], ids=lambda p: p.name)
def test_versions_have_no_errors_and_nothing_changed_since_themselves(file: Path) -> None:
    assert Library().check(file).errors == []
    assert changes(str(file), str(file))[0] == []


@pytest.mark.parametrize("file", sorted(shipped().rglob("*.tax")), ids=lambda p: p.stem)
def test_a_shipped_file_has_no_changes_since_itself(file: Path) -> None:
    assert changes(str(file), str(file))[0] == []


def test_messages() -> None:
    def messages(name: str) -> list[str]:
        return [d.message for d in changes(*(str(TAX / "changes" / f"{name}.{v}.tax") for v in ("new", "old")))[0]]

    assert messages("label") == [
        "raw value 9 is gone; it was `lost`",
        "raw values 250..252 are gone; they were `void`",
        "raw values 4..5 were `engine` and are `path`",
        "raw value 1 was `path` and is `engine`",
        "raw values 20..21 are new, as `engine`",
    ]
    assert messages("constraint") == [
        "`way` may now be `car`",
        "`verge` may no longer be `void`",
        "`engine` may now be `void`",
        "`lost` may no longer be `road` or `sidewalk`",
    ]
    assert messages("channel")[0] == "`sidewalk` moved from channel 1 to 0"


def test_many_chains_show_their_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("lsu_onto.progress.AFTER_S", -1.0)
    assert changes(str(TAX / "changes" / "chain.new.tax"), str(TAX / "changes" / "chain.old.tax"))[0]
    assert "chains 1/1, ETA 0 s" in capsys.readouterr().err


def test_exit_codes_and_summary(tmp_path: Path) -> None:
    new = str(TAX / "changes" / "constraint.new.tax")
    before = str(TAX / "changes" / "constraint.old.tax")
    result = run(new, "--against", before)
    assert result.exit_code == 1 and "breaking changes: 4 CONSTRAINT; `lsu-onto explain TAX903`" in result.stderr
    assert run(before, "--against", before).output == ""
    assert run(before, "--against", before).exit_code == 0
    assert json.loads(run(new, "--against", before, "--format", "json").stdout)["counts"]["error"] == 4
    for args in (["nowhere.tax", "--against", new], [new, "--against", "nowhere.tax"], [new]):
        assert run(*args).exit_code == 2
    bad = str(TAX / "bad" / "TAX201.tax")
    for args in ([bad, "--against", new], [new, "--against", bad]):
        result = run(*args)
        assert result.exit_code == 1 and "cannot be compared" in result.stderr and "TAX201" in result.stderr


@pytest.mark.parametrize("name", ["base", "bsae.tax"])
def test_a_file_that_is_not_there_may_be_another(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.tax").write_text("tax 1\n")
    for args in ((name, "--against", "base.tax"), ("base.tax", "--against", name)):
        result = run(*args)
        assert result.exit_code == 2 and f"there is no file `{name}`; did you mean `base.tax`?" in result.stderr
    assert run("quite/else", "--against", "git:HEAD").stderr.endswith("there is no file `quite/else`\n")


# --- git ---------------------------------------------------------------------------------------------------

SOURCE = "tax 1\nsource ground v1\n0  road\n1  grass\n"
DATASET = "tax 1\ndataset track v1 -> ground v1\n1  way    < road\n2  other  -> any\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    root = tmp_path / "repo"
    (root / "data sets").mkdir(parents=True)
    (root / "sources").mkdir()
    (root / "sources" / "ground.tax").write_text(SOURCE)
    (root / "data sets" / "track.tax").write_text(DATASET)
    git(root, "init", "-q")
    commit(root)
    return root


def git(root: Path, *args: str) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *who, *args], check=True, capture_output=True, env=env)


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")


def test_against_a_revision(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "data sets")
    args = ["track.tax", "--against", "git:HEAD", "--path", "../sources"]
    assert run(*args).exit_code == 0
    Path("track.tax").write_text(DATASET.replace("1  way", "3  way"))
    result = run(*args)
    assert result.exit_code == 1
    assert "--> track.tax:3:4" in result.stderr and "--> HEAD:data sets/track.tax:3:4" in result.stderr
    assert "   3 | 1  way    < road" in result.stderr  # the old line
    git(repository, "tag", "old")
    commit(repository)
    assert run(*args).exit_code == 0
    assert run("track.tax", "--against", "git:old", "--path", "../sources").exit_code == 1


def test_the_other_taxonomies_are_as_they_were(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    (repository / "sources" / "ground.tax").write_text(SOURCE + "2  mud\n")
    (found,), _ = changes("data sets/track.tax", "git:HEAD", ["sources"])
    assert (found.code, found.message) == ("TAX903", "`other` may now be `mud`")


def test_the_maps_that_a_dataset_inherits_are_its_own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    base = "tax 1\ndataset land v1\n1  way\n2  rest\n"
    to_ground = "tax 1\nmap land v1 -> ground v1\nway   < road\nrest  -> any\n"
    for name, text in (
        ("data sets/land.tax", base),
        ("data sets/fog.tax", "tax 1\ndataset fog v1\nextends land v1\n"),
        ("data sets/haze.tax", "tax 1\ndataset haze v1\nextends fog v1\n3  other\n"),
        ("maps/land.tax", to_ground),
        ("maps/haze.tax", "tax 1\nmap haze v1 -> ground v1\nother  < grass\n"),
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    commit(repository)

    def found(file: str) -> list[tuple[str, str, str]]:
        diagnostics, texts = changes(file, "git:HEAD", ["."])
        assert all(d.span.file in texts and (d.second is None or d.second.file in texts) for d in diagnostics)
        return [(d.code, d.message, d.span.file) for d in diagnostics]

    assert found("data sets/fog.tax") == []
    Path("maps/land.tax").write_text(to_ground.replace("< road", "~ road grass"))
    stale = ("TAX903", "`way` may now be `grass`", "maps/land.tax")
    assert found("data sets/fog.tax") == [stale]
    assert found("data sets/land.tax") == []  # its map is in a file of its own …
    assert found("maps/land.tax") == [stale]
    assert found("data sets/haze.tax") == []  # … and so is the map of this one,
    assert found("maps/haze.tax") == [stale]  # which inherits a row
    Path("maps/land.tax").unlink()
    ((code, message, _),) = found("data sets/fog.tax")
    assert (code, message) == ("TAX903", "the map from `fog v1` to `ground v1` is gone")
    Path("maps/land.tax").write_text(to_ground.replace("road", "raod"))
    assert [code for code, *_ in found("data sets/fog.tax")] == ["TAX201"]


def test_an_inherited_map_that_is_ambiguous_is_no_version(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    to_ground = "tax 1\nmap land v1 -> ground v1\nway   < road\nrest  -> any\n"
    Path("land.tax").write_text("tax 1\ndataset land v1\n1  way\n2  rest\n")
    Path("fog.tax").write_text("tax 1\ndataset fog v1\nextends land v1\n")
    for name in ("m1.tax", "m2.tax"):
        Path(name).write_text(to_ground)
    commit(repository)
    args = ("fog.tax", "--path", ".", "--against", "git:HEAD")
    assert run(*args).exit_code == 0
    Path("m2.tax").write_text(to_ground.replace("< road", "< grass"))
    what = "error[TAX110]: the map from `land v1` to `ground v1` is declared in `m1.tax`, `m2.tax`, differently"
    for command in (["changes", *args], ["validate", "fog.tax", "--path", "."], ["show", "fog.tax", "--path", "."]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1 and what in result.stderr, (command, result.output)
    commit(repository)
    Path("m2.tax").unlink()
    result = run(*args)
    assert result.exit_code == 1 and what in result.stderr and "--> HEAD:fog.tax:2:" in result.stderr


@pytest.mark.parametrize("name", ["acdc", "kitti"])
def test_a_shipped_dataset_that_extends_cityscapes_follows_its_maps(
    tmp_path: Path, name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    shutil.copytree(shipped(), "taxonomies")
    commit(repository)
    file = Path("taxonomies/urban/to_cityscapes/cityscapes.tax")
    text = file.read_text()
    changed = text.replace("= sky", "~ sky void")
    assert changed != text
    file.write_text(changed)
    (found,), _ = changes(f"taxonomies/urban/{name}.tax", "git:HEAD", ["taxonomies"])
    assert (found.code, found.message) == ("TAX903", "`sky` may now be `void`")


@pytest.mark.parametrize("revision", ["nothing", "--output=x", "", "HEAD:sources", "HEAD@{1 year ago}"])
def test_no_such_revision(repository: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    result = run("sources/ground.tax", "--against", f"git:{revision}")
    assert result.exit_code == 2 and f"there is no revision `{revision}`" in result.stderr
    assert sorted(p.name for p in repository.iterdir()) == [".git", "data sets", "sources"]


def test_what_git_refuses_is_passed_on(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    args = ("sources/ground.tax", "--against", "git:HEAD")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(*args).exit_code == 0
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # `docker run` with somebody else's checkout
    result = run(*args)
    assert result.exit_code == 2 and "git refuses the repository of `ground.tax`" in result.stderr
    assert "dubious ownership" in result.stderr and "git config --global --add safe.directory" in result.stderr
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    ask = ["git", "rev-parse", "HEAD:sources/ground.tax"]
    blob = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    result = run(*args)
    assert result.exit_code == 2 and "git cannot read `sources/ground.tax` at revision `HEAD`: " in result.stderr


def test_a_shallow_clone_says_how_to_fetch_more(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "sources" / "ground.tax").write_text(SOURCE + "2  mud\n")
    commit(repository)
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    result = run("sources/ground.tax", "--against", "git:HEAD~1")
    assert result.exit_code == 2 and "there is no revision `HEAD~1`; this clone is shallow" in result.stderr
    assert "`git fetch --unshallow`" in result.stderr and "`fetch-depth: 0`" in result.stderr
    git(Path.cwd(), "fetch", "-q", "--unshallow")
    assert run("sources/ground.tax", "--against", "git:HEAD~1").exit_code == 1
    git(Path.cwd(), "tag", "release_one")
    assert "did you mean `release_one`?" in run("sources/ground.tax", "--against", "git:relase_one").stderr


def test_a_file_that_is_new_and_a_folder_without_git(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (repository / "new.tax").write_text(SOURCE)
    result = run(str(repository / "new.tax"), "--against", "git:HEAD")
    assert result.exit_code == 2 and "`new.tax` is not in revision `HEAD`" in result.stderr
    git(repository, "mv", "sources/ground.tax", "earth.tax")
    result = run(str(repository / "earth.tax"), "--against", "git:HEAD")
    assert "where it was `sources/ground.tax`: write `git show HEAD:sources/ground.tax > old.tax`" in result.stderr
    (tmp_path / "loose.tax").write_text(SOURCE)
    result = run(str(tmp_path / "loose.tax"), "--against", "git:HEAD")
    assert result.exit_code == 2 and "not in a git repository" in result.stderr


def test_a_file_that_git_leaves_out_of_archives(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / ".gitattributes").write_text("ground.tax export-ignore\n")
    commit(repository)
    monkeypatch.chdir(repository)
    result = run("sources/ground.tax", "--against", "git:HEAD")
    assert result.exit_code == 2
    assert "`sources/ground.tax` is no file in revision `HEAD`, or a `.gitattributes` there leaves" in result.stderr


@pytest.mark.parametrize(
    ("asked", "printed", "said"),
    [
        ("--show-toplevel", "a\\0b", "a path with NUL"),
        ("--verify", "hello", "what `git rev-parse` printed is no hash (b'hello')"),
        ("--verify", "\\0\\377", "printed is no hash (b'\\x00\\xff')"),
        ("archive", "no tar", "what `git archive` printed is no archive"),
        ("archive", "\\037\\213\\010\\0\\0\\0\\0\\0", "what `git archive` printed is no archive"),  # a cut `.tar.gz`
    ],
)
def test_a_program_called_git_that_is_another(
    repository: Path, asked: str, printed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = repository.parent / "bin" / "git"
    script.parent.mkdir()
    real = shutil.which("git")
    script.write_text(f"""#!/bin/sh\ncase "$*" in *{asked}*) printf '{printed}';; *) exec {real} "$@";; esac\n""")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(repository)
    result = run("data sets/track.tax", "--against", "git:HEAD", "--path", "sources")
    assert result.exit_code == 2
    assert said in result.stderr and "is the program `git` on the PATH another one?" in result.stderr


def test_names_that_are_no_text(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = repository.with_name(os.fsdecode(b"caf\xe9"))
    repository.rename(odd)
    git(odd, "tag", os.fsdecode(b"v\xe9"))
    monkeypatch.chdir(odd)
    assert run("sources/ground.tax", "--against", "git:HEAD").exit_code == 0
    assert "there is no revision `v`" in run("sources/ground.tax", "--against", "git:v").stderr


def test_variables_of_git_do_not_hide_the_repository_of_a_file(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git sets some for its hooks, and takes the folder that it runs in for the root of the work tree then."""
    (repository / "ground.tax").write_text(SOURCE.replace("road", "street"))  # where `sources/ground.tax` is not
    commit(repository)
    monkeypatch.chdir(repository)
    args = ("sources/ground.tax", "--against", "git:HEAD")
    for name, value in (
        ("GIT_DIR", ".git"),
        ("GIT_DIR", str(repository / ".git")),
        ("GIT_DIR", "/nothing"),
        ("GIT_WORK_TREE", str(tmp_path)),
        ("GIT_OBJECT_DIRECTORY", "/nothing"),
        ("GIT_LITERAL_PATHSPECS", "1"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            result = run(*args)
        assert (result.exit_code, result.stderr) == (0, ""), (name, value)
    shutil.move(repository / ".git", tmp_path / "dot")  # as for files of a home folder
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "../dot")
    assert (run(*args).exit_code, run(*args).stderr) == (0, "")
    monkeypatch.setenv("GIT_WORK_TREE", "sources")
    result = run("ground.tax", *args[1:])
    assert result.exit_code == 2 and "is not in the work tree of its repository, `" in result.stderr
    assert "see `GIT_WORK_TREE`" in result.stderr
    monkeypatch.setenv("GIT_DIR", "/nothing")
    assert "nor is `GIT_DIR=/nothing` of use: not a git repository" in run(*args).stderr


def test_a_repository_that_git_takes_for_none(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    args = (str(repository / "sources" / "ground.tax"), "--against", "git:HEAD")
    git(repository, "config", "core.worktree", str(tmp_path / "repo" / "data sets"))
    assert "see `git config core.worktree`" in run(*args).stderr
    (repository / ".git" / "HEAD").write_text("")
    assert f"there is `{repository / '.git'}`, but git takes it for none" in run(*args).stderr
    shutil.rmtree(repository / ".git")
    (repository / ".git").write_text("gitdir: /nothing\n")
    assert "not in a git repository: git says: not a git repository: /nothing" in run(*args).stderr
