"""The data of the examples: film reviews, speeches, word vectors, digits, a synthetic corpus, and text tools.

Nothing is downloaded, and neither pandas nor pooch is imported, before a function here needs it.
"""

from datasets.aclimdb import load_aclimdb
from datasets.demo import generate_demo
from datasets.digits import Digits, load_mnist, load_small_digits
from datasets.download import fetch
from datasets.glove import load_glove
from datasets.imdb import load_imdb, load_tokenized_imdb
from datasets.speeches import load_speeches
from datasets.tables import LabelledTexts, load_table, read_rows
from datasets.text import (
    TokenizedTexts,
    Vocabulary,
    clean,
    paragraphs,
    sentences,
    tokenize,
    tokenize_texts,
)
from datasets.vectors import Glove, load_vectors

__all__ = [
    "Digits",
    "Glove",
    "LabelledTexts",
    "TokenizedTexts",
    "Vocabulary",
    "clean",
    "fetch",
    "generate_demo",
    "load_aclimdb",
    "load_glove",
    "load_imdb",
    "load_mnist",
    "load_small_digits",
    "load_speeches",
    "load_table",
    "load_tokenized_imdb",
    "load_vectors",
    "paragraphs",
    "read_rows",
    "sentences",
    "tokenize",
    "tokenize_texts",
]
