"""The data of the examples: film reviews, speeches, word vectors, a synthetic corpus, and text tools.

Nothing is downloaded, and neither pandas nor pooch is imported, before a function here needs it.
"""

from datasets.demo import generate_demo
from datasets.download import fetch
from datasets.glove import Glove, load_glove
from datasets.imdb import cut_imdb, load_imdb
from datasets.speeches import load_speeches
from datasets.text import CutTexts, Vocabulary, clean, cut, paragraphs, sentences, words

__all__ = [
    "CutTexts",
    "Glove",
    "Vocabulary",
    "clean",
    "cut",
    "cut_imdb",
    "fetch",
    "generate_demo",
    "load_glove",
    "load_imdb",
    "load_speeches",
    "paragraphs",
    "sentences",
    "words",
]
