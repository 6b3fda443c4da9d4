"""Makes the synthetic corpus of `make demo`: short made-up film reviews whose sentiment hangs on word order.

Nobody wrote these reviews and they say nothing about real ones. They show what a network that reads words in
order can learn and a count of words cannot: each positive review has a negative twin of the very same words.

A review is two clauses and what joins them. A clause praises or blames with its adjective, and the other way
round if it is negated. Joined by "and", both clauses say the same, which is the sentiment. In a contrast they
say opposite things, and one of them decides: the one after "but" or "yet", or the one that "although",
"though", "even though" or "despite" does not introduce. The twin has the two adjectives, or the place of the
negation, swapped.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_np.extras import import_optional

if TYPE_CHECKING:
    from pandas import DataFrame

_BLAME, _PRAISE, _NOUNS = (
    line.split()
    for line in (
        "dull boring awful terrible clumsy silly lifeless tedious dreadful weak shallow messy annoying bad "
        "poor ugly",
        "wonderful moving brilliant charming funny clever gripping touching lovely superb delightful fresh "
        "thrilling good great beautiful",
        "story plot acting cast music dialogue script ending opening camerawork humour romance pacing "
        "atmosphere narration scenery editing hero villain",
    )
)
_SIDES = [_BLAME, _PRAISE]
_AGREEING = 0.25  # fraction of the reviews whose clauses are joined by "and"
_DEGREES = ["", "", "", "really ", "rather ", "quite ", "very ", "so "]
_NEGATIONS = ["not ", "never "]
_SUBJECTS = [f"{article} {noun}" for article in ("the", "its") for noun in _NOUNS]
# Every clause has one of these at its end, so that no adjective stands right beside the word that joins the
# clauses: else the two words together would give the sentiment away.
_TAILS = [
    *(
        "here",
        "overall",
        "throughout",
        "to me",
        "to us",
        "for me",
        "for once",
        "at first",
        "at times",
        "in places",
    ),
    *("in parts", "to my mind", "on the whole"),
]
_OPENERS = [
    *(
        "",
        "",
        "",
        "",
        "We saw it here. ",
        "I watched it twice. ",
        "My sister chose it. ",
        "It ran last week. ",
    ),
    *("We had waited long. ", "I came in late. "),
]
# How two clauses are joined, and whether the first (0) or the second (1) decides.
_CONTRASTS = [
    ("{0} but {1}", 1),
    ("{0}, yet {1}", 1),
    ("although {0}, {1}", 1),
    ("though {0}, {1}", 1),
    ("despite the fact that {0}, {1}", 1),
    ("{0} although {1}", 0),
    ("{0} though {1}", 0),
    ("{0} even though {1}", 0),
    ("{0} despite the fact that {1}", 0),
]


def generate_demo(size: int, seed: int) -> "DataFrame":
    """A synthetic corpus of reviews of 11 to 26 words, half positive and half negative, in random order.

    Any classifier that only counts words is right for exactly half of them, as it cannot tell twins apart.

    Parameters
    ----------
    size : int
        Number of reviews; even, since they are made as pairs of twins. All are different.
    seed : int
        The same seed makes the same corpus, another one nearly none of the same reviews.

    Returns
    -------
    pandas.DataFrame
        Columns `review` (str) and `sentiment` (int8, 0 negative or 1 positive), as for IMDb.

    Raises
    ------
    ValueError
        If `size` is odd or less than 2.
    """
    if size < 2 or size % 2:
        raise ValueError(f"reviews are made as pairs of twins, so size is an even number from 2, not {size}")
    pd = import_optional("pandas")
    rng = np.random.default_rng(seed)
    sentiment_of: dict[str, int] = {}
    while len(sentiment_of) < size:
        positive, negative = _twins(rng)
        sentiment_of[positive] = 1
        sentiment_of[negative] = 0
    order = rng.permutation(size)
    table: DataFrame = pd.DataFrame(
        {
            "review": np.array(list(sentiment_of), dtype=object)[order],
            "sentiment": np.array(list(sentiment_of.values()), dtype=np.int8)[order],
        }
    )
    return table


def _twins(rng: np.random.Generator) -> tuple[str, str]:
    """A positive and a negative review of the same words."""

    def pick(options: list[Any]) -> Any:
        return options[rng.integers(len(options))]

    opener, negation = pick(_OPENERS), pick(_NEGATIONS)
    subjects = rng.permutation(_SUBJECTS)[:2]
    degrees, tails = [pick(_DEGREES), pick(_DEGREES)], [pick(_TAILS), pick(_TAILS)]
    agree = rng.random() < _AGREEING
    joined, decides = ("{0} and {1}", 1) if agree else pick(_CONTRASTS)

    # A side is 1 for praise and 0 for blame. Clauses with adjectives of one side say opposite things if one
    # of them is negated, and clauses with adjectives of two sides do if none or both are.
    side = int(rng.integers(2))
    opposite = agree or rng.random() < 0.5
    sides = [side, 1 - side if opposite else side]
    adjectives = [pick(_SIDES[one]) for one in sides]
    negated = pick([[0, 1], [1, 0]] if agree or not opposite else [[0, 0], [1, 1]])

    reviews = {}
    for _ in range(2):
        clauses = [
            f"{subject} was {negation * turned}{degree}{adjective} {tail}"
            for subject, turned, degree, adjective, tail in zip(
                subjects, negated, degrees, adjectives, tails, strict=True
            )
        ]
        text = joined.format(*clauses)
        reviews[sides[decides] ^ negated[decides]] = f"{opener}{text[0].upper()}{text[1:]}."
        if negated[0] != negated[1]:
            negated = negated[::-1]
        else:
            sides, adjectives = sides[::-1], adjectives[::-1]
    return reviews[1], reviews[0]
