"""Turns text into what a network can read: clean text, tokens, sentences, paragraphs, and token ids.

The same functions serve for training and for prediction, so a network never meets text at work that was
tokenized differently in its training. Standard library and NumPy only.
"""

import functools
import html
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from datasets.messages import shortened
from tinygrad_np.files import atomic_write

LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}


def _other_shapes() -> dict[str, str]:
    """Full-width, half-width and mathematical letters and signs, each with the plain one that it is a shape of.

    Unicode's form NFKC does this too, and more than is wanted: it makes "71⁄2" of "7½" and "103" of "10³".
    """
    places = (range(0x2100, 0x2150), range(0xFF01, 0xFFEF), range(0x1D400, 0x1D800))
    letters = (chr(place) for some in places for place in some)
    return {
        letter: unicodedata.normalize("NFKC", letter)
        for letter in letters
        if unicodedata.decomposition(letter).startswith(("<wide>", "<narrow>", "<font>"))
    }


# Every spelling of a quotation mark, dash or ligature becomes the plain one, because word vectors know only
# that. U+0085 to U+0097 are what these marks become when Windows text (code page 1252) is read as Latin-1;
# an acute accent or a backtick standing alone is in reviews nearly always a mistyped apostrophe.
_PLAIN = str.maketrans(
    {
        **_other_shapes(),
        **dict.fromkeys("‘’‚‛′´`\u0091\u0092\uff07", "'"),
        **dict.fromkeys("“”„‟″«»\u0084\u0093\u0094", '"'),
        **dict.fromkeys("‐‑", "-"),
        **dict.fromkeys("–—―\u0096\u0097", " - "),
        **dict.fromkeys("…\u0085", "..."),
        # Invisible: soft hyphen, zero-width space, byte-order mark, marks of the direction of writing, and what
        # only chooses the look or the colour of an emoji: 👍🏽 is the word 👍.
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff\u200e\u200f\u061c", ""),
        **{chr(i): "" for i in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
        **{chr(i): "" for i in (*range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080))},
        **LIGATURES,
    }
)
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z]\w*);")
# A tag is <name>, </name>, <name/> or a name with attributes that have values. Asking for the values keeps
# "a <b and c> d" and the "<3" of a fan, which are text.
_TAG = re.compile(
    r"""< / ? [a-zA-Z][a-zA-Z0-9-]*
        (?: \s+ [\w:-]+ \s* = \s* (?: "[^"<>]*" | '[^'<>]*' | [^\s"'<>]+ ) )*
        \s* / ? >""",
    re.VERBOSE,
)
_LAYERS = 24  # of markup within markup, with two readings that find nothing more; reviews have one or two
# Dots in a row are three, with blanks between them or not.
_DOTS = re.compile(r"\.(?:\s*+\.)++")
# The words of GloVe 6B come from Stanford's tokenizer, which writes "don't" as "do" and "n't", "it's" as
# "it" and "'s". Doing the same keeps the negation, and keeps it one token for every verb.
_CONTRACTION = re.compile(r"(n't|'(?:s|m|d|re|ve|ll))\b")
_LONG_FACE = re.compile(r"([:;=]'?[-o^]?([()\[\]]))\2++(?![^\W_])")  # ":)))"
# The accents and vowel signs of many scripts are no letters for Python, yet parts of words. So are the two signs
# that join letters or keep them apart.
_MARKS = "\u200c\u200d" + "".join(
    chr(i) for i in range(0x300, 0xFE30) if unicodedata.category(chr(i)) in ("Mn", "Mc", "Me")
)
_LETTERS = rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*"
# Tokens that say something, in the order in which they are tried at a place.
_WORDS = (
    r"(?:[^\W\d_]\.){2,}(?!\.)",  # letters with full stops: "u.s.", "e.g."
    r"\d++(?:[.,/]\d++)++",  # numbers: "7.5", "1,000", "7/10"
    rf"{_LETTERS}(?:'{_LETTERS})*",  # letters and digits, with apostrophes inside: "o'connor", "n't"
    r"'(?:s|m|d|re|ve|ll|em|til|cause|n|\d0s)\b",  # the other contractions, and words that lost their beginning
    r">?[:;=]'?[-o^]?[()\[\]{}](?![^\W_])",  # faces: ":)", ";-)", ":'("; no face is in "director:(name)"
    r"(?<![^\W_])[:;=]'?[-o^]?[dop/\\|](?![\w/\\*])",  # ":d", "=p", ":-/"; none is in "http://"
    r"(?<![^\W_])\(-?[:;](?![^\W_(-])",  # "(:"
    r"\^_{0,2}\^|-_{1,2}-|>_{1,2}<",
    r"</?3(?!\d|[.,]\d)",  # hearts, but not "<30 minutes"
    r"!{1,3}(?!!)|\?{1,3}(?!\?)",  # of a longer run its last three
    r"(?<!\*)\*{1,5}(?!\*)",  # a critic's stars; more are a line across the page, and no token
    r"[\U0001f1e6-\U0001f1ff]{2}",  # flags
    # emoji and other pictures, several joined into one among them
    r"[\u2190-\u2bff\U0001f000-\U0001fbff](?:\u200d[\u2190-\u2bff\U0001f000-\U0001fbff])*",
)
# All other signs one by one; but "..." and "''" are one, and so is a row of some.
_SIGNS = (
    r"\.(?:\.\.)?",
    r"''?",
    r"(?<![^\W_])-(?!-)|-(?![^\W_]|-)",  # none within "low-budget"
    *(rf"\{sign}(?!\{sign})" for sign in "=~#+"),
    r"[^\w\s!?.'*=~#+\x00-\x1f\x7f-\x9f-]",
)
_REMEMBERED = 30  # characters of text without blanks: nearly all that people write, and little to remember
_WORD = re.compile("|".join(_WORDS))
_TOKEN = re.compile("|".join(_WORDS + _SIGNS))

# Words that carry grammar but hardly an opinion. Negations (no, not, n't, nor, never, neither, none, nothing,
# nobody, nowhere, hardly, cannot, without) are not here, and neither are words that turn or weigh an opinion
# (but, although, however, despite, yet, very, too, more, most, less, only): a sentence without one says
# something else.
_STOP_WORDS = {
    word
    for line in (
        "a an the this that these those",
        "i me my mine myself we us our ours you your yours he him his himself she her hers herself",
        "it its itself they them their theirs themselves who whom whose which what",
        "am is are was were be been being do does did doing done have has had having",
        "will would shall should can could may might must ca wo",
        "'s 'm 'd 're 've 'll",
        "and or so if then than as because since while when where there here how why",
        "of in on at by for from to into onto with about between through during before after above",
        "below over under out up down off again also just each both such own other some any same",
        ". , : ; ' '' \" ( ) [ ] { } - /",
    )
    for word in line.split()
}

# Looking behind makes a run of stops be tried once, not once from each of its signs.
_SENTENCE_END = re.compile(r"""(?<![.!?])(?P<stop>[.!?]++)["')\]]*+ """)
# A full stop after these ends no sentence: titles, abbreviations, letters ("J. Smith", "e.g.") except "I".
_NO_END = re.compile(
    r"mr|mrs|ms|dr|prof|st|jr|sr|rev|gen|col|capt|lt|sgt|hon|vs|etc|cf|al|inc|ltd|vol|fig|approx|dept"
    r"|(?!i$)(?:[a-z]\.)*[a-z]"
)


def _character(entity: re.Match[str]) -> str:
    """What an entity stands for; unknown ones stay as they are."""
    try:
        return html.unescape(entity[0])
    except ValueError:  # Python reads no number of more than some thousand digits, and no character has one
        return "\ufffd"


def _plain(text: str) -> str:
    """Plain marks for all their spellings; a letter and its accents as one character where there is one (NFC)."""
    if text.isascii():  # the quick way for most
        return text.replace("`", "'")
    return unicodedata.normalize("NFC", text.translate(_PLAIN))


def _without_markup(text: str, lower: bool = False) -> str:
    """Plain text: no tags, no entities, plain quotation marks, single blanks; its own capitals unless `lower`."""
    # What an entity hides may be a tag or an entity again ("&amp;lt;br&amp;gt;"), a tag may hide one
    # ("<b<i>>"), and lower case may make an entity out of what was none ("&aMP;"): so until nothing changes.
    for _ in range(_LAYERS):
        before = text
        text = _plain(text)
        text = _ENTITY.sub(_character, text)
        text = _TAG.sub(" ", text)
        text = _DOTS.sub("...", text)
        if lower and text == before:
            text = text.lower()
        if text == before:
            break
    else:
        # Each layer costs a reading of the whole text, so a text of nothing but layers would cost the square
        # of its length. Without these two signs there is no further one.
        text = text.translate({ord("&"): " ", ord("<"): " "})
        text = _DOTS.sub("...", _plain(text.lower() if lower else text))
    return " ".join(text.split())


def clean(text: str) -> str:
    """Lower-case text without markup, in plain quotation marks, with single blanks.

    HTML tags become a blank, so that the words on both sides stay apart; entities such as ``&amp;`` become
    their character. Typographic quotation marks, apostrophes, dashes and ligatures become plain ones, and so do
    full-width, half-width and mathematical letters. A letter with its accents is one character where there is
    one (Unicode's form NFC). Dots in a row become three, whether there are blanks between them or not. Colours
    of emoji and invisible signs go. A ``<`` that opens no tag ("a < b", "<3") stays. Punctuation stays. Cleaning
    twice is the same as once.

    Markup within markup is undone too, some twenty layers deep; if there is more, every ``&`` and ``<`` that is
    left becomes a blank. So the time grows with the length of the text, whatever it holds.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return _without_markup(text, lower=True)


def _cut(chunk: str) -> tuple[str, ...]:
    """The tokens of clean text without blanks; no token depends on more of the text."""
    return tuple(_TOKEN.findall(_LONG_FACE.sub(r"\1", _CONTRACTION.sub(r" \1", chunk))))


# The same words come again and again, so what became of the last ones is remembered.
_cut_before = functools.lru_cache(maxsize=1 << 16)(_cut)


def tokenize(text: str, drop_stop_words: bool = False) -> list[str]:
    """The tokens of a text, which is cleaned first: words and signs, as GloVe 6B has them.

    Contractions are two tokens, and the negation is one of them: "don't" gives ``do``, ``n't``; "it's" gives
    ``it``, ``'s``. Compounds are split at the hyphen. A number is one token, and so is a mark such as "7/10", an
    abbreviation such as "u.s.", an emoticon (``:)``, ``<3``) or an emoji (whatever its colour of skin). Every other
    sign is a token: dots in a row are ``...``, of a row of "!" or "?" the last three are one token, and up to five
    stars are one. Only ``_`` and longer rows of stars are dropped, with which people underline.

    Parameters
    ----------
    text : str
    drop_stop_words : bool
        Leave out articles, pronouns, auxiliary verbs and the like, and full stops, commas, brackets, quotation
        marks. Negations always stay.

    Returns
    -------
    list of str
    """
    found = [
        token
        for chunk in clean(text).split(" ")
        for token in (_cut_before if len(chunk) <= _REMEMBERED else _cut)(chunk)
    ]
    if drop_stop_words:
        return [token for token in found if token not in _STOP_WORDS]
    return found


class TokenizedTexts(NamedTuple):
    """Texts as token ids: ``[tokens[n] for n in token_ids[i]]`` are the tokens of text i.

    Attributes
    ----------
    tokens : list of str
        The different tokens, each once; some may be in none of these texts.
    token_ids : list of ndarray of int32
        For each text the places of its tokens in `tokens`.
    """

    tokens: list[str]
    token_ids: list[np.ndarray]

    def take(self, rows: Iterable[int]) -> Self:
        """Some of the texts, by their places."""
        return self._replace(token_ids=[self.token_ids[i] for i in rows])


def tokenize_texts(texts: Iterable[str]) -> TokenizedTexts:
    """Tokenize texts; the different tokens have ids in the order in which they first occur."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__  # a new token has the next id
    token_ids = [np.array([ids[token] for token in tokenize(text)], dtype=np.int32) for text in texts]
    return TokenizedTexts(list(ids), token_ids)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without markup, in their own capitals. None is dropped.

    A sentence ends with a full stop, "!" or "?" before white space, closing quotation marks and brackets
    included, or with the text. A full stop inside a number ("7.5"), after a title or a usual abbreviation
    ("Mr.", "etc."), or after a single letter other than "I" ("J. Smith", "e.g.") ends none. Signs alone are no
    sentence: they begin the next one, or end the last.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Joined by blanks they are the whole text, as `clean` has it but for capitals. Empty for a text of nothing
        but white space and markup.
    """
    text = _without_markup(text)
    found = []
    start = read = 0
    has_words = False
    for end in _SENTENCE_END.finditer(text):
        has_words = has_words or bool(_WORD.search(text, read, end.end()))
        read = end.end()
        last_word = text[text.rfind(" ", 0, end.start()) + 1 : end.start()].strip("\"'([").lower()
        if not has_words or (end["stop"] == "." and _NO_END.fullmatch(last_word)):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
        has_words = False
    if found and not has_words and not _WORD.search(text, read):
        found[-1] = f"{found[-1]} {text[start:]}".strip()
    elif text[start:]:
        found.append(text[start:])
    return found


def paragraphs(text: str, n_words: int) -> list[str]:
    """A text in paragraphs of whole sentences, each of at most `n_words` words where its sentences allow it.

    A sentence longer than `n_words` stands alone. No sentence is dropped or cut, and their order stays.

    Parameters
    ----------
    text : str
    n_words : int
        At least 1, counted as `tokenize` counts, but without signs such as a comma.

    Returns
    -------
    list of str
        Empty for a text without words, emoticons, emoji, "!" or "?".

    Raises
    ------
    ValueError
        If `n_words` is less than 1.
    """
    if n_words < 1:
        raise ValueError(f"a paragraph needs room for at least 1 word, but n_words is {n_words}")
    found: list[list[str]] = [[]]
    count = 0
    for sentence in sentences(text):
        length = sum(_WORD.match(token) is not None for token in tokenize(sentence))
        if count and count + length > n_words:
            found.append([])
            count = 0
        found[-1].append(sentence)
        count += length
    return [" ".join(paragraph) for paragraph in found] if count else []


class Vocabulary:
    """The tokens that a network knows, each with an id: 0 is padding, 1 stands for every unknown token.

    Parameters
    ----------
    tokens : sequence of str
        All tokens in the order of their ids, the first two being ``<pad>`` and ``<unk>``.

    Raises
    ------
    ValueError
        If the first two are others, or if a token stands twice, is empty or holds white space. The message
        gives the line, which is the token's id plus 1: a saved vocabulary has one token a line.
    """

    PADDING = "<pad>"
    UNKNOWN = "<unk>"

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        if self.tokens[:2] != [self.PADDING, self.UNKNOWN]:
            raise ValueError(
                f"lines 1 and 2 of a vocabulary are {self.PADDING} and {self.UNKNOWN}, not "
                f"{[shortened(token) for token in self.tokens[:2]]}"
            )
        self._ids: dict[str, int] = {}
        for i, token in enumerate(self.tokens):
            if token.split() != [token]:
                raise ValueError(
                    f"line {i + 1}: {shortened(token)!r} is empty or holds white space, so it is no token"
                )
            if token in self._ids:
                raise ValueError(
                    f"line {i + 1}: {shortened(token)!r} already stands in line {self._ids[token] + 1}"
                )
            self._ids[token] = i

    @classmethod
    def build(cls, counts: Mapping[str, int], min_count: int = 1, max_size: int | None = None) -> Self:
        """The vocabulary of some texts, the most frequent tokens first, equally frequent ones by alphabet.

        Parameters
        ----------
        counts : mapping of str to int
            How often each token occurs in the texts.
        min_count : int
            Tokens that occur less often are left out.
        max_size : int, optional
            The largest length of the vocabulary, at least 2, padding and unknown included.

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If `max_size` is less than 2, or if the texts hold ``<pad>`` or ``<unk>``, or a token that is empty
            or has white space.
        """
        if max_size is not None and max_size < 2:
            raise ValueError(f"max_size counts padding and unknown too: at least 2, not {max_size}")
        frequent = sorted(
            (token for token, count in counts.items() if count >= min_count),
            key=lambda token: (-counts[token], token),
        )
        return cls([cls.PADDING, cls.UNKNOWN, *frequent][:max_size])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """The ids of tokens, 1 for each unknown one.

        Returns
        -------
        ndarray of int64, shape (number of tokens,)
        """
        unknown = self._ids[self.UNKNOWN]
        return np.array([self._ids.get(token, unknown) for token in tokens], dtype=np.int64)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokens to a UTF-8 text file, one a line; an old file is only replaced by a whole one."""
        with atomic_write(Path(path)) as part:
            part.write_text("".join(token + "\n" for token in self.tokens), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a vocabulary that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is empty, cut off, no UTF-8 text, or holds no vocabulary; the message gives the line.
        """
        content = Path(path).read_bytes()
        if not content.endswith(b"\n"):
            last = content.count(b"\n") + 1
            raise ValueError(
                f"{path}, line {last}: the file is empty or cut off, so save the vocabulary again"
            )
        try:
            return cls(content.decode("utf-8").split("\n")[:-1])
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ValueError(f"{path}, line {line}: the text is not UTF-8") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
