"""Pinned files, downloaded by pip from a local index and read without extraction; no network is used."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from fdistill.artifacts.files import sha256
from fdistill.data.archives import Archive, fetch, member_names, read_bytes, read_members, read_text
from fdistill.runtime.errors import UserError

FILENAMES = {
    "pure": "pure-1.0-py3-none-any.whl",
    "linux": "linux-1.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    "mac": "mac-1.0-cp39-abi3-macosx_11_0_arm64.whl",
    "sdist": "sdist-1.0.tar.gz",
}


def make_archive(path: Path, files: dict[str, bytes]) -> Path:
    """A wheel or an sdist with these files and one folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("folder/", b"")
            for name, content in files.items():
                wheel.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as sdist:
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            sdist.addfile(folder)
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                sdist.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that pip uses as its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def pin(path: Path, **changes) -> Archive:
    """The pinned archive for a file of the index."""
    package, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    values = {"package": package, "version": version, "filename": path.name, "sha256": sha256(path)}
    return Archive(**{**values, "licence": "MIT", **changes})


@pytest.mark.parametrize("package", FILENAMES)
def test_fetches_wheels_of_any_platform_and_sdists(package, index, tmp_path, caplog):
    caplog.set_level("INFO")
    package_file = make_archive(index / FILENAMES[package], {"a.txt": b"a" * 1000})
    cache = tmp_path / "new" / "cache"
    assert fetch((pin(package_file),), cache) == {package: cache / package_file.name}
    assert [path.name for path in cache.iterdir()] == [package_file.name]  # no temporary file stays
    assert sha256(cache / package_file.name) == sha256(package_file)
    assert len(caplog.messages) == 1
    assert package_file.name in caplog.text
    assert "MB" in caplog.text


def test_does_not_run_the_setup_of_an_sdist(index, tmp_path):
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='sdist')\n"
    package_file = make_archive(index / FILENAMES["sdist"], {"sdist-1.0/setup.py": setup.encode()})
    path = fetch((pin(package_file),), tmp_path / "cache")["sdist"]
    assert read_text(path, "sdist-1.0/setup.py") == setup
    assert not ran.exists()


def test_an_sdist_comes_even_if_the_user_wants_wheels_only(index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")
    package_file = make_archive(index / FILENAMES["sdist"], {"a.txt": b"a"})
    assert fetch((pin(package_file),), tmp_path / "cache")["sdist"].exists()


def test_a_cached_file_is_used_without_pip(index, tmp_path, monkeypatch):
    package_file = make_archive(tmp_path / FILENAMES["pure"], {"a.txt": b"a"})  # not on the index
    monkeypatch.setattr(subprocess, "run", None)
    assert fetch((pin(package_file),), tmp_path) == {"pure": package_file}


def test_a_file_that_is_not_on_the_index(index, tmp_path):
    package_file = make_archive(index / FILENAMES["pure"], {"a.txt": b"a"})
    missing = pin(package_file, version="2.0", filename="pure-2.0-py3-none-any.whl")
    with pytest.raises(UserError) as error:
        fetch((missing,), tmp_path / "cache")
    for part in (missing.filename, missing.sha256, str(tmp_path / "cache" / missing.filename), "by hand"):
        assert part in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_index_that_cannot_be_reached(index, tmp_path, monkeypatch):
    package_file = make_archive(tmp_path / FILENAMES["pure"], {"a.txt": b"a"})
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nothing answers
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(UserError, match="network") as error:
        fetch((pin(package_file),), tmp_path / "cache")
    assert package_file.name in str(error.value)
    assert "Traceback" not in str(error.value)


def test_a_cached_file_with_another_hash_is_named_and_left_alone(index, tmp_path):
    package_file = make_archive(index / FILENAMES["pure"], {"a.txt": b"a"})
    cached = tmp_path / package_file.name
    cached.write_bytes(package_file.read_bytes()[:-10])
    with pytest.raises(UserError) as error:
        fetch((pin(package_file),), tmp_path)
    for part in (str(cached), sha256(cached), sha256(package_file), "delete"):
        assert part in str(error.value)
    assert cached.read_bytes() == package_file.read_bytes()[:-10]


def test_an_index_with_another_file_leaves_nothing_in_the_cache(index, tmp_path):
    package_file = make_archive(index / FILENAMES["pure"], {"a.txt": b"a"})
    with pytest.raises(UserError) as error:
        fetch((pin(package_file, sha256="0" * 64),), tmp_path / "cache")
    assert "0" * 64 in str(error.value)
    assert sha256(package_file) in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_processes_at_once_both_succeed_without_output(index, tmp_path):
    package_file = make_archive(index / FILENAMES["pure"], {"a.txt": os.urandom(1_000_000)})
    program = f"from fdistill.data.archives import *; fetch(({pin(package_file)!r},), {str(tmp_path / 'cache')!r})"
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", program]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    assert [run.communicate()[0] for run in runs] == [b"", b""]
    assert [run.returncode for run in runs] == [0, 0]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [package_file.name]
    assert sha256(tmp_path / "cache" / package_file.name) == sha256(package_file)


@pytest.fixture(params=["pure", "sdist"])
def archive(request, tmp_path) -> Path:
    """A small archive of either kind, with texts, a file that is not text, and a folder."""
    files = {"folder/a.txt": "häß".encode(), "folder/b.bin": b"\xff\xfe", "c.txt": os.urandom(5000)}
    return make_archive(tmp_path / FILENAMES[request.param], files)


def test_reads_members_in_place(archive):
    assert member_names(archive) == ["folder/a.txt", "folder/b.bin", "c.txt"]
    assert read_text(archive, "folder/a.txt") == "häß"
    assert read_bytes(archive, "folder/b.bin") == b"\xff\xfe"
    members = read_members(archive, lambda name: name.startswith("folder/"))
    assert dict(members) == {"folder/a.txt": "häß".encode(), "folder/b.bin": b"\xff\xfe"}
    assert list(archive.parent.iterdir()) == [archive]


def test_a_missing_member_is_named(archive):
    with pytest.raises(UserError, match=rf"{archive.name}: has no file 'd.txt'"):
        read_bytes(archive, "d.txt")


def test_bytes_that_are_no_text_are_named(archive):
    with pytest.raises(UserError, match=r"'folder/b.bin' is not UTF-8"):
        read_text(archive, "folder/b.bin")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_archive_is_named(archive, keep):
    content = archive.read_bytes()
    archive.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(UserError, match=rf"{archive.name}: damaged archive"):
        list(read_members(archive, lambda name: True))


def test_a_flipped_byte_in_a_wheel_is_noticed(tmp_path):
    wheel = make_archive(tmp_path / FILENAMES["pure"], {"a.txt": os.urandom(5000)})
    content = bytearray(wheel.read_bytes())
    content[2500] ^= 0xFF
    wheel.write_bytes(content)
    with pytest.raises(UserError, match="damaged archive"):
        read_bytes(wheel, "a.txt")


def test_an_archive_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        member_names(tmp_path / "gone.whl")


def test_a_damaged_header_within_a_tar_is_noticed(tmp_path):
    """Python's reader takes it for the end of the archive; an uncompressed tar has no other checksum."""
    with tarfile.open(path := tmp_path / "a.tar", "w") as archive:
        for name in "ab":
            archive.addfile(tarfile.TarInfo(name))
    content = bytearray(path.read_bytes())
    content[512] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged archive"):
        list(read_members(path, lambda name: True))


@pytest.mark.parametrize("name", ["pipe", "device"])
def test_what_is_no_file_does_not_hang_the_cache(tmp_path, index, name):
    archive = pin(make_archive(index / FILENAMES["pure"], {"a.txt": b"a"}))
    path = tmp_path / archive.filename
    os.mkfifo(path) if name == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=rf"is a .*{name}.*, not a downloaded file; remove"):
        fetch((archive,), tmp_path)


def test_what_killed_downloads_left_is_removed_and_a_live_one_stays(tmp_path, index):
    archive = pin(make_archive(index / FILENAMES["pure"], {"a.txt": b"a"}))
    for name in ("dead", "live"):
        workspace = tmp_path / f".{archive.filename}.{name}"
        workspace.mkdir()
        (workspace / archive.filename).write_bytes(b"half")
    for path in (tmp_path / f".{archive.filename}.dead", tmp_path / f".{archive.filename}.dead" / archive.filename):
        os.utime(path, (1e9, 1e9))
    fetch((archive,), tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("."))
    assert left == [f".{archive.filename}.live"]
