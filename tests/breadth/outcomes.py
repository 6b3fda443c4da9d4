"""What can come of a sample."""

from __future__ import annotations

from dataclasses import dataclass

PASS, MISSING, RAISED, VALUE, GRADIENT = "pass", "no such function", "raised", "wrong value", "wrong gradient"
LEFT_OUT = "not about us"
WITHOUT_GRADIENT = "without a gradient"  # the family of ops that have none


@dataclass(frozen=True)
class Trial:
    """What came of one sample."""

    name: str
    family: str
    number: int
    arguments: str
    outcome: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name}[{self.number}] {self.outcome}: ({self.arguments}) {self.detail}".rstrip()
