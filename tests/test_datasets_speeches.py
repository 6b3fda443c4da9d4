"""Tests of reading the speeches, with texts made up and garbled here."""

import csv
import re

import pandas as pd
import pytest

from datasets import load_speeches
from models import report
from tests.datasets_real import DATA_DIR, needs_data

HEADER = ["speaker", "speech", "source"]


def garble(text):
    """What the published file did to some of its characters."""
    return text.encode("utf-8").decode("mac_roman")


def write(tmp_path, *rows):
    with open(tmp_path / "speeches.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path


def read_one(tmp_path, speech):
    return load_speeches(write(tmp_path, HEADER, ["Ada", speech, "a letter"]))["speech"].tolist()


@pytest.mark.parametrize(
    "mark", ["’", "‘", "“", "”", "–", "—", "…", "©", "°", "é", "É", "ü", "ñ", "à", "ß", "€"]
)
def test_garbled_characters_are_put_right(tmp_path, mark):
    garbled = garble(mark)
    assert garbled != mark
    assert read_one(tmp_path, f"so {garbled}it{garbled} is") == [f"so {mark}it{mark} is"]


def test_ligatures_become_plain_letters(tmp_path):
    speech = f"su{garble('ﬀ')}ering of {garble('ﬁ')}ve di{garble('ﬃ')}cult and {garble('ﬂ')}at, o\ufb00"
    assert read_one(tmp_path, speech) == ["suffering of five difficult and flat, off"]


@pytest.mark.parametrize(
    "speech",
    [
        "“Élan”, she said – “à la carte”—ça va.",
        "l’été, naïve, Ångström, Ô Canada, √2 ≈ 1.4",
        "‚quoted‘ ¬ a",
        "20°",
    ],
)
def test_what_was_right_stays(tmp_path, speech):
    assert read_one(tmp_path, speech) == [speech]


def test_stray_white_space_goes(tmp_path):
    rows = [["  Ada\t", " One.\n\nTwo\t \x0c three.\u00a0 ", "a  letter "]]
    assert load_speeches(write(tmp_path, HEADER, *rows)).to_dict("records") == [
        {"speaker": "Ada", "speech": "One. Two three.", "source": "a letter"}
    ]


def test_columns_are_found_by_name(tmp_path):
    write(tmp_path, ["year", "source", "speech", "speaker"], ["1843", "a letter", "Hello.", "Ada"])
    table = load_speeches(tmp_path)
    assert list(table.columns) == HEADER
    assert table.values.tolist() == [["Ada", "Hello.", "a letter"]]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([["speaker", "source"], ["Ada", "x"]], ", line 1: no column speech among speaker, source"),
        ([HEADER, ["Ada", "Two\nlines.", "x"], ["Bo", " ", "y"]], ", row 2 (line 4): the speech is missing"),
        ([HEADER, ["Ada", "NaN", "x"]], ", row 1 (line 2): the speech is missing"),
        ([HEADER, ["", "Hello.", "x"]], ", row 1 (line 2): the speaker is missing"),
        ([HEADER, ["Ada", "Hello."]], ", row 1 (line 2): expected 3 values, but found 2"),
        ([HEADER, ["Ada", "Hello.", "x", "y"]], ", row 1 (line 2): expected 3 values, but found 4"),
        ([HEADER], " holds no speech: replace it by the published file, or leave out data_dir"),
    ],
)
def test_bad_rows_are_named(tmp_path, rows, fault):
    write(tmp_path, *rows)
    with pytest.raises(ValueError, match="^" + re.escape(f"{tmp_path / 'speeches.csv'}{fault}") + "$"):
        load_speeches(tmp_path)


def test_bad_bytes_and_open_quotes_are_named(tmp_path):
    path = tmp_path / "speeches.csv"
    path.write_bytes(b"speaker,speech,source\nAda,caf\xe9,x\n")
    with pytest.raises(ValueError, match=r"speeches\.csv, line 2: the text is not UTF-8"):
        load_speeches(tmp_path)
    path.write_bytes(b'speaker,speech,source\nAda,"never closed,x\n')
    with pytest.raises(ValueError, match=r"speeches\.csv, line 2: unexpected end of data"):
        load_speeches(tmp_path)


NAMES = [
    "$x^2$ and $100",
    "\x1b[31mRed\x1b[0m\x07",
    '=HYPERLINK("http://x","click")',
    "+1+1",
    "-2",
    "@SUM(A1)",
    "＝1＋1",
    "a;=1+1",
    "\\frac{1}{2} $\\undefined$",
    "Ünï ©",
    "long " * 100,
]


@pytest.fixture
def table(tmp_path):
    """What a model might say of speeches by these."""
    speakers = load_speeches(write(tmp_path, HEADER, *([name, "Hello.", "x"] for name in NAMES)))["speaker"]
    shares = {"positive": 0.5, "low": 0.0, "high": 1.0, "mean": 0.5, "mean_low": 0.4, "mean_high": 0.6}
    return pd.DataFrame({"speaker": speakers, "context": 0, "paragraphs": 2, **shares, "spread": 0.1})


PARAGRAPHS = pd.DataFrame({"speech": [1, 1, 2, 2], "positive": [0.4, 0.6, 0.4, 0.6]})


def test_names_come_out_as_text_in_a_terminal(table):
    assert table["speaker"][0] == "$x^2$ and $100"
    assert table["speaker"][1] == r"\x1b[31mRed\x1b[0m\x07"
    assert all(character.isprintable() or character == "\n" for character in table.to_string())


def test_names_come_out_as_text_in_pictures(table, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(report, "save", lambda figure, path: figures.append(figure))
    report.speech_bars(table, PARAGRAPHS, "", tmp_path / "a.png")
    monkeypatch.undo()
    labels = figures[0].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels[:2]] == ["$x^2$ and $100 (2)", r"\x1b[31mRed\x1b[0m\x07 (2)"]
    assert not any(label.get_parse_math() for label in labels)
    assert max(len(label.get_text()) for label in labels) < 80
    report.save(figures[0], tmp_path / "a.png")  # with mathematics this would be an error
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_very_many_speeches_has_the_first(table, tmp_path):
    report.speech_bars(pd.concat([table] * 200), PARAGRAPHS, "", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_no_name_is_a_formula_in_a_spreadsheet(table, tmp_path):
    path = tmp_path / "a.csv"
    report.csv_for_spreadsheets(table, path)
    with open(path, encoding="utf-8", newline="") as file:
        names = [row[0] for row in csv.reader(file)][1:]
    assert [name.removeprefix("'") for name in names] == table["speaker"].tolist()
    assert [name[0] == "'" for name in names] == [name[0] in "=+-@＝" for name in table["speaker"]]
    for separator in ",;\t":  # as spreadsheets of different countries read it
        with open(path, encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file, delimiter=separator) for cell in row]
        assert not any(cell.lstrip().startswith(tuple("=+-@＝＋－＠")) for cell in cells)
    assert pd.read_csv(path)["positive"].tolist() == [0.5] * len(names)


@needs_data
def test_the_published_speeches_are_readable():
    table = load_speeches(DATA_DIR)
    assert len(table) == 8
    text = " ".join(table["speech"])
    assert set(re.findall(r"[^\x00-\x7f]", text)) == set("’“”–—©°")
    assert [text.count(mark) for mark in "’“”–—©°"] == [71, 25, 24, 24, 4, 3, 2]
