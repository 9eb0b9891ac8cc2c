"""The study of the finder: its numbers and its table, on a task of milliseconds."""

import dataclasses
import math
import sys

import pytest
from experiments import TINY, load

from adaptax.lab import find, rate_study
from adaptax.lab.rate_study import GRID, Case


def case(**given):
    made = Case(
        task="tiny",
        optimizer="adamw",
        horizon=100,
        grid=(9.0, *(2.0,) * 6, 1.0, *(2.0,) * 4, math.inf),
        rates={"range test": 0.03, "with horizon": None},
        losses={"range test": 1.05, "with horizon": math.inf},
        steps={"range test": 300, "with horizon": 1600},
    )
    return dataclasses.replace(made, **given)


def test_the_grid_is_thirteen_rates_from_1e_5_to_10():
    assert len(GRID) == 13 and GRID[0] == pytest.approx(1e-5) and GRID[-1] == pytest.approx(10.0)


def test_five_per_cent_of_the_lowest_decide():
    one = case()
    assert one.excess("range test") == pytest.approx(0.05) and one.passes("range test")
    assert not one.passes("with horizon")
    assert not case(losses={"range test": 1.06, "with horizon": 0.5}).passes("range test")
    assert case(losses={"range test": 1.06, "with horizon": 0.5}).passes("with horizon")


def test_the_table_says_pass_or_fail_of_every_case():
    lines = rate_study.table([case(), case(losses={"range test": 1.5, "with horizon": 1.0})])
    rows = [line for line in lines.splitlines() if line.startswith("| tiny")]
    assert "| 0.032 | 1.0000 | 0.03 | +5.0% | pass |" in rows[0] and "16.0 trainings" in rows[0]
    assert "| +50.0% | fail | - | +0.0% | pass |" in rows[1]
    assert "range test: 1 of 2 pass, median excess +27.5%" in lines
    assert "with horizon: 1 of 2 pass" in lines


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("adma", "unknown optimizer 'adma'"),
        ("adam(0.1)", "leave it out"),
        ("adam(learning_rate=0.1)", "leave it out"),
        ("adam(b3=1)", "no argument 'b3'"),
        ("clip(1.0)", "unknown optimizer 'clip'"),
    ],
)
def test_an_optimizer_is_named_without_its_rate(given, message):
    with pytest.raises((ValueError, TypeError), match=message.replace("(", r"\(")):
        find.factory(given)
    assert find.factory("sgd(momentum=0.9)")(0.5).call.named["momentum"] == 0.9


@pytest.mark.slow
def test_a_study_of_a_small_task(monkeypatch, tmp_path, capsys):
    made = rate_study.study(
        dataclasses.replace(TINY, epochs=10), load(None), "adamw", range(50, 54), None, repeats=3
    )
    assert made.horizon == 40 and made.passes("with horizon") and min(made.grid) < 0.5
    monkeypatch.setitem(rate_study.find_task.__globals__["TASKS"], "tiny", TINY)
    words = ["study", "tiny", "--seeds", "1", "--optimizers", "rmsprop"]
    monkeypatch.setattr(sys, "argv", [*words, "--output", str(tmp_path / "table.md")])
    rate_study.main()
    assert "of 1 pass" in (tmp_path / "table.md").read_text() == capsys.readouterr().out[:-1]
