"""`adaptax schedules plot`: charts and tables in the terminal, pictures in files, refusals."""

import io
import sys

import pytest

from adaptax import parse
from adaptax.cli.main import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_chart_and_a_table(capsys):
    assert main(["schedules", "plot", "warmup_cosine(0.1, 10, 100)"]) == 0
    out, err = capsys.readouterr()
    title, chart, table = out.split("\n\n")
    schedule = parse("warmup_cosine(0.1, 10, 100)")
    assert err == "" and title == repr(schedule)
    assert table.rstrip("\n") == schedule.table()
    assert chart.splitlines()[0].startswith("0.1 │") and chart.splitlines()[-1].endswith(" 100")
    assert any("⠀" < c <= "⣿" for c in chart)
    assert all(len(line) <= 80 for line in chart.splitlines())


def test_several_schedules_and_steps(capsys):
    words = ["cosine(0.1, 10)", "wsd(0.1, 1, 2)"]
    assert main(["schedules", "plot", *words, "--steps", "30"]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert len(blocks) == 6 and blocks[3] == repr(parse(words[1]))
    assert blocks[2].splitlines()[-1].split()[0] == "30"


def test_ascii_where_the_terminal_has_no_more(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["schedules", "plot", "cosine(0.1, 10)"]) == 0
    sys.stdout.flush()
    assert b"0.1 |" in raw.getvalue() and b"?" not in raw.getvalue()


def test_a_picture(capsys, tmp_path):
    words = ["schedules", "plot", "cosine(0.1, 10)", "rex(0.1, 10)", "--output", "two.png"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out == "" and err == "wrote two.png\n"
    picture = tmp_path / "two.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.write_bytes(b"kept")
    assert main(words) == 2 and picture.read_bytes() == b"kept"
    assert main([*words, "--force"]) == 0 and picture.read_bytes() != b"kept"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cosine(0.1, 0)"], "cosine(steps=0): steps must be a whole number in [1, "),
        (["cosin(0.1, 10)"], "unknown name 'cosin'; did you mean 'cosine'"),
        (["adam(0.1)"], "'adam(0.1)' is a transformation, not a schedule; see 'adaptax list'"),
        (["plateau(0.1)"], "'plateau(0.1)' is a controller, not a schedule"),
        (["0.1"], "'0.1' is not a call"),
        ([], "the following arguments are required: CALL"),
        (["cosine(0.1, 10)", "--steps", "0"], "sampled(steps=0): steps must be a whole number"),
        (["cosine(0.1, 10)", "--steps", "x"], "argument --steps: 'x' is not a whole number"),
        (["cosine(0.1, 10)", "--output", "a.jpg"], "the ending must be one of png, svg, pdf"),
        (["cosine(0.1, 10)", "--output", "no/a.png"], "there is no folder 'no'"),
        (["cosine(0.1, 10)", "--outpt", "a.png"], "did you mean '--output'"),
    ],
)
def test_refusals_are_one_line(capsys, tmp_path, words, message):
    assert main(["schedules", "plot", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaptax: error: ") and err.count("\n") == 1, (out, err)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_another_action_is_refused(capsys):
    assert main(["schedules", "draw", "cosine(0.1, 10)"]) == 2
    assert "invalid choice: 'draw'" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written(capsys, monkeypatch):
    def full(figure, path):
        raise OSError("No space left on device")

    monkeypatch.setattr("adaptax.core.figures.save", full)
    assert main(["schedules", "plot", "cosine(0.1, 10)", "--output", "a.png"]) == 1
    assert "a.png not written: No space left" in capsys.readouterr().err
