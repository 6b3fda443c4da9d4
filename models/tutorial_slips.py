"""How the tutorial starts, steps and reads: initial weights, optimizer and word vectors, as it has them.

The LSTM of `models.tutorial_lstm.model` is trained with these three. Each says what is unusual about it, and
``tests/test_tutorial_slips.py`` measures what comes of it, beside what this repository does.
"""

from __future__ import annotations

import numpy as np


def initial_parameters(hidden: int, dimensions: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights from N(0, 1) and biases of 0, whatever the number of inputs.

    A gate's input is then a sum of hidden + dimensions products: with word vectors of norm 5 its standard
    deviation is 5, and most gates start where the logistic function is flat.

    Returns
    -------
    dict of str to ndarray of float64
        W and b of the gates f, i, cm and o, (hidden, hidden + dimensions) and (hidden, 1); W2 (1, hidden) and
        b2 (1, 1).
    """
    parameters = {}
    for gate in ("f", "i", "cm", "o"):
        parameters[f"W{gate}"] = rng.standard_normal((hidden, hidden + dimensions))
        parameters[f"b{gate}"] = np.zeros((hidden, 1))
    return {**parameters, "W2": rng.standard_normal((1, hidden)), "b2": np.zeros((1, 1))}


class SwappedAdam:
    """Adam with its two betas swapped, its start not corrected, and eps inside of the root.

    m = 0.999 m + 0.001 g, s = 0.9 s + 0.1 g^2, p -= lr m / sqrt(s + eps). Adam (Kingma and Ba, 2015,
    algorithm 1) has 0.9 for m and 0.999 for s, divides both by 1 - beta^t, and adds eps to sqrt(s).

    With the betas swapped the size s forgets a gradient a hundred times faster than the mean m does, so a
    large gradient goes on moving p when nothing divides it any more. The paper's theorem 4.1 asks for
    beta1^2 < sqrt(beta2); here it is 0.998 > 0.949.

    Parameters
    ----------
    parameters : dict of str to ndarray
        What to train, in place.
    lr : float
        The learning rate.
    """

    beta1, beta2, eps = 0.999, 0.9, 1e-8

    def __init__(self, parameters: dict[str, np.ndarray], lr: float):
        self.parameters = parameters
        self.lr = lr
        self.means = {name: np.zeros_like(p) for name, p in parameters.items()}
        self.squares = {name: np.zeros_like(p) for name, p in parameters.items()}

    def step(self, gradients: dict[str, np.ndarray]) -> None:
        """Update every parameter once, by the gradient of its name."""
        for name, p in self.parameters.items():
            m, s, g = self.means[name], self.squares[name], gradients[name]
            m *= self.beta1
            m += (1 - self.beta1) * g
            s *= self.beta2
            s += (1 - self.beta2) * g * g
            p -= self.lr * m / np.sqrt(s + self.eps)


def word_vectors(token_ids: np.ndarray, table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The vector of each word, and for each unknown word one from N(0, 1), drawn anew at every reading.

    Parameters
    ----------
    token_ids : ndarray of int, shape (T,)
        Rows of the table; -1 stands for an unknown word.
    table : ndarray, shape (words, D)

    Returns
    -------
    ndarray of float64, shape (T, D)
    """
    vectors: np.ndarray = table[token_ids].astype(np.float64)
    unknown = token_ids < 0
    vectors[unknown] = rng.standard_normal((np.count_nonzero(unknown), table.shape[1]))
    return vectors
