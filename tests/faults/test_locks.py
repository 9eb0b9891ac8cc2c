"""Two runs that aim at one folder: the second is refused; a killed first one is in nobody's way."""

import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from adaptax.cli.main import main
from adaptax.lab import output

HOLDER = """
import sys
from adaptax.lab import output

folder = output.claim(sys.argv[1])
(folder.path / ".adaptax-half-written").write_bytes(b"half")
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_living_process_keeps_its_folder_and_a_killed_one_does_not(tmp_path, capsys):
    place = tmp_path / "o"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    with holder:
        try:
            assert holder.stdout.readline() == "claimed\n"
            words = ["compare", "--task", "diabetes-linear", "--output", str(place)]
            for force in ([], ["--force"]):
                assert main([*words, *force]) == 2
                err = capsys.readouterr().err
                assert "is in use by another process; choose another folder" in err
                assert err.count("\n") == 1
            assert sorted(os.listdir(place)) == [output.CLAIM, ".adaptax-half-written"]
        finally:
            holder.kill()
    assert sorted(os.listdir(place)) == [output.CLAIM, ".adaptax-half-written"]
    with output.claim(place):
        assert os.listdir(place) == [output.CLAIM]
    assert os.listdir(place) == []


def test_results_of_a_killed_process_are_not_replaced_without_force(tmp_path):
    (tmp_path / output.CLAIM).touch()
    (tmp_path / "results.json").write_text("precious")
    with pytest.raises(FileExistsError, match=r"not empty \(it holds 'results.json'\)"):
        output.claim(tmp_path)
    with output.claim(tmp_path, force=True):
        assert (tmp_path / "results.json").read_text() == "precious"


def test_a_claim_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    os.mkdir(tmp_path / "o")
    os.symlink(tmp_path / "precious", tmp_path / "o" / output.CLAIM)
    with pytest.raises(OSError, match="cannot be written to"):
        output.claim(tmp_path / "o")
    assert (tmp_path / "precious").read_text() == "mine"


def test_of_many_at_once_one_gets_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "PROBE", 1)
    place, within, most, wins, failures = tmp_path / "o", 0, 0, 0, []
    gate = threading.Lock()

    def contend():
        nonlocal within, most, wins
        for _ in range(40):
            try:
                with output.claim(place):
                    with gate:
                        within, wins = within + 1, wins + 1
                        most = max(most, within)
                    with gate:
                        within -= 1
            except FileExistsError as error:
                assert "in use" in str(error)
            except FileNotFoundError as error:  # the winner's folder went as this one came
                assert "cannot be written to" in str(error)
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not failures and most == 1 and wins >= 1


def test_a_claim_that_its_last_holder_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    lock, late = fcntl.flock, []

    def slow(handle, how):
        if not late:
            late.append((tmp_path / output.CLAIM).unlink())
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with output.claim(tmp_path):
        with pytest.raises(FileExistsError, match="in use by another process"):
            output.claim(tmp_path)
    assert late == [None]


def test_a_file_system_without_locks_is_used_all_the_same(tmp_path, monkeypatch):
    def none(handle, how):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with output.claim(tmp_path / "o") as folder:
        assert folder.path.is_dir()
