"""What a model has from others than its teacher and its task's data: outputs, labels, layers, all weights of another.

Their terms may restrict the use of the model, so that every model made from it says them too, in its manifest.
"""

from pathlib import Path

from fdistill.artifacts.files import check_shape, read_identity
from fdistill.artifacts.manifest import manifest_of

CONTRIBUTIONS = "contributions"  # in a manifest, or the identity of a Parquet file
LABELS, LAYERS = "labels", "layers"
OUTPUTS = "outputs"  # of a teacher from outside
WEIGHTS = "weights"  # all of a checkpoint, from which a student started
ENTRIES = [{"what": (LABELS, LAYERS, OUTPUTS, WEIGHTS), "name": str, "sha256": str}]


def contribution(what: str, name: str, sha256: str) -> dict[str, str]:
    """Return an entry; under CONTRIBUTIONS of a model or a file is a list of them."""
    return {"what": what, "name": name, "sha256": sha256}


def contributions(*paths: Path) -> list[dict[str, str]]:
    """Return the entries for what is made from models' folders and Parquet files: those of all of them, each once.

    Raises UserError for a file that cannot be read, or has entries of another form.
    """
    found: list[dict[str, str]] = []
    for path in paths:
        content = manifest_of(path) if path.is_dir() else read_identity(path)
        check_shape(path, content, {f"{CONTRIBUTIONS}?": ENTRIES})
        found += [entry for entry in content.get(CONTRIBUTIONS, []) if entry not in found]
    return found
