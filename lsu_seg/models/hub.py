"""Models by their names on a Hugging Face hub: `owner/name` or `owner/name@revision`.

`huggingface_hub` downloads them, into its cache and with its settings: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lsu_onto import INSTALL
from lsu_seg.errors import TeacherError
from lsu_seg.runtime.home import at_home

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"

TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")
"""Files of a tokenizer, in which a folder of OneFormer or CLIPSeg has some."""

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name what connections are checked with; the error does not say which file is missing."""

_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-?????-of-?????.safetensors")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-?????-of-?????.bin")
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\S+))?", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf:/+|(?:git@|ssh://git@)hf\.co[:/]", re.ASCII
)
_REVISION = re.compile(r"/(?:tree|blob|resolve|commit)/([^/?#]+)")
_FILE = re.compile(r"\.(pth?|ckpt|bin|safetensors|py|json|ya?ml|tax)$")


class HubName(NamedTuple):
    """A model of a hub.

    Attributes:
        repository: `owner/name`.
        revision: a branch, a tag or a commit; None stands for the newest commit.
    """

    repository: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository


def hub_name(pretrained: str | Path) -> HubName | None:
    """The name of a model on a hub; None if this is a path. A file or folder that exists is always meant.

    >>> hub_name("facebook/mask2former-swin-large-cityscapes-semantic@main")
    HubName(repository='facebook/mask2former-swin-large-cityscapes-semantic', revision='main')
    >>> hub_name("weights/24_best.pth"), hub_name("data/weights/segformer"), hub_name("segformer")
    (None, None, None)
    """
    match = _NAME.fullmatch(str(pretrained))
    if match is None or _FILE.search(match[1]) or Path(pretrained).exists():
        return None
    return HubName(match[1], match[2])


def check_no_address(pretrained: str | Path) -> None:
    """Refuse the address of a model on a hub, and a name with too much at its end, and say what its name is.

    Raises:
        TeacherError: it is such an address, and nothing here is called so.
    """
    text = str(pretrained)
    rest = _ADDRESS.sub("", text.strip(), count=1) if _ADDRESS.match(text.strip()) else text.strip()
    at = _REVISION.search(rest)
    name, _, revision = rest[: at.start()].partition("@") if at else rest.partition("@")
    revision = at[1] if at else revision
    name = re.split(r"[?#]", name)[0].removeprefix("models/").strip("/").removesuffix(".git")
    meant = f"{name}@{revision}" if revision else name
    address = "://" in text
    if (meant == text and not address) or at_home(text).exists():
        return
    whole = _NAME.fullmatch(meant) and not _FILE.search(name) and not name.startswith(("datasets/", "spaces/"))
    if whole and text[:1] not in "/.~":
        raise TeacherError(f"`{text}` is no file or folder here; if it is a model of a hub, write `{meant}`")
    if address:
        raise TeacherError(f"`{text}` is an address; download what lies there, and pass the file or folder")


def pin(model: Any) -> None:
    """Write the commit behind its name into the config of an `HFSegmentor` of a hub.

    A run then means the same model to all of its processes, and when it is repeated.
    """
    hf = model.get("hf") if isinstance(model, dict) else None
    pretrained = hf.get("pretrained") if isinstance(hf, dict) else None
    name = hub_name(pretrained) if isinstance(pretrained, (str, Path)) else None
    if hf is not None and name is not None:
        hf["pretrained"] = str(pinned(name))


def pinned(name: HubName) -> HubName:
    """The name with the commit that its revision stands for now, or stood for when it was last downloaded.

    Raises:
        TeacherError: see `described`.
    """
    if name.revision and _COMMIT.fullmatch(name.revision):
        return name
    return HubName(name.repository, described(name).name)


def described(name: HubName) -> Path:
    """A folder in the cache with what describes the model: its config and its preprocessor. Its name is the commit.

    Raises:
        TeacherError: there is no such model or revision, it needs a token, or the hub cannot be reached.
    """
    return _download(name, (CONFIG, PROCESSOR))


def downloaded(name: HubName) -> Path:
    """A folder in the cache with the model. Of weights in several formats, only safetensors are downloaded.

    Raises:
        TeacherError: see `described`; or the hub has no weights of it, or only its config is in the cache.
    """
    for weights in (_SAFETENSORS, _PICKLED):
        folder = _download(name, (CONFIG, PROCESSOR, *TOKENIZER, *weights))
        if _any(folder, weights):
            return folder
    raise TeacherError(
        f"`{name}` has no weights in the cache, {folder}: either the hub cannot be reached (check the network and"
        f" HF_HUB_OFFLINE), or it has them neither as `{_SAFETENSORS[0]}` nor as `{_PICKLED[0]}`"
    )


def weights_in_folder(folder: Path) -> list[Path]:
    """The files that `transformers` loads weights from."""
    patterns = _SAFETENSORS if _any(folder, _SAFETENSORS) else _PICKLED
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _any(folder: Path, patterns: Sequence[str]) -> bool:
    return any(file for pattern in patterns for file in folder.glob(pattern))


def _download(name: HubName, patterns: Sequence[str]) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise TeacherError(
            f"`{name}` is no file or folder here; models of a Hugging Face hub need `huggingface_hub`, which is not"
            f" installed: {INSTALL.format('hf')}"
        ) from None
    try:
        return Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=list(patterns)))
    except Exception as e:  # those of its own, of the HTTP client, of the file system, and of whatever else it uses
        raise TeacherError(f"there is no teacher `{name}` among the files here, and {_why(name, e)}") from e


def _why(name: HubName, error: Exception) -> str:
    """What keeps the hub from giving the model, and what to do about it."""
    from huggingface_hub import constants, errors

    hub, repository = constants.ENDPOINT, name.repository
    token = "log in with `hf auth login`, or set HF_TOKEN to an access token of yours"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{hub} gives it only to those who have accepted its terms: accept them at {hub}/{repository} and {token}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{hub} has no model of this name, or it is private: check the name; if it is private, {token}"
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"`{repository}` on {hub} has no revision `{name.revision}`: write a branch, a tag or a whole commit after"
            " the `@`, or leave both out"
        )
    elsewhere = f"download it where there is a network, with `hf download {repository}`, and pass its folder"
    if isinstance(error, errors.LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return (
            f"it is not, or not completely, in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids"
            f" downloading it: unset HF_HUB_OFFLINE, or {elsewhere}"
        )
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    if isinstance(cause, errors.HfHubHTTPError):
        status = cause.response.status_code
        if status in (401, 403):
            return f"{hub} refuses it (status {status}): {token} that may read it"
        return f"{hub} answers with status {status}: try again later, or check HF_ENDPOINT"
    for variable in _CERTIFICATES:
        file = os.environ.get(variable)
        if file and not Path(file).exists():
            return f"the variable {variable}={file} names certificates that are not there: unset it, or mend its value"
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, (ConnectionError, TimeoutError)):
        cache = cause.filename or constants.HF_HUB_CACHE
        return f"it cannot be kept in {cache} ({cause.strerror}): set HF_HOME to a folder with enough space"
    what = next(iter(str(cause).strip().splitlines()), "")
    return (
        f"{hub} cannot be reached ({type(cause).__name__}{what and f': {what}'}): check the network and HF_ENDPOINT,"
        f" or {elsewhere}"
    )
