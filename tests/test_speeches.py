"""What is said of speeches: paragraphs alone and in context, their intervals, and how far they are from reviews."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer

from datasets.text import TokenizedTexts, Vocabulary, paragraphs, tokenize, tokenize_texts
from models import report
from models.sentiment.config import Config
from models.sentiment.encoding import Encoder
from models.sentiment.intervals import bootstrap, share_interval
from models.sentiment.model import Answer
from models.sentiment.sources import Reviews
from models.sentiment.speeches import (
    PARAGRAPH_WORDS,
    Answers,
    Asked,
    domain_table,
    new_pairs,
    paragraph_table,
    speech_table,
    warning,
)
from tinygrad_np import Tensor

GOOD, BAD = "good " * 49 + "good. ", "bad " * 49 + "bad. "


def asked(texts: TokenizedTexts) -> Answers:
    """A model that counts: the share of "good" among the words is the probability; "qwx" is unknown to it."""
    words = [[texts.tokens[i] for i in ids] for ids in texts.token_ids]
    lengths = np.array([len(text) for text in words])
    good = np.array([text.count("good") for text in words])
    unknown = np.array([text.count("qwx") for text in words])
    return Answers(good / np.maximum(lengths, 1), lengths, unknown, 2.0 * unknown)


@pytest.fixture(scope="module")
def speeches() -> pd.DataFrame:
    texts = [GOOD + GOOD + BAD + GOOD, "Bad qwx.", "...", GOOD]
    return pd.DataFrame({"speaker": ["A", "$B_$", "C", "A"], "speech": texts})


@pytest.fixture(scope="module")
def table(speeches):
    return paragraph_table(asked, speeches, 1)


def test_a_row_a_paragraph_alone_and_in_context(speeches, table):
    assert table[["speech", "paragraph"]].values.tolist() == [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [4, 1]]
    assert table["speaker"].tolist() == ["A"] * 4 + ["$B_$", "A"]
    share = GOOD.count("good") / len(tokenize(GOOD))
    assert table["positive"].tolist() == pytest.approx([share, share, 0, share, 0, share])
    in_context = [share, 2 * share / 3, 2 * share / 3, share / 2, 0, share]
    assert table["positive_in_context"].tolist() == pytest.approx(in_context)
    assert table["unknown"].tolist() == [0, 0, 0, 0, 1, 0]
    assert table["words"].tolist() == [len(tokenize(text)) for text in table["text"]]
    assert "positive_in_context" not in paragraph_table(asked, speeches, 0)
    wide = paragraph_table(asked, speeches, 9)
    assert wide["positive_in_context"].tolist()[:4] == pytest.approx([3 * share / 4] * 4)


def test_dots_have_no_paragraph_of_their_own():
    text = GOOD + ". . . " + BAD + "I have a dream . . . " + GOOD + ". . ."
    parts = paragraph_table(asked, pd.DataFrame({"speaker": ["M"], "speech": [text]}), 0)
    assert parts["paragraph"].tolist() == [1, 2, 3]
    assert all("good" in part or "bad" in part for part in parts["text"])
    assert parts["text"].tolist() == paragraphs(text, PARAGRAPH_WORDS)


def test_speeches_of_no_words_are_refused():
    silent = pd.DataFrame({"speaker": ["C"], "speech": ["..."]})
    with pytest.raises(ValueError, match="no speech has words"):
        paragraph_table(asked, silent, 1)


def test_a_row_a_speech_and_context_with_intervals(speeches, table):
    rows = speech_table(table, speeches, 1, np.random.default_rng(0)).set_index(["speaker", "context"])
    assert rows["paragraphs"].tolist() == [4, 4, 1, 1, 0, 0, 1, 1]
    assert rows["positive"].tolist()[:4] == [0.75, 0.75, 0, 0]  # in context: 0.98, 0.65, 0.65, 0.49
    first = speech_table(table, speeches, 1, np.random.default_rng(0)).iloc[0]
    assert first["positive"] == 0.75
    assert first["low"] == 0.25
    assert first["high"] == 1.0  # 3 of 4, drawn again: fewer than 1 in 1 of 256 draws, all 4 in 81 of 256
    p = table["positive"][:4]
    assert first["mean"] == pytest.approx(p.mean())
    assert first["spread"] == pytest.approx(p.std(ddof=0))
    assert first["mean_low"] < first["mean"] < first["mean_high"]
    assert rows.loc[("$B_$", 0), ["positive", "low"]].tolist() == [0, 0]
    assert rows.loc[("$B_$", 0), "high"] == pytest.approx(0.975)  # one paragraph proves nothing
    assert rows.loc[("C", 1), ["positive", "low", "high", "mean", "spread"]].isna().all()
    again = speech_table(table, speeches, 1, np.random.default_rng(0)).set_index(["speaker", "context"])
    pd.testing.assert_frame_equal(rows, again)
    alone = speech_table(table, speeches, 0, np.random.default_rng(0))
    assert alone["context"].tolist() == [0] * 4


def test_in_context_three_paragraphs_count_as_one():
    one = pd.DataFrame({"speaker": ["A"], "speech": ["..."]})
    sure = pd.DataFrame({"speech": [1] * 10, "positive": 0.9, "positive_in_context": 0.9})
    rows = speech_table(sure, one, 1, np.random.default_rng(0))
    assert rows["low"].tolist() == pytest.approx([0.025 ** (1 / 10), 0.025 ** (3 / 10)])
    assert rows["high"].tolist() == [1, 1]


def test_neighbours_that_depend_on_each_other_are_drawn_together():
    """Values in runs of 5 equal ones: their mean is off by sqrt(5) times as much as that of as many free ones."""
    values = np.repeat(np.random.default_rng(0).normal(size=40), 5)
    free, blocks = (
        bootstrap(lambda rows: values[rows].mean(), 200, np.random.default_rng(1), block) for block in (1, 25)
    )
    assert free.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.1)
    assert blocks.std() == pytest.approx(values.std() / np.sqrt(40), rel=0.35)
    assert blocks.std() > 1.5 * free.std()
    seen = []
    bootstrap(lambda rows: float(seen.append(rows) or 0), 7, np.random.default_rng(0), 3)
    assert all(len(rows) == 7 and set((rows[1:3] - rows[:2]) % 7) == {1} for rows in seen)
    assert share_interval(np.ones(10, bool), np.random.default_rng(0), 5).low == pytest.approx(0.025**0.5)


def test_how_far_speeches_are_from_reviews(table):
    reviews = Reviews(tokenize_texts(["good " * 300, "bad " * 300, "qwx " * 300]), np.array([1, 0, 1]))
    domain = domain_table(asked, table, reviews, np.random.default_rng(0)).set_index("kind")
    assert domain["texts"].tolist() == [3, 3, 6]
    assert domain["words"].tolist()[::2] == [300, np.median(table["words"])]
    assert domain["words"]["pieces of reviews"] in set(table["words"])
    assert domain["unknown"].tolist()[0] == pytest.approx(1 / 3)
    assert domain["unknown"].tolist()[2] == pytest.approx(1 / table["words"].sum())
    assert domain["new_pairs"].tolist()[0] == pytest.approx(2 * 300 / (3 * 299))
    assert domain["confidence"]["reviews"] == 1
    assert domain["accuracy"].tolist()[:2] == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(domain["accuracy"]["paragraphs of speeches"])
    text = warning(domain.reset_index())
    assert f"{1 / table['words'].sum():.1%} of the words of these speeches (test reviews: 33.3%)" in text
    assert "pairs of neighbouring words are new to it (test reviews: 67%)" in text
    assert "(reviews: 300)" in text
    assert "pairs" not in warning(domain.reset_index().assign(new_pairs=np.nan))
    assert "67% of these come out right" in text


def test_new_pairs_by_hand():
    """Of the training texts two have "a b" and "b c", so that "c a" and what unknown words are in are new."""
    texts = tokenize_texts(["a b c", "a b c", "c"])
    vocabulary = Vocabulary(["<pad>", "<unk>", "a", "b", "c"])
    config = Config(features="wide", max_ngram=2)
    encoder, _ = Encoder.fit(config, vocabulary, texts, np.array([0, 1, 1]), 2, np.random.default_rng(0))
    asked_about = tokenize_texts(["a b c a", "", "a", "a x b", "b c b c"])
    assert new_pairs(encoder, asked_about).tolist() == [1, 0, 0, 2, 1]
    without, _ = Encoder.fit(
        Config(features="none"), vocabulary, texts, np.array([0, 1, 1]), 2, np.random.default_rng(0)
    )
    assert np.isnan(new_pairs(without, asked_about)).all()


def test_a_model_of_three_classes_has_no_say():
    class Three:
        def eval(self) -> None: ...

        def __call__(self, token_ids, lengths, *rest):
            return Answer(Tensor(np.zeros((len(lengths), 3))))

    texts = tokenize_texts(["a b"])
    vocabulary = Vocabulary(["<pad>", "<unk>", "a", "b"])
    encoder, _ = Encoder.fit(
        Config(features="none"), vocabulary, texts, np.array([0]), 2, np.random.default_rng(0)
    )
    with pytest.raises(ValueError, match="this run was trained on 3 classes"):
        Asked(Three(), encoder, 1.0)(texts)


def test_pieces_are_parts_of_reviews_and_shorter_reviews_stay_whole(table):
    texts = tokenize_texts(["good bad", *[" ".join(f"w{i}" for i in range(200))] * 20])
    seen = []

    def spy(texts: TokenizedTexts) -> Answers:
        seen.append(texts.token_ids)
        return asked(texts)

    domain_table(spy, table, Reviews(texts, np.arange(21) % 2), np.random.default_rng(0))
    whole, pieces = seen
    assert [len(ids) for ids in whole].count(200) == 20
    starts = set()
    for ids, piece in zip(whole, pieces, strict=True):
        if len(ids) == 2:
            assert piece.tolist() == ids.tolist()
        else:
            assert len(piece) in set(table["words"])
            assert (np.diff(piece) == 1).all()
            starts.add(int(piece[0] - ids[0]))
    assert len(starts) > 10
    assert max(starts) > 100


def test_the_picture_shows_what_the_tables_say(speeches, table, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(report, "save", lambda figure, path: figures.append(figure))
    rows = speech_table(table, speeches, 1, np.random.default_rng(0))
    report.speech_bars(rows, table, "Beware of $this$.", tmp_path / "a.png")
    monkeypatch.undo()
    left, right = figures[0].axes
    alone = rows[(rows["context"] == 0) & (rows["paragraphs"] > 0)]
    bars = {part.get_label(): part.patches for part in left.containers if isinstance(part, BarContainer)}
    assert [bar.get_width() for bar in bars["positive, each paragraph alone"]] == alone["positive"].tolist()
    assert [bar.get_width() for bar in bars["negative, each paragraph alone"]] == (
        1 - alone["positive"]
    ).tolist()
    assert [label.get_text() for label in left.get_yticklabels()] == ["A (4)", "$B_$ (1)", "C (0)", "A (1)"]
    dots = [part for part in right.collections if isinstance(part, PathCollection)]
    np.testing.assert_allclose(dots[0].get_offsets()[:, 0], table["positive"])
    assert figures[0]._supxlabel.get_text() == "Beware of $this$."
    report.save(figures[0], tmp_path / "a.png")  # with mathematics this would be an error
