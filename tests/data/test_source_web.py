"""Published data sets in files on the web, in their real formats, from a server on this machine."""

import http.server
import io
import json
import logging
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from fdistill.data.sources import source_module
from fdistill.data.sources.dialogue import TURN_SEPARATOR
from fdistill.data.sources.published import shakespeare
from fdistill.data.sources.published.web import WebFiles, download
from fdistill.runtime.errors import UserError
from published_files import only_from, pairs


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A server: `files` maps paths to contents, `sends` paths to how many bytes of the content are sent."""
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.requested.append(self.path)
            content = server.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: server.sends.get(self.path)])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.sends, server.requested = {}, {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def serve(web, monkeypatch):
    """A function that serves a kind's nth place on the web from the server, and makes it the only place."""

    def put(kind, *contents, n=0):
        place = [place for place in source_module(kind).DATASET.places if isinstance(place, WebFiles)][n]
        assert len(place.urls) == len(contents)
        names = [f"/{Path(url).name}" for url in place.urls]
        web.files |= {
            name: content if isinstance(content, bytes) else json.dumps(content).encode()
            for name, content in zip(names, contents, strict=True)
        }
        return only_from(monkeypatch, kind, replace(place, urls=tuple(f"{web.url}{name}" for name in names)))

    return put


def tar(files):
    """A compressed archive of these texts or bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def refusal(module):
    with pytest.raises(UserError) as error:
        module.load({}, {})
    return str(error.value)


# ---- downloads


def test_a_file_is_downloaded_once_and_keeps_its_name(web, tmp_path):
    web.files["/data/a.json"] = b"{}"
    paths = {download(f"{web.url}/data/a.json") for _ in range(2)}
    assert [path.read_bytes() for path in paths] == [b"{}"] and web.requested == ["/data/a.json"]
    assert paths.pop().relative_to(tmp_path / "cache") == Path(web.url.removeprefix("http://"), "data/a.json")


def test_a_missing_file_is_named_and_nothing_is_kept(web, tmp_path):
    with pytest.raises(UserError, match=rf"{web.url}/none\.json: cannot be downloaded \(404 .*copy the file to /"):
        download(f"{web.url}/none.json")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_connection_that_breaks_leaves_nothing_behind(web, tmp_path):
    web.files["/a.tar.gz"], web.sends["/a.tar.gz"] = b"x" * 5000, 3000
    with pytest.raises(UserError, match=r"a\.tar\.gz: cannot be downloaded \(.*3000 bytes read"):
        download(f"{web.url}/a.tar.gz")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    web.sends.clear()
    assert download(f"{web.url}/a.tar.gz").read_bytes() == b"x" * 5000


def test_no_server_is_one_error(web):
    web.shutdown()
    web.server_close()
    with pytest.raises(UserError, match=rf"{web.url}/a: cannot be downloaded"):
        download(f"{web.url}/a")


# ---- DART and Commonsense Dialogue: a file per split

ENTRY = {
    "tripleset": [["Mars Hill", "JOINED", "1973"]],
    "subtree_was_extended": False,
    "annotations": [{"source": "WikiTableQuestions_mturk", "text": "It joined."}],
}
XML = """<?xml version="1.0" encoding="UTF-8"?>
<benchmark><entries><entry category="MISC" eid="Id1" size="1">
<modifiedtripleset><mtriple>Mars Hill | JOINED | 1973</mtriple></modifiedtripleset>
<lex comment="WikiTableQuestions_mturk" lid="Id1">It joined.</lex></entry></entries></benchmark>"""


@pytest.mark.parametrize(("n", "test"), [(0, [ENTRY]), (1, XML.encode())])
def test_dart_from_its_repository(serve, n, test):
    corpus = serve("dart", [ENTRY, ENTRY], [ENTRY], test, n=n).load({}, {})
    assert [len(corpus.splits[split]) for split in corpus.splits] == [2, 1, 1]
    assert pairs(corpus, "test") == pairs(corpus, "dev") == [("Mars Hill : joined : 1973", "It joined.")]
    origin = corpus.origins[0]
    assert (origin["package"], origin["licence"]) == ("dart-v1.1.1-full-train.json", "MIT")
    assert origin["url"].startswith("http://") and len(origin["sha256"]) == 64


def test_commonsense_dialogues_from_its_repository(serve):
    dialogue = {"context": "They met.", "speaker": "Sydney", "turns": ["I met her.", "And?"]}
    corpus = serve("commonsense_dialogues", *[{"0": dialogue}] * 3).load({}, {})
    assert pairs(corpus, "dev") == [
        (f"They met.{TURN_SEPARATOR}", "I met her."),
        (f"They met.{TURN_SEPARATOR}I met her.{TURN_SEPARATOR}", "And?"),
    ]


def test_a_damaged_download_is_named_with_the_remedy(serve, tmp_path):
    message = refusal(serve("dart", [ENTRY], json.dumps([ENTRY]).encode()[:-9], [ENTRY]))
    (path,) = tmp_path.rglob("*full-dev.json")
    assert f"{path}: not valid JSON" in message and "The file was downloaded: delete it and run again" in message


# ---- XSum: an archive of articles with a list of splits, or of line pairs

ARTICLE = """[SN]URL[SN]
http://web.archive.org/web/2016/http://www.bbc.co.uk/news/{id}

[SN]TITLE[SN]
A title

[SN]FIRST-SENTENCE[SN]

Summary {id}.

[SN]RESTBODY[SN]
Share this with
First line.

Copy this link
Last line of {id}.
"""
SPLITS = {"train": ["3", "1"], "validation": ["2"], "test": ["4"]}


def articles(ids, text=ARTICLE):
    return {f"bbc-summary-data/{id}.summary": text.format(id=id) for id in ids}


def test_xsum_from_its_authors_archive(serve):
    corpus = serve("xsum", tar(articles("12345")), SPLITS).load({}, {})
    assert pairs(corpus, "train") == [(f"First line. Last line of {id}.", f"Summary {id}.") for id in "31"]
    assert [pairs(corpus, split)[0][1] for split in ("dev", "test")] == ["Summary 2.", "Summary 4."]


@pytest.mark.parametrize(
    ("content", "splits", "message"),
    [
        (articles("123"), SPLITS, "lacks 1 of the 4 articles of XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json (one is 4."),
        (articles("1234", "[SN]URL[SN]\nx"), SPLITS, "3.summary: no 'document' (found: URL)"),
        (articles("1234"), {"train": []}, "90-5-5.json: has ids of train, not of train, validation and test; del"),
    ],
)
def test_xsum_names_what_its_archive_lacks(serve, content, splits, message):
    assert message in refusal(serve("xsum", tar(content), splits))


def test_an_article_that_is_not_utf_8_is_named_with_the_remedy(serve):
    damaged = {"bbc-summary-data/3.summary": ARTICLE.format(id=3).encode() + b"\xff"}
    message = refusal(serve("xsum", tar(articles("124") | damaged), SPLITS))
    assert "3.summary: not UTF-8 text" in message and "The file was downloaded: delete it and run again" in message


PAIRS = {
    f"xsum/{split}.{side}": f"{side} {split} 1\n{side} {split} 2 \n"
    for split in ("train", "val", "test")
    for side in ("source", "target")
}


@pytest.mark.parametrize("kind", ["xsum", "wmt16"])
def test_archives_of_line_pairs(serve, kind, caplog):
    module = serve(kind, tar(PAIRS | {"xsum/README": "about"}), n=1 if kind == "xsum" else 0)
    with caplog.at_level(logging.WARNING):
        corpus = module.load({}, {})
    assert pairs(corpus, "dev") == [("source val 1", "target val 1"), ("source val 2", "target val 2")]
    noted = "preprocessed for other systems"
    assert (noted in corpus.origins[0].get("note", "")) == (noted in caplog.text) == (kind == "wmt16")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xsum/val.target": None}, "lacks dev.target: not the expected archive; delete it"),
        ({"xsum/val.target": "one\n"}, "dev.source has 2 lines and "),
        ({"xsum/val.target": "one\n\ntwo\n"}, "line 3 of "),
    ],
)
def test_archives_of_line_pairs_name_what_they_lack(serve, changes, message):
    files = {name: text for name, text in (PAIRS | changes).items() if text is not None}
    assert message in refusal(serve("xsum", tar(files), n=1))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_half_downloaded_archive_is_named_with_the_remedy(serve, tmp_path, share):
    """Whether the cache has half of it, copied by hand, or the server itself."""
    whole = tar(PAIRS)
    message = refusal(serve("wmt16", whole[: int(share * len(whole))]))
    (path,) = tmp_path.rglob("wmt_en_ro.tar.gz")
    assert f"{path}: damaged archive (" in message and "delete it and run again" in message


# ---- Calderon et al.'s data sets


def test_squad_from_its_authors_site(serve):
    def articles(count):
        qas = [{"id": "5", "question": "When?", "answers": [{"answer_start": 0, "text": "1781"}]}]
        paragraphs = [{"context": "It opened in 1781.", "qas": qas}]
        return {"version": "1.1", "data": [{"title": f"A{n}", "paragraphs": paragraphs} for n in range(count)]}

    corpus = serve("squad_questions", articles(4), articles(3)).load({}, {"dev_size": 1})
    assert [len(corpus.splits[split]) for split in ("train", "dev", "test")] == [4, 1, 2]
    assert pairs(corpus, "dev") == [("It opened in 1781.; answer: 1781", "When?")]
    assert [origin["package"] for origin in corpus.origins] == ["train-v1.1.json", "dev-v1.1.json"]


ANLG = {
    f"anlg/{split}-w-comet-preds.jsonl": json.dumps(
        {"obs1": f"{split} 1", "obs2": "2", "hyp1": "x", "hyp2": "café", "label": "2", "comet_preds": {}}
    )
    + "\r\n\n"
    for split in ("train", "dev", "test")
}


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_art_from_its_authors_archive(serve):
    resource_forks = {"__MACOSX/anlg/._train-w-comet-preds.jsonl": b"\0\5\x16\7", "anlg/README.md": "about"}
    corpus = serve("art", zipped(resource_forks | ANLG)).load({}, {})
    assert [pairs(corpus, split) for split in ("train", "test")] == [
        [("train 1; outcome: 2", "café")],
        [("test 1; outcome: 2", "café")],
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dev", None, "lacks dev-w-comet-preds.jsonl: not the expected archive; delete it and run again"),
        ("dev", b"{}\n{", "dev-w-comet-preds.jsonl, line 2: not valid JSON"),
        ("test", b"\xff", "test-w-comet-preds.jsonl, line 1: not UTF-8 text"),
    ],
)
def test_art_names_what_its_archive_lacks(serve, name, content, message):
    files = ANLG | {f"anlg/{name}-w-comet-preds.jsonl": content}
    files = {name: text for name, text in files.items() if text is not None}
    refused = refusal(serve("art", zipped(files)))
    assert message in refused and "delete it and run again" in refused


def plays(**changes):
    """The files of all plays, in order, each with a blank first line, as published, and a sentence that names it."""
    contents = {f"{play}_{side}": f"\n {side} of  {play} \n" for play in PLAY_NAMES for side in ("original", "modern")}
    return [content if isinstance(content, bytes) else content.encode() for content in (contents | changes).values()]


PLAY_NAMES = (*shakespeare.PLAYS, shakespeare.DEV, shakespeare.TEST)


def test_shakespeare_from_the_authors_repository(serve):
    corpus = serve("shakespeare", *plays()).load({}, {})
    assert [len(corpus.splits[split]) for split in ("train", "dev", "test")] == [15, 1, 1]
    assert pairs(corpus, "dev") == [("original of twelfthnight", "modern of twelfthnight")]
    assert pairs(corpus, "test") == [("original of romeojuliet", "modern of romeojuliet")]
    assert [example.group for example in corpus.splits["train"]] == list(shakespeare.PLAYS)


def test_lines_of_windows_and_quotation_marks_are_text(serve):
    changes = {"hamlet_original": 'A "piece\tof him.\r\n', "hamlet_modern": '"What?" he’s\r\n'}
    corpus = serve("shakespeare", *plays(**changes)).load({}, {})
    assert ('A "piece of him.', '"What?" he’s') in pairs(corpus, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lear_modern": "one\n"}, "lear_original.snt.aligned has 2 lines and "),
        ({"lear_modern": b"\n\xe9\n"}, "lear_modern.snt.aligned, line 2: not UTF-8 text"),
    ],
)
def test_a_play_that_is_damaged_is_named_with_the_remedy(serve, changes, message):
    refused = refusal(serve("shakespeare", *plays(**changes)))
    assert message in refused and "The file was downloaded: delete it and run again" in refused
