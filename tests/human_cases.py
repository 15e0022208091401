"""A small human evaluation: a test split, three systems' outputs on it, its kit, and annotators who rate it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
from fdistill.artifacts.files import write_parquet
from fdistill.config.schema import section
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.human.kit import make_key, write_kit
from fdistill.evaluation.human.ratings import Ratings

ASPECTS = section("human")["properties"]["aspects"]["default"]
TITLES = [aspect["title"] for aspect in ASPECTS]
# What a page or a spreadsheet might take for something else than text.
HOSTILE = ["</script><b>1</b>", "=1+1", "a\u2028b", "<!-- \u202e x", '"; alert(1)', "", "two\nlines", "&amp; `${x}`"]
SYSTEMS = ("seqkd", "js", "tvd")


def outputs():
    """Each system's outputs: of js, each third is that of seqkd, and of tvd, each fifth that of js."""
    seqkd = [f"{text} of the first" for text in HOSTILE]
    js = [text if i % 3 == 0 else f"{i} from another" for i, text in enumerate(seqkd)]
    tvd = [text if i % 5 == 0 else HOSTILE[i] for i, text in enumerate(js)]
    return dict(zip(SYSTEMS, (seqkd, js, tvd), strict=True))


def write_outputs(
    folder: Path, texts: dict[str, list[str]] | None = None, task: str = "colours"
) -> tuple[Path, dict[str, Path]]:
    """Write a test split and the outputs of systems on it; return their paths."""
    texts = outputs() if texts is None else texts
    n_inputs = len(next(iter(texts.values())))
    ids = [f"secret-id-{i}" for i in range(n_inputs)]
    sources = [f"input {i} {HOSTILE[i % len(HOSTILE)]}" for i in range(n_inputs)]
    split = {"id": ids, "group": ids, "source": sources, "references": [["a reference"]] * n_inputs}
    write_parquet(folder / "test.parquet", split, SPLIT, {"split_name": "test", "lineage": {"task": task}})
    paths = {}
    for system, hypotheses in texts.items():
        rows = {"id": ids, "hypothesis": hypotheses, "n_tokens": [1] * n_inputs, "finished": [True] * n_inputs}
        paths[system] = folder / f"{system}.parquet"
        write_parquet(paths[system], rows, GENERATIONS, {"lineage": {"task": task, "method": system}})
    return folder / "test.parquet", paths


def key_of(folder: Path, texts: dict[str, list[str]] | None = None, **settings) -> dict:
    """The key of the kit of all inputs."""
    test, generations = write_outputs(folder, texts)
    return make_key(
        test, generations, "colours", **{"inputs": 50, "scale": 5, "aspects": ASPECTS, "seed": 0} | settings
    )


def kit(folder: Path, key: dict | None = None) -> dict:
    """Write a kit to `folder`; its key."""
    key = key_of(folder / "outputs") if key is None else key
    write_kit(key, "Colours & shapes", kit_paths(folder), folder / "ratings")
    return key


def kit_paths(folder: Path) -> dict[str, Path]:
    return {"page": folder / "annotate.html", "csv": folder / "annotate.csv", "key": folder / "key.json"}


def rating(key: dict, item: str, k: int, annotator: int = 0) -> int:
    """A rating that depends on all of them."""
    number = [entry["item"] for entry in key["items"]].index(item)
    return 1 + (7 * number + 3 * k + number * annotator * k + annotator) % 5


def export(key: dict, annotator: str = "Ana", number: int = 0) -> dict:
    """What the page exports for an annotator who has rated everything."""
    items = [item["item"] for item in key["items"]]
    rated = {item: {title: rating(key, item, k, number) for k, title in enumerate(TITLES)} for item in items}
    return {"kit": key["kit"], "annotator": annotator, "ratings": rated}


def write_export(path: Path, content: dict) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def kit_rows(folder: Path) -> list[list[str]]:
    """The rows of the kit's CSV file, the header first."""
    return [*csv.reader(io.StringIO((folder / "annotate.csv").read_bytes().decode("utf-8-sig"), newline=""))]


def filled_csv(folder: Path, key: dict, number: int = 0) -> list[list[str]]:
    """The rows of the kit's CSV file, the header first, with an annotator's ratings."""
    header, *rows = kit_rows(folder)
    for row in rows:
        row[3:-1] = [str(rating(key, row[0], k, number)) for k in range(len(TITLES))]
    return [header, *rows]


def write_csv(path: Path, rows: list[list[str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(exist_ok=True)
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def rated(key, ratings_of):
    """Ratings in one aspect, by annotator: `ratings_of` maps (annotator, item) to a rating or NaN."""
    values = [[[ratings_of(a, item)] * len(key["aspects"]) for item in key["items"]] for a in range(2)]
    return Ratings(["Ana", "Björn"], np.array(values, dtype=float))
