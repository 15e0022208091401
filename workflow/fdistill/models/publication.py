"""Publishing an exported model on the hub: what would be uploaded, and the upload."""

import glob
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, ModelCard, get_token
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from fdistill.artifacts.manifest import check_files, manifest_of
from fdistill.artifacts.records import MANIFEST
from fdistill.models.export import CARD, read_usage
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact


@dataclass(frozen=True)
class Upload:
    """The files of an exported model, by their paths in it with their sizes in bytes, and the repository for them.

    `left_out` are the paths of what else lies in the folder.
    """

    folder: Path
    repository: str
    private: bool
    files: dict[str, int]
    left_out: list[str]


def planned(folder: Path, repository: str, private: bool) -> Upload:
    """Return what would be uploaded: what rule `export` wrote, and nothing else that came into the folder since.

    Raises UserError for a folder that is no exported model, for one with damaged files, for a name that the hub does
    not allow, and for a model card whose header it would refuse.
    """
    read_usage(folder)
    manifest = manifest_of(folder)
    if not manifest:
        raise UserError(f"{folder}: has no {MANIFEST}, which says what was exported; export the model again")
    check_files(folder)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"--repository: {error}; give OWNER/NAME") from None
    if "/" not in repository:
        raise UserError(f"--repository: '{repository}' has no owner; give OWNER/NAME")
    try:
        ModelCard.load(folder / CARD, ignore_metadata_errors=False)
    except ValueError as error:
        raise UserError(f"{folder / CARD}: its header is not valid ({error}); export the model again") from None
    written = sorted([*manifest["files"], MANIFEST])
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    sizes = {name: (folder / name).stat().st_size for name in written}
    return Upload(folder, repository, private, sizes, sorted(found - set(written)))


def has_token() -> bool:
    """Whether the user has a token for the hub."""
    return bool(get_token())


def token() -> str:
    """Return the user's token for the hub. Raises UserError where there is none."""
    found = get_token()
    if not found:
        raise UserError(
            "there is no token for the hub; create one that may write, at https://huggingface.co/settings/tokens, and "
            "set HF_TOKEN or run `hf auth login`"
        )
    return found


def push(upload: Upload) -> str:
    """Create the repository if there is none, upload the files, and return the address of the commit.

    A repository that exists stays as private or public as it is. Raises UserError when that fails.
    """
    api = HfApi(token=token())
    try:
        api.create_repo(upload.repository, private=upload.private, exist_ok=True)
        done = api.upload_folder(
            repo_id=upload.repository,
            folder_path=upload.folder,
            allow_patterns=[glob.escape(name) for name in upload.files],
            commit_message="f-DISTILL export",
        )
    except (HTTPError, OSError) as error:  # what the hub answers, and what keeps it from being reached
        first = redact(str(error)).strip().splitlines()[0]
        raise UserError(
            f"{upload.repository}: the upload failed ({first}); check the network, and that the token may write there"
        ) from None
    return str(done.commit_url)
