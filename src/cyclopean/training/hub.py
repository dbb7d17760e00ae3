"""Upload a model to the Hugging Face Hub: its files as they are, and a card. Only what can be no program is sent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopean.errors import InputError
from cyclopean.io.files import REPOSITORY, shortened
from cyclopean.training import checkpoint, models
from cyclopean.training.licences import Permission, manifest, strictest
from cyclopean.training.model_cards import model_card

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
CARDS = (models.README, "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt")
NO_TOKEN = "a push needs a token of the Hub that may write; run `hf auth login`, or set HF_TOKEN."


@dataclass(frozen=True)
class Upload:
    """The files that a push sends, of `folder` by their names, and the card, generated where the folder has none."""

    folder: Path
    repository: str
    files: tuple[str, ...]
    card: str | None
    permits: Permission

    def sizes(self) -> list[tuple[str, int]]:
        """Return name and bytes of each file."""
        made = [(models.README, len(self.card.encode()))] if self.card is not None else []
        return [*((name, (self.folder / name).stat().st_size) for name in self.files), *made]


def prepared(folder: Path, repository: str) -> Upload:
    """Return what pushing the model in `folder` would send. Nothing is sent, and no host is contacted.

    Raises InputError for a name that is no repository's, for a folder that is not a whole model of cyclopean, and for
    one that holds anything but weights in safetensors, JSON, cards and pictures.
    """
    if not REPOSITORY.fullmatch(repository):
        raise InputError(f"{shortened(repository)!r} is not a Hub repository; they are named owner/name.")
    if not folder.is_dir():
        raise InputError(f"there is no model folder {shortened(folder)}; give a folder that training wrote.")
    if not (folder / models.CONFIG).is_file() and models.is_model(folder):
        raise InputError(f"{folder} is a training run, which holds several models; push {models.locate(folder)}.")
    config = models.config_of(folder)
    entries = sorted(folder.iterdir())
    for entry in entries:
        fits = entry.suffix in (".safetensors", ".json", *PICTURES) or entry.name in CARDS
        if entry.is_symlink() or not entry.is_file() or entry.name.startswith(".") or not fits:
            raise InputError(
                f"{entry} is not sent to the Hub: a model's folder holds safetensors, JSON, {models.README}, a licence "
                "and pictures, as files; move it elsewhere."
            )
    details = config.get("details")
    if details is not None and details not in models.bundled():
        raise InputError(f"{folder} takes its details from {shortened(details)}, which would stay here; push another.")
    checkpoint.load(folder)  # whole, finite, and what its config says
    names = tuple(entry.name for entry in entries)
    card = None if models.README in names else model_card(folder, repository)
    return Upload(folder, repository, names, card, strictest(manifest(folder)))


def found_token() -> str:
    """Return the token of this machine's user. Raises InputError if there is none."""
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise InputError(NO_TOKEN)
    return token


def send(upload: Upload, token: str, *, private: bool = False) -> str:
    """Send everything in one commit, to a repository that is made where it is missing; return its address.

    Raises InputError where the Hub rejects it or cannot be reached; then nothing of the commit is there.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    models.quiet_client()
    contents: list[tuple[str, Any]] = [(name, upload.folder / name) for name in upload.files]
    contents += [(models.README, upload.card.encode())] if upload.card is not None else []
    api = HfApi(token=token)
    try:
        api.create_repo(upload.repository, private=private, exist_ok=True)
        operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents]
        commit = api.create_commit(upload.repository, operations, commit_message="Upload a model of cyclopean")
    except Exception as error:  # of HTTP, TLS, proxies and disks, by several libraries
        why = shortened(" ".join(str(error).split()).replace(token, "..."), 120)
        raise InputError(
            f"{upload.repository} could not be pushed ({type(error).__name__}: {why}); check the name, the token's "
            "rights and the connection."
        ) from error
    return str(commit.repo_url)
