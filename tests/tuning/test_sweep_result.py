"""What a sweep returns: the choice, the table, the chart, the picture, JSON."""

import dataclasses
import json
import math

import pytest

from adaptax import Sweep
from adaptax.tuning import sweep_picture
from adaptax.tuning.halving import Rung
from adaptax.tuning.swept import Trial, best


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0, 2.0, 1.0, 2.0], 3.0),
        ([2.0, 1.0, 0.5, math.inf, 9.0], 2.0),  # 3.0 is lowest, but beside a cliff
        ([math.nan, 2.0, 1.0, 1.0], 4.0),
        ([9.0, 1.004, 1.0, 1.0, 1.0], 3.0),  # 4.0 is lower, by a thousandth
        ([-9.0, -9.01, -9.02, -8.0], 1.0),  # within one per cent of the lowest
        ([math.inf, math.nan], None),
        ([2.0, math.inf], 1.0),  # nothing but a cliff beside it
        ([9.0, math.inf, 1.0, math.nan], 3.0),
        ([None, 2.0, 1.0, None], 3.0),  # those that were stopped early say nothing
        ([None, math.inf, 1.0, 1.5, None], 4.0),
        ([5.0], 1.0),
        ([], None),
    ],
)
def test_the_choice_looks_at_the_neighbours(losses, expected):
    assert best([float(i) for i in range(1, len(losses) + 1)], losses) == expected


def trial(rate, seed, loss, judged_at=20, diverged_at=None, steps=None):
    return Trial(rate, seed, loss, judged_at, diverged_at, steps or judged_at, (2.0, 1.0))


def a_sweep(**changes):
    base = Sweep(
        optimizer="adam",
        measure="validation loss",
        rates=(0.01, 0.1, 1.0),
        seeds=(0, 1),
        steps=20,
        trials=(
            trial(0.01, 0, 2.0), trial(0.01, 1, 3.0), trial(0.1, 0, 1.0), trial(0.1, 1, 1.5),
            trial(1.0, 0, math.inf, diverged_at=7, steps=7), trial(1.0, 1, 4.0),
        ),
        rungs=(Rung(20, 3),),
        every=10,
        vmapped=True,
        why="they fit",
        total_steps=120,
        seconds=1.25,
        compile_seconds=0.75,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def test_rows_are_means_over_the_seeds_that_did_not_diverge():
    slow, good, wild = a_sweep().rows
    assert (slow.mean, slow.loss, slow.diverged, slow.steps) == (2.5, 2.5, 0, 20)
    assert good.spread == pytest.approx(0.5 / math.sqrt(2))
    assert (wild.mean, wild.spread, wild.loss, wild.diverged) == (4.0, None, math.inf, 1)


def test_the_table_says_all_of_it():
    lines = a_sweep().table().splitlines()
    assert lines[0] == "adam: 3 rates, 2 seeds, 20 steps"
    assert lines[1].split() == ["rate", "validation", "loss", "steps"]
    assert lines[2].split() == ["→", "0.01", "2.5", "±", "0.71", "20"]
    assert lines[3].split() == ["0.1", "1.25", "±", "0.35", "20"]
    assert lines[4].split("  ")[-1].strip() == "20" and "4, diverged (1 of 2 seeds)" in lines[4]
    assert lines[5].endswith("it is at the end of the grid: try smaller ones too")
    assert lines[6] == ("120 steps in 1.2 s, 0.8 s of it compiling; trained side by side: they fit")


def test_halving_and_what_was_not_run_are_told():
    trials = (trial(0.01, 0, 2.0, 5), trial(0.1, 0, 1.0), Trial(1.0, 0, None, 0, None, 0, ()))
    found = a_sweep(
        trials=trials, seeds=(0,), rungs=(Rung(5, 3), Rung(20, 1)), interrupted=True, vmapped=False
    )
    shown = found.table()
    assert "3 rates, 1 seed, 20 steps; halving: 3 for 5, 1 for 20" in shown
    assert "interrupted: 2 of 3 trainings judged" in shown and "not run" in shown
    assert "trained one by one" in shown and found.best == 0.1
    assert [row.loss for row in found.rows] == [None, 1.0, None]


def test_the_chart_has_the_best_rate_and_cuts_what_broke_down():
    low = a_sweep(trials=(trial(0.01, 0, 2.0), trial(0.1, 0, 1.0), trial(1.0, 0, 1e30)), seeds=(0,))
    assert low.ceiling == 3.0
    drawn = low.chart()
    assert drawn.splitlines()[0].strip().startswith("3") and "1e+30" not in drawn
    assert "best 0.01" in drawn and drawn in str(low)
    none = a_sweep(trials=(), rates=())
    assert none.chart() == "" and none.best is None


def test_json_keeps_all_of_it():
    found = a_sweep()
    text = found.to_json()
    assert Sweep.from_json(text) == found
    assert json.loads(text)["best"] == 0.01
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no sweep of format"),
        ('{"format": "adaptax.sweep/1"}', "missing or unknown compile_seconds"),
        (a_sweep().to_json().replace('"steps": 20', '"steps": "x"', 1), "steps is 'x'"),
    ],
)
def test_what_is_no_sweep_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        Sweep.from_json(content)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_picture(tmp_path, ending):
    path = a_sweep().plot(tmp_path / f"loss.{ending}")
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)
    with pytest.raises(ValueError, match="the ending must be one of"):
        a_sweep().plot(tmp_path / "loss.exe")


def curves(figure):
    """What is drawn, by what it looks like."""
    lines = figure.axes[0].get_lines()
    return {
        (line.get_linestyle() if line.get_linestyle() != "None" else line.get_marker()): (
            list(line.get_xdata()), list(line.get_ydata()),
        )
        for line in lines if len(line.get_xdata())
    }  # fmt: skip


def test_the_picture_has_means_crosses_and_a_ring():
    figure = a_sweep().plot()
    drawn = curves(figure)
    assert drawn["-"] == ([0.01, 0.1, 1.0], [2.5, 1.25, 4.0])
    assert drawn["x"][0] == [1.0] and drawn["o"] == ([0.01], [2.5])
    assert figure.axes[0].get_xscale() == "log" and len(figure.axes[0].collections) == 1
    (label,) = (text.get_text() for text in figure.legends[0].get_texts())
    assert label == "adam, best 0.01"


def test_many_sweeps_have_no_bands_and_an_empty_one_is_drawn():
    styles = [{"color": "k", "linestyle": "-", "marker": "o"}] * 4
    many = {str(i): a_sweep() for i in range(4)}
    assert len(sweep_picture.draw(many, styles).axes[0].collections) == 0
    assert a_sweep(trials=(), rates=()).plot().legends[0].get_texts()[0].get_text() == (
        "adam, best none"
    )
