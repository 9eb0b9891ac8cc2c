"""Text from users and files: nothing in it moves a cursor, marks up a table, starts a formula,
opens an element of a picture or breaks a line. HTML and CSV are not written anywhere."""

import dataclasses
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import adaptax
from adaptax import lab
from adaptax.cli import refusal
from adaptax.core import shown
from adaptax.lab import find, tune_progress
from adaptax.lab.results import Comparison, Entry, Run, Setting
from adaptax.lab.sweeps import Entry as Swept
from adaptax.lab.sweeps import Sweeps
from adaptax.lab.tasks.base import Metric
from adaptax.lab.tune_results import Search, Tuning
from adaptax.lab.tune_results import Trial as Tried
from adaptax.tuning.halving import Rung
from adaptax.tuning.result import RateTest
from adaptax.tuning.swept import Sweep, Trial

# escape sequences of two kinds, bells and lines, right-to-left, markup, formulas, elements
HOSTILE = {
    "controls": "a\x1b[2J\x1b]0;x\x07\x9b31m\x00\r\nb\u2028c\u202ed\x7f",
    "markup": "[bold red]x[/] [link=http://x]y[/link] :smile:",
    "formula": r"$\frac{a}{$ _y \$x^{",
    "leading": "_hidden",
    "elements": '"><script>alert(1)</script><!-- --><svg onload=x>]]>&lt;',
    "long": "wordless" * 1000,
    "glyphs": "日本語 😀 \U000e0001",
}
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


def a_comparison(text):
    run = Run(text, 0, 1.0, None, (2.0, 1.0), (0, 1, 2), (0.1, 0.2, 0.3), (0.1, 0.1, 0.1))
    return Comparison(
        task=Setting(text, text, text, True, True, 0.9, 2, 5, 10, 4, text),
        optimizers=(Entry(text, text, text, 10, 80, 0.5), Entry("plain", None, "-")),
        seeds=(0,), runs=(run, dataclasses.replace(run, optimizer="plain")),
        versions={text: text}, device={text: text}, created=text,
    )  # fmt: skip


def a_sweep(text):
    trials = (Trial(0.01, 0, 1.0, 20, None, 20, (2.0, 1.0)), Trial(0.1, 0, 2.0, 20, None, 20, ()))
    return Sweep(
        text, text, (0.01, 0.1), (0,), 20, trials, (Rung(20, 2),), 10, True, text, 40, 1.0, 0.5
    )


def some_sweeps(text):
    entries = (Swept(text, text, a_sweep(text)), Swept(text + "2", None, a_sweep(text)))
    return Sweeps(text, text, 1, 2, None, text, entries, 2, {text: text}, {}, text)


def a_search(text):
    search = Search(
        text, text, text, {"learning_rate": "log:0.1..1"}, 1, text, text, 0, (0,), 1, 2, 3, 4, text
    )
    tried = Tried(0, {"learning_rate": 0.1}, text, "complete", 1.0, (1.0,), None, False, 1, 1.0)
    return Tuning(search, (tried,), 0.1, {text: text}, {}, text)


def a_rate_test(text):
    rates = tuple(float(rate) for rate in np.geomspace(1e-3, 1, 10))
    found = RateTest(
        0.1, (0.05, 0.2), "found", "a reason", {}, rates, (rates[::-1],), rates[::-1], None
    )
    return find.Found(text, text, text, 0, 1, 2, found, {}, {}, text)


MADE = {
    "comparison": a_comparison, "sweeps": some_sweeps, "search": a_search, "find": a_rate_test,
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("what", MADE)
def test_tables_show_text_as_it_is_and_move_no_cursor(what, kind):
    text = HOSTILE[kind]
    table = MADE[what](text).table()
    assert not UNSAFE.search(table)
    assert table == MADE[what](shown.printable(text)).table()
    if kind in ("markup", "elements"):
        assert text in table, "as it is"


def test_a_heading_of_a_column_is_no_markup():
    lines = a_comparison("[bold]x").table().splitlines()
    assert any("[bold]x" in line and "90 %" in line for line in lines), "beside the goal"


@pytest.mark.parametrize("kind", ["all", "long", "leading"])
@pytest.mark.parametrize("what", MADE)
def test_pictures_draw_any_text_and_hold_no_element_of_it(what, kind, tmp_path):
    every = "".join(HOSTILE[name][:20] for name in ("formula", "controls", "glyphs", "elements"))
    made = MADE[what](HOSTILE.get(kind, every))
    drawn = made.result if what == "find" else made
    content = Path(drawn.plot(tmp_path / "a.svg")).read_text()
    root = ET.fromstring(content)
    assert len(list(root.iter())) > 50
    for element in root.iter():
        assert not str(element.tag).lower().endswith("script")
        assert not any(name.lower().startswith("on") for name in element.attrib)
    if what == "sweeps":
        swept = made.entries[0].sweep
        assert b"%PDF" == Path(swept.plot(tmp_path / "a.pdf")).read_bytes()[:4]


@pytest.mark.parametrize("kind", HOSTILE)
def test_results_keep_text_whole(kind, tmp_path):
    for made in (a_comparison(HOSTILE[kind]), some_sweeps(HOSTILE[kind])):
        assert type(made).load(made.save(tmp_path / "results.json")) == made


def narrate(progress, text):
    with progress:
        progress.begin([text], 1, 10, Metric(text, lambda outputs, targets: 0.0))
        progress.optimizer(text)
        progress.tuning(text, 1, 2)
        progress.tuned(text, "rate 0.1")
        progress.optimizer(text)
        progress.run(text, 0)
        progress.step(5, 0.5, 0.1)
        progress.evaluated(5, 0.5)
        progress.step(10, 0.5, 0.1)
        progress.finished("done")


@pytest.mark.parametrize("kind", HOSTILE)
def test_progress_shows_any_text_on_its_own_lines(kind):
    counts = []
    for text in ("plain", HOSTILE[kind]):
        for made in (lab.Lines, tune_progress.TrialLines):
            stream = io.StringIO()
            narrate(made(stream, 0.0), text)
            assert not UNSAFE.search(stream.getvalue())
            counts.append(stream.getvalue().count("\n"))
    assert counts[:2] == counts[2:]


def test_a_bar_leaves_escapes_to_the_terminal_library():
    stream = io.StringIO()
    bars = lab.Bars(stream)
    narrate(bars, HOSTILE["controls"])
    assert not UNSAFE.search(stream.getvalue())


@pytest.mark.parametrize("kind", HOSTILE)
def test_messages_are_one_line(kind, capsys):
    refusal.say("error", HOSTILE[kind])
    err = capsys.readouterr().err
    assert not UNSAFE.search(err) and err.count("\n") == 1 and err.endswith("\n")
    assert shown.quoted(HOSTILE[kind]).isprintable()


def test_a_comment_in_an_optimizer_reaches_no_terminal():
    plan = find.prepare("diabetes-linear", "sgd(\nmomentum=0.9) # \x1b[31m")
    made = dataclasses.replace(a_rate_test("x"), optimizer=plan.optimizer)
    assert not UNSAFE.search(made.table()) and "sgd(\\nmomentum=0.9)" in made.table()


def test_neither_html_nor_csv_is_written():
    for path in Path(adaptax.__file__).parent.rglob("*.py"):
        code = path.read_text()
        assert not re.search(r"^\s*(import|from) (csv|html|webbrowser)\b", code, re.M), path
        assert not re.search(r"<(html|table|script|div)|\.html?\b|\.csv\b", code), path
