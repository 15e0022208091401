"""Small botocore wheels with made-up service models, and what the tests ask of their corpus."""

import gzip
import json
import zipfile
from pathlib import Path


def field_model(fields: dict[str, str], service_id: str = "Tiny Store") -> dict:
    """A service model with one structure, `CreateBoxRequest`, and these documented fields."""
    members = {name: {"shape": "Name", "documentation": text} for name, text in fields.items()}
    return {
        "metadata": {"serviceId": service_id},
        "operations": {},
        "shapes": {"CreateBoxRequest": {"type": "structure", "members": members}, "Name": {"type": "string"}},
    }


def write_wheel(folder: Path, models: dict[str, dict], packed: bool = True) -> dict[str, Path]:
    """Write service models, keyed by `service/version`, as a botocore wheel; its path by package name."""
    path = folder / "botocore-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for key, model in models.items():
            name, content = f"botocore/data/{key}/service-2.json", json.dumps(model).encode()
            wheel.writestr(name + ".gz" * packed, gzip.compress(content) if packed else content)
            wheel.writestr(f"botocore/data/{key}/paginators-1.json", b"{}")
    return {"botocore": path}


def everything(corpus) -> list:
    """The examples of all splits."""
    return [example for split in corpus.splits.values() for example in split]
