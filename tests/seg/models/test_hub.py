"""Teachers by their names on a hub, which is served here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from huggingface_hub import constants

from helpers.hf import built, folder
from helpers.hub import Hub, serve
from lsu_seg.cli import main
from lsu_seg.errors import TeacherError
from lsu_seg.models.hf_models import model_of, weight_files
from lsu_seg.models.hub import HubName, check_no_address, downloaded, pin

SAFE, PICKLED, ALIEN, GATED, EMPTY = (f"town/{name}" for name in ("safe", "pickled", "bert", "gated", "empty"))
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of a hub, each with files that nobody should download."""
    root = tmp_path_factory.mktemp("models")
    folder(root / SAFE)
    weights = dict(built(dict(type="HFSegmentor", hf=dict(pretrained=str(root / SAFE)))).net.state_dict())
    for other in (PICKLED, ALIEN, GATED, EMPTY):
        shutil.copytree(root / SAFE, root / other)
    for name in (SAFE, PICKLED):
        torch.save(weights, root / name / "pytorch_model.bin")
        (root / name / "training_args.bin").write_bytes(b"of a training")
        (root / name / "README.md").write_text("a card")
    for name in (PICKLED, EMPTY):
        (root / name / "model.safetensors").unlink()
    config = root / ALIEN / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": ["BertModel"]}))
    return root


@pytest.fixture
def hub(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub that this process knows. `huggingface_hub` reads the environment once, when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve(models) as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        yield hub


def label(park: Path, teacher: str, work: Path, *more: object) -> Result:
    data = [park / "tax/park.tax", "--data-root", park / "park", "--teacher", teacher]
    args = ["pseudo-label", *data, "-o", work / "out", "--work-dir", work / "log", *more]
    return CliRunner().invoke(main, [str(a) for a in args])


def test_a_teacher_is_downloaded_once_and_its_commit_is_kept(
    park: Path, models: Path, hub: Hub, tmp_path: Path
) -> None:
    first = label(park, SAFE, tmp_path)
    assert first.exit_code == 0, first.output
    pinned = f"{SAFE}@{hub.commits[SAFE]}"
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["teacher"] == pinned
    assert pinned in (tmp_path / "log/park.py").read_text()
    assert hub.downloads() == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert sum(line.endswith(f"{SAFE}/revision/main") for line in hub.requests) == 1, "what `main` is, is asked once"

    local = label(park, str(models / SAFE), tmp_path / "local")
    assert local.exit_code == 0, local.output
    labels = "out/labels/train/a.png"
    assert (tmp_path / labels).read_bytes() == (tmp_path / "local" / labels).read_bytes()
    same = json.loads((tmp_path / "local/out/manifest.json").read_text())
    assert same == {key: value for key, value in manifest.items() if key != "teacher"}

    hub.status, hub.requests = 500, []
    again = CliRunner().invoke(main, ["pseudo-label", str(tmp_path / "log/park.py")])  # the commit needs no look-up
    assert again.exit_code == 0, again.output
    assert not hub.requests


def test_weights_that_are_only_pickled_are_downloaded(models: Path, hub: Hub) -> None:
    segmentor = built(dict(type="HFSegmentor", hf=dict(pretrained=PICKLED)))
    assert hub.downloads() == {"config.json", "preprocessor_config.json", "pytorch_model.bin"}
    assert [file.name for file in segmentor.weight_files] == [
        "config.json",
        "preprocessor_config.json",
        "pytorch_model.bin",
    ]
    assert segmentor.origin == f"{PICKLED}@{hub.commits[PICKLED]}"
    one, other = (
        segmentor.state_dict(),
        built(dict(type="HFSegmentor", hf=dict(pretrained=str(models / SAFE)))).state_dict(),
    )
    assert all(torch.equal(one[key], other[key]) for key in other)


def test_files_that_are_not_loaded_are_no_part_of_a_folder(models: Path) -> None:
    assert [file.name for file in weight_files(models / SAFE)] == [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ]


def test_a_model_of_another_kind_is_refused_before_its_weights_are_downloaded(hub: Hub) -> None:
    with pytest.raises(TeacherError, match="found a model `BertModel`"):
        built(dict(type="HFSegmentor", hf=dict(pretrained=ALIEN)))
    assert hub.downloads() == {"config.json", "preprocessor_config.json"}
    with pytest.raises(TeacherError, match="found a model `BertModel`"):
        model_of(dict(pretrained=ALIEN))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("https://huggingface.co/nvidia/b5", "write `nvidia/b5`"),
        ("https://www.huggingface.co/nvidia/b5/tree/main?x=1", "write `nvidia/b5@main`"),
        ("huggingface.co/nvidia/b5/", "write `nvidia/b5`"),
        ("https://hf.co/nvidia/b5/resolve/v1/model.safetensors", "write `nvidia/b5@v1`"),
        ("hf://nvidia/b5@v1", "write `nvidia/b5@v1`"),
        ("hf://models/nvidia/b5", "write `nvidia/b5`"),
        ("nvidia/b5/", "write `nvidia/b5`"),
        ("nvidia/b5@", "write `nvidia/b5`"),
        ("https://huggingface.co/datasets/nvidia/b5", "is an address; download"),
        ("https://example.org/b5.pth", "is an address; download"),
    ],
)
def test_an_address_is_told_its_name(typed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TeacherError, match=re.escape(said)) as refused:
        check_no_address(typed)
    assert str(refused.value).startswith(f"`{typed}` is ")
    for name in ("nvidia/b5", "nvidia/b5@main", "~/nvidia/b5/", "/nvidia/b5/", "data/weights/b5/", "b5.pth", "b5"):
        check_no_address(name)
    (tmp_path / "nvidia/b5").mkdir(parents=True)
    check_no_address("nvidia/b5/")


def test_a_folder_of_that_name_is_preferred(models: Path, hub: Hub, tmp_path: Path) -> None:
    shutil.copytree(models / SAFE, tmp_path / SAFE)  # the current folder
    model = dict(type="HFSegmentor", hf=dict(pretrained=SAFE))
    pin(model)
    assert model["hf"] == dict(pretrained=SAFE)
    assert built(model).origin == ""
    assert not hub.requests


def test_a_cached_teacher_needs_no_network(
    park: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded(HubName(SAFE, "main"))
    for settings in ({"ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": True}):
        with monkeypatch.context() as patch:
            for key, value in settings.items():
                patch.setattr(constants, key, value)
            model = dict(hf=dict(pretrained=SAFE))
            pin(model)
            assert model["hf"]["pretrained"] == f"{SAFE}@{hub.commits[SAFE]}"


def test_a_model_without_weights_is_named(hub: Hub) -> None:
    with pytest.raises(TeacherError, match=f"`{EMPTY}` has no weights in the cache, .*neither as `model.safetensors`"):
        downloaded(HubName(EMPTY, None))


def test_a_teacher_that_the_hub_does_not_give(
    park: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(teacher: str) -> str:
        result = label(park, teacher, tmp_path, *(["--checkpoint", "c.pth"] if teacher == "a/b" else []))
        assert result.exit_code == 1, result.output
        assert not (tmp_path / "out").exists()
        assert "Traceback" not in result.output
        return result.output

    hub.gated.add(GATED)
    at = hub.endpoint
    assert f"there is no teacher `town/nothing` among the files here, and {at} has no model of this name" in refusal(
        "town/nothing"
    )
    assert f"{at} gives it only to those who have accepted its terms: accept them at {at}/{GATED}" in refusal(GATED)
    assert f"`{SAFE}` on {at} has no revision `v7`: write a branch" in refusal(f"{SAFE}@v7")
    assert "a model of a hub brings its own weights, so leave `--checkpoint` out" in refusal("a/b")
    hub.status = 503
    assert f"{at} answers with status 503: try again later" in refusal(SAFE)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached (ConnectError: " in refusal(SAFE)
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
        assert f"SSL_CERT_FILE={tmp_path / 'none.pem'} names certificates that are not there" in refusal(SAFE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refusal(SAFE)
    assert f"it is not, or not completely, in the cache {tmp_path / 'cache'}, and HF_HUB_OFFLINE forbids" in said
    assert f"`hf download {SAFE}`" in said

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", at)
    hub.status = 200
    monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    assert label(park, GATED, tmp_path).exit_code == 0


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        TeacherError, match=r"it cannot be kept in .*cache.*: set HF_HOME to a folder with enough space"
    ):
        downloaded(HubName(SAFE, None))


def test_the_environment_is_honoured(hub: Hub, tmp_path: Path) -> None:
    code = "import sys; from lsu_seg.models.hub import downloaded, hub_name; print(downloaded(hub_name(sys.argv[1])))"
    settings = {
        "HF_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": hub.endpoint,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "0",
    }

    def run(**changes: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **settings, **changes}
        return subprocess.run(
            [sys.executable, "-c", code, SAFE], env=environment, capture_output=True, text=True, check=False
        )

    offline = run(HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids" in offline.stderr
    assert not hub.requests
    online = run()
    assert online.returncode == 0, online.stderr
    assert Path(online.stdout.strip()).is_relative_to(tmp_path / "home/hub")
    assert "Fetching" in online.stderr  # the progress bar
