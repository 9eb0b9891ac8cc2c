"""The README and the documents keep their promises: code runs, tables are true, links exist."""

import contextlib
import io
import pathlib
import re
import shlex

import jax
import numpy as np
import pytest

import adaptax
from adaptax.cli.main import parser
from adaptax.core import registry

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONVENTIONS = (ROOT / "docs" / "conventions.md").read_text()


def rows(text, columns):
    """The cells of all table rows with that many columns, headers left out."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        ruled = line.startswith("|") and not set(line) <= set("|- :")
        if ruled and len(cells) == columns and "`" in line:
            yield cells


def run(text):
    """What the blocks of Python print, each run where those before it left off."""
    printed, names = [], {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), jax.numpy_dtype_promotion("standard"):
            exec(code, names)
        printed.append(out.getvalue())
    return printed


def test_the_code_of_the_readme_runs():
    first, second, *_ = run(README)
    loss, rate = map(float, first.split())
    assert loss < 1e-3 and rate < 1e-4
    assert "recommended" in second or "no " in second


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_the_code_of_a_page_runs(page):
    blocks = page.read_text().count("```python\n")
    assert len(run(page.read_text())) == blocks


def test_every_schedule_and_controller_is_on_its_page():
    page = (ROOT / "docs" / "rates.md").read_text()
    for name in [*registry.names("schedule"), *registry.names("controller")]:
        assert f"`{name}(" in page or f"`{name}`" in page, name


RULES = [cells for cells in rows(README, 2) if "`Rule(" in cells[1]]


@pytest.mark.parametrize(("call", "rule"), RULES, ids=[c for c, _ in RULES])
def test_the_table_of_rules(call, rule):
    made = adaptax.parse(call.strip("`")).definition.named["rule"]
    assert made == adaptax.parse(rule.strip("`")), made


def test_the_table_of_rules_is_whole():
    named = {call.strip("`").split("(")[0] for call, _ in RULES}
    with_decay = {"adamw", "adamaxw", "nadamw"}
    assert named == set(registry.names("optimizer")) - with_decay - {"adadelta"}


PORTED = [ours for theirs, ours in rows(README, 2) if re.match(r"`(optax|torch|keras)\.", theirs)]


@pytest.mark.parametrize("cell", PORTED)
def test_the_porting_table_parses(cell):
    (call,) = re.findall(r"^`([^`]+)`", cell)
    tx = adaptax.parse(call.replace("adaptax.", ""))
    if hasattr(tx, "update"):
        params = np.ones(3, np.float32)
        tx.update(params, tx.init(params), params)


@pytest.mark.parametrize("cells", list(rows(CONVENTIONS, 3)), ids=lambda c: c[0])
def test_the_conventions_parse(cells):
    (call,) = re.findall(r"`([^`]+)`", cells[2])
    text = call.replace("(lr", "(0.1").replace("λ", "0.01").replace("lr, d", "0.1, 0.5")
    assert adaptax.parse(text.replace("0.1, d,", "0.1, 0.5,")) is not None


@pytest.mark.parametrize("document", ["README.md", "docs/conventions.md", "CHANGELOG.md"])
def test_links_to_files_exist(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_commands_of_the_readme():
    assert '\npip install -e ".[lab]" && adaptax compare\n' in README
    assert '\npip install -e ".[test]" && pytest\n' in README
    for line in re.findall(r"^adaptax (compare .*)$", README.replace("\\\n", " "), re.MULTILINE):
        parser().parse_args(shlex.split(line))
