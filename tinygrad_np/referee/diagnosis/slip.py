"""A mistake that explains a hand gradient, as it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slip:
    """A mistake that explains the hand gradient.

    Attributes
    ----------
    name : str
        A short key, such as "sign".
    text : str
        One plain sentence: "by hand = -1 x exact in every parameter: a sign".
    where : str
        "lstm.py:93" where the place in the source is known, or "".
    """

    name: str
    text: str
    where: str = ""

    def __str__(self) -> str:
        """The sentence, with the place where it does not name that itself."""
        return f"{self.text} ({self.where})" if self.where and self.where not in self.text else self.text
