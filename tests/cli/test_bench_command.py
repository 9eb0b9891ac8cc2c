"""`adaptax bench`, in this process and on the smallest sizes."""

import json

import jax
import pytest

from adaptax.cli.main import main
from adaptax.lab import bench, bench_results

SMALL = ["bench", "--quick", "--no-torch", "--leaves", "2", "--size", "1k", "--rounds", "2"]


@pytest.fixture(autouse=True)
def as_users_run_it(tmp_path, monkeypatch):
    """Optax's bias correction needs implicit promotion; files are made elsewhere."""
    monkeypatch.chdir(tmp_path)
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def measured(monkeypatch):
    """What would be measured, without measuring it."""
    asked = []

    def measure(settings, say):
        asked.append(settings)
        say("nothing")
        one = bench_results.Spread(1.0, 1.0, 1.0)
        row = bench_results.Row("adamw", "one array", "optax", 10, one, one, one, 1e9)
        return bench_results.Bench((row,), {"adamw on one array": 1e9}, one, vars(settings), {})

    monkeypatch.setattr(bench, "measure", measure)
    return asked


def test_it_measures_everything_side_by_side(capsys):
    assert main([*SMALL, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    groups = [(r["method"], r["workload"], r["contender"]) for r in found["rows"]]
    assert groups == [
        (method, tree, library)
        for tree in ("one array", "2 equal leaves", "2 distinct leaves")
        for method in ("adamw", "clip+adamw")
        for library in ("optax", "adaptax")
    ]
    for row in found["rows"]:
        assert row["step_seconds"]["median"] > 0 and row["compile_seconds"]["median"] > 0
        if row["contender"] == "optax":
            assert row["step_ratio"]["median"] == row["compile_ratio"]["median"] == 1
    assert found["import_seconds"]["median"] > 0
    assert err.splitlines()[0] == "measuring adamw on one array (1/6)"
    assert len(err.splitlines()) == 7


def test_words_become_settings(measured):
    assert main(["bench", "--size", "3M", "--leaves", "7", "--rounds", "4", "--compiles", "2"]) == 0
    assert main(["bench", "--quick", "--no-torch"]) == 0
    assert measured[0] == bench.Settings(3_000_000, 7, 4, 2, torch=True)
    assert measured[1].size == bench.QUICK.size and not measured[1].torch


def test_the_table_goes_to_a_file_too(measured, capsys, tmp_path):
    assert main(["bench", "--output", "found.md"]) == 0
    out, err = capsys.readouterr()
    assert "adamw on one array" in out and err == "measuring nothing\n\nwrote found.md\n"
    assert (tmp_path / "found.md").read_text().startswith("| method | tree |")
    assert main(["bench", "--quiet", "--output", "found.md", "--force"]) == 0
    assert capsys.readouterr().err == ""


def test_a_full_disk_costs_the_file_alone(measured, capsys, monkeypatch):
    def refuse(path, content):
        raise OSError("No space left on device")

    monkeypatch.setattr("adaptax.lab.output.replace", refuse)
    assert main(["bench", "--quiet", "--output", "found.md"]) == 1
    out, err = capsys.readouterr()
    assert "adamw on one array" in out
    assert err == "adaptax: warning: table not written to found.md: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--size", "20X"], "argument --size: '20X' is not a whole number (20M is 20 million)"),
        (["--size", "1.5M"], "argument --size: '1.5M' is not a whole number"),
        (["--size", "100", "--leaves", "200"], "size=100 must be a whole number from 200"),
        (["--rounds", "0"], "rounds=0 must be a whole number from 1"),
        (["--output", "."], "output='.' is a folder"),
        (["--output", "no/such/found.md"], "there is no folder 'no/such'"),
        (["--output", "old.md"], "output='old.md' exists"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_it_refuses_in_one_line_and_measures_nothing(words, named, measured, capsys, tmp_path):
    (tmp_path / "old.md").write_text("old")
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and measured == [] and err.startswith("adaptax: error: ")
    assert named in err and err.count("\n") == 1
    assert (tmp_path / "old.md").read_text() == "old"


def test_arrays_that_do_not_fit_are_refused(monkeypatch, capsys):
    def measure(settings, say):
        raise MemoryError

    monkeypatch.setattr(bench, "measure", measure)
    assert main(["bench", "--size", "8G"]) == 2
    assert capsys.readouterr().err == (
        "adaptax: error: size=8000000000 does not fit into memory; take less\n"
    )
