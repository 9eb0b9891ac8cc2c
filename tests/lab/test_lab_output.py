"""Claiming folders, and writing files whole."""

import os
import resource
import stat

import pytest

from adaptax.core import files
from adaptax.lab import output


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    with output.claim(tmp_path / "a" / "b") as folder:
        assert folder.path.is_dir()
        (folder.path / "kept").touch()
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["kept"]


def test_an_empty_folder_may_be_used_and_stays(tmp_path):
    with output.claim(tmp_path):
        pass
    assert tmp_path.is_dir() and not any(tmp_path.iterdir())


def test_a_folder_is_claimed_by_one_only(tmp_path):
    with output.claim(tmp_path / "o"):
        for force in (False, True):
            with pytest.raises(FileExistsError, match=r"in use by another process; choose"):
                output.claim(tmp_path / "o", force)
    with output.claim(tmp_path / "o"):
        pass


def test_fresh_folders_never_meet(tmp_path):
    names = {output.fresh("compare-tiny", tmp_path / "runs").path for _ in range(4)}
    assert len(names) == 4
    assert all(p.name.startswith("compare-tiny-20") and p.is_dir() for p in names)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("file", "is a file; name a folder"),
        ("file/below", "file' is a file"),
        ("file/below/further", r"cannot be written to \(Not a directory\)"),
        ("n" * 256, r"cannot be written to \(File name too long\)"),
    ],
)
def test_what_cannot_be_a_folder_is_refused(tmp_path, inside, message):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=message):
        output.claim(tmp_path / inside)


def test_a_nul_is_refused_with_the_argument(tmp_path):
    with pytest.raises(ValueError, match=r"output=.*a\\x00b"):
        output.claim(f"{tmp_path}/a\0b")


@pytest.mark.parametrize("name", ["with space", "naïve-日本", "new\nline", "-rf"])
def test_odd_names_are_names(tmp_path, name):
    with output.claim(tmp_path / name) as folder:
        assert folder.path.is_dir()


def test_a_full_disk_is_noticed_when_claiming(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot be written to \(File too large\)"):
            output.claim(tmp_path / "o")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "o").exists()


def test_a_read_only_folder_is_noticed_when_claiming(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # root writes anywhere; stand in for the kernel's answer

        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(output.os, "mkdir", refuse)
    try:
        with pytest.raises(
            PermissionError, match=r"o' cannot be written to \(Permission denied\);"
        ):
            output.claim(tmp_path / "o")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path = tmp_path / "results.json"
    output.replace(path, b"old")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~files._umask()
    path.chmod(0o640)
    output.replace(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "results.json"
    output.replace(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            output.replace(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
