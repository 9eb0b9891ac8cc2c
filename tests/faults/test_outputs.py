"""Disks that are full or read-only, names that are none, and readers that leave: what was trained
is shown and returned, one warning is given, and no file is left half written."""

import errno
import functools
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import pytest
from small import LINE, files_of_at_most

from adaptax import lab
from adaptax.cli.main import main
from adaptax.core import files
from adaptax.lab import experiment, find, output, sweeps, tuning

RESULTS = "results.json"


@functools.cache
def trained(command):
    """What a command finds on the small task, trained once."""
    if command == "compare":
        return experiment.run(experiment.prepare(LINE, "sgd", seeds=1, epochs=1))
    if command == "sweep":
        return sweeps.run(sweeps.prepare(LINE, "sgd", [0.01, 0.1], 1, epochs=1))
    if command == "find-lr":
        return find.run(find.prepare(LINE, "sgd"))
    return tuning.tune(LINE, "sgd", trials=2, seeds=1, epochs=1)


COMMANDS = {
    "compare": (experiment, ["compare", "--task", "diabetes-linear"], "curves.png"),
    "sweep": (sweeps, ["sweep", "diabetes-linear"], "sweep.png"),
    "find-lr": (find, ["find-lr", "diabetes-linear"], "range_test.png"),
    "tune": (tuning, ["tune", "diabetes-linear"], "search.png"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=COMMANDS)
def command(request, monkeypatch):
    """(words, picture, result) of a command that trains nothing more."""
    module, words, picture = COMMANDS[request.param]
    found = trained(request.param)
    monkeypatch.setattr(module, "run", lambda plan, *args, **kwargs: found)
    return words, picture, found


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def read_only(*args, **kwargs):
    raise OSError(errno.EROFS, "Read-only file system")


FAULTS = {  # what fails, how, and which files are there nevertheless
    "full when synced": (os, "fsync", no_space),
    "full when renamed": (os, "replace", no_space),
    "read-only": (tempfile, "mkstemp", read_only),
}


def claimed_then(fault, monkeypatch):
    """Fails from when the folder has been claimed on."""
    where, name, act = FAULTS[fault]
    probed = output._probe

    def probe(path, handle):
        probed(path, handle)
        monkeypatch.setattr(where, name, act)

    monkeypatch.setattr(output, "_probe", probe)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_the_end_costs_the_files_and_one_warning(command, fault, capsys, monkeypatch):
    words, _, _ = command
    claimed_then(fault, monkeypatch)
    assert main([*words, "--quiet", "--json", "--output", "o"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert err.startswith("adaptax: warning: results not written to o: ") and err.count("\n") == 1
    assert not os.path.exists("o"), "nothing half-written is left"


def test_a_disk_that_fills_up_leaves_whole_files_only(command, capsys, monkeypatch):
    words, picture, _ = command
    monkeypatch.setattr(output, "_probe", lambda path, handle: None)
    with files_of_at_most(24_000):  # the results fit, the picture does not
        assert main([*words, "--quiet", "--output", "o"]) == 1
    out, err = capsys.readouterr()
    assert out and "File too large" in err and err.count("\n") == 1
    assert os.listdir("o") == [RESULTS] and picture != RESULTS
    with open(os.path.join("o", RESULTS)) as file:
        assert json.load(file)["format"].startswith("adaptax.")


def test_old_results_survive_a_fault(command, capsys, monkeypatch):
    words, picture, _ = command
    os.mkdir("o")
    for name in (RESULTS, picture):
        with open(os.path.join("o", name), "w") as file:
            file.write("old")
    claimed_then("full when synced", monkeypatch)
    assert main([*words, "--quiet", "--output", "o", "--force"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert sorted(os.listdir("o")) == sorted([RESULTS, picture])
    for name in (RESULTS, picture):
        with open(os.path.join("o", name)) as file:
            assert file.read() == "old"


def test_a_full_disk_behind_standard_output_takes_no_results_along(command, monkeypatch):
    words, picture, _ = command
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main([*words, "--quiet", "--output", "o"]) == 1
    said = heard.getvalue()
    assert said.startswith("adaptax: warning: standard output cannot be written to: ")
    assert said.count("\n") == 1 and sorted(os.listdir("o")) == sorted([RESULTS, picture])


def test_a_reader_that_leaves_takes_no_results_along(command, monkeypatch):
    words, picture, _ = command
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as left:
        monkeypatch.setattr(sys, "stdout", left)
        assert main([*words, "--quiet", "--output", "o"]) == 0
    assert sorted(os.listdir("o")) == sorted([RESULTS, picture])


def test_a_full_disk_behind_standard_error_changes_nothing(command, capsys, monkeypatch):
    words, picture, _ = command
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full)
        assert main([*words, "--output", "o"]) == 0
    assert capsys.readouterr().out and sorted(os.listdir("o")) == sorted([RESULTS, picture])


def test_progress_that_cannot_be_shown_changes_no_number():
    with open("/dev/full", "w") as full:
        shown = lab.Lines(full, every=0.0)
        found = lab.compare(LINE, "sgd", seeds=1, epochs=1, progress=shown)
        with pytest.raises(OSError):
            full.close()  # what it had kept for a better day
    assert found.runs[0].losses == trained("compare").runs[0].losses


NAMES = {
    "file": ("file", "is a file"),
    "below a file": ("file/o", "is a file"),
    "256 bytes": ("n" * 256, "File name too long"),
    "nul": ("a\0b", r"output='a\\x00b'"),
    "proc": ("/proc/adaptax/o", "cannot be written to"),
    "dangling": ("dangling", "is a file"),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_folder_is_refused_before_training(command, name, capsys):
    words, _, _ = command
    given, message = NAMES[name]
    open("file", "w").close()
    os.symlink("nowhere", "dangling")
    assert main([*words, "--output", given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: output=") and err.count("\n") == 1
    assert re.search(message, err) and sorted(os.listdir()) == ["dangling", "file"]


@pytest.mark.parametrize(
    "name", ["n" * 255, "日本" * 42, "new\nline\x1b[31m", "-x", " "], ids=range(5)
)
def test_odd_names_are_names_and_shown_on_one_line(name, capsys, monkeypatch):
    monkeypatch.setattr(experiment, "run", lambda plan, progress: trained("compare"))
    words = ["compare", "--task", "diabetes-linear", f"--output={name}"]
    assert main(words) == 0
    err = capsys.readouterr().err
    assert "\x1b" not in err and err.strip().count("\n") == 0
    assert sorted(os.listdir(name)) == ["curves.png", RESULTS]


FILES = {
    "schedules": ["schedules", "plot", "cosine(0.1, 10)", "--output"],
    "bench": ["bench", "--quick", "--no-torch", "--output"],
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "is a folder|the ending"),
        ("no/a.png", "there is no folder 'no'"),
        ("file/a.png", "there is no folder 'file'|Not a directory"),
        ("n" * 256 + ".png", "File name too long"),
        ("a\0b.png", r"has no NUL character"),
        ("taken.png", "exists; choose another name, or pass --force"),
    ],
    ids=["folder", "no folder", "below a file", "long", "nul", "taken"],
)
@pytest.mark.parametrize("which", FILES)
def test_what_is_no_file_is_refused_before_there_is_anything_to_write(which, name, message, capsys):
    for taken in ("file", "taken.png"):
        open(taken, "w").close()
    assert main([*FILES[which], name]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: ") and err.count("\n") == 1
    assert re.search(message, err) and sorted(os.listdir()) == ["file", "taken.png"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_picture_of_schedules_is_whole_or_not_there(fault, capsys, monkeypatch):
    where, name, act = FAULTS[fault]
    with open("a.png", "w") as file:
        file.write("old")
    monkeypatch.setattr(where, name, act)
    assert main([*FILES["schedules"], "a.png", "--force"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("adaptax: warning: a.png not written") and err.count("\n") == 1
    with open("a.png") as file:
        assert file.read() == "old" and os.listdir() == ["a.png"]


@pytest.mark.parametrize("which", ["find-lr", "sweep"])
def test_pictures_of_tuning_are_whole_or_not_there(which):
    found = trained(which)
    value = found.result if which == "find-lr" else found.entries[0].sweep
    with files_of_at_most(1000), pytest.raises(OSError, match="too large"):
        value.plot("a.png")
    assert os.listdir() == []


def test_python_gets_its_result_with_one_warning(tmp_path, monkeypatch):
    for module, name, made in (
        (experiment, "compare", lambda: lab.compare(LINE, "sgd", output="o")),
        (tuning, "tune", lambda: lab.tune(LINE, "sgd", trials=2, seeds=1, output="o")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, "run", lambda *args, name=name: trained(name))
            claimed_then("full when renamed", patch)
            with pytest.warns(UserWarning, match="results not written to o: .*No space") as caught:
                assert made() is trained(name)
            assert len(caught) == 1 and not os.path.exists("o")


def test_a_storage_that_fills_up_is_named_and_can_be_gone_on_with(monkeypatch):
    words = ("sgd", 3, None, "random")
    whole = lab.tune(LINE, *words, seeds=1, epochs=1, storage="whole.log")
    size = os.path.getsize("whole.log")
    with files_of_at_most(size // 2), pytest.raises(OSError, match=r"'trials.log' cannot be wr"):
        lab.tune(LINE, *words, seeds=1, epochs=1, storage="trials.log")
    again = lab.tune(LINE, *words, seeds=1, epochs=1, storage="trials.log")
    assert [trial.call for trial in again.trials] == [trial.call for trial in whole.trials]


def test_a_folder_that_is_none_for_a_storage():
    for name, message in {
        "/dev/full": "is not a plain file",
        ".": "cannot be written to",
        "/proc/adaptax": "cannot be written to",
        "a\0b": r"a\\x00b' cannot be written to",
    }.items():
        with pytest.raises(OSError, match=message):
            lab.tune(LINE, "sgd", trials=1, seeds=1, storage=name)


def test_the_list_on_a_full_disk():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "adaptax.cli.main", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            timeout=60,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("adaptax: warning: standard output cannot be written to")
    assert done.stderr.count("\n") == 1


def test_a_file_is_replaced_or_left_whatever_fails(monkeypatch, tmp_path):
    path = tmp_path / "a"
    for where, name, act in FAULTS.values():
        with monkeypatch.context() as patch:
            patch.setattr(where, name, act)
            with pytest.raises(OSError):
                files.replace(path, b"new")
        assert os.listdir() == []
    assert files.replace(path, b"new").read_bytes() == b"new"
