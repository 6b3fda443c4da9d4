"""Damage to data, in seeded ways, and what the loaders make of it. For the tests, and for longer campaigns.

`HOSTILE_TEXTS` are texts of any length that cost a careless cleaner the square of their length.
"""

from collections.abc import Callable


def _times(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit))


# Each makes a text of nearly so many characters.
HOSTILE_TEXTS: dict[str, Callable[[int], str]] = {
    **{
        unit: _times(unit)
        for unit in (
            *(
                "a",
                "1",
                "1.",
                "-",
                "'s",
                "n't",
                "a'",
                '"',
                "!",
                "?!",
                ".",
                ". ",
                '."',
                "a. ",
                "mr. ",
                "a.",
                "İ",
            ),
            *("<", "<a", "<a ", "<a>", "</", "<!--", "<a/", "<a x", '<a x="', "<a x='", '<b x="y">'),
            *("&", "&a", "&amp;", "&lt;", "&Eacute;", "&#65;", "&#x41;", "&notit;", "&lt;b&gt;"),
        )
    },
    "tags in tags": lambda size: "<a" * (size // 3) + ">" * (size // 3),
    "tags with attributes in tags": lambda size: "<a x=1 " * (size // 8) + ">" * (size // 8),
    "tags in tags, some layers": lambda size: ("<a" * 30 + ">" * 30) * (size // 90),
    "entities in entities": lambda size: "&" + "amp;" * (size // 4),
    "entities without semicolon in entities": lambda size: "&" + "amp" * (size // 3) + ";",
    "entities in entities, some layers": lambda size: ("&" + "amp;" * 30) * (size // 121),
    "entities by lower case": lambda size: "&" + "aMP;" * (size // 4),
    "entities by lower case in entities": lambda size: (
        "&a" * (size // 10) + "&#77;" + "#77;P;" * (size // 10)
    ),
    "tags in entities": lambda size: "&amp;lt;a" * (size // 10) + ">" * (size // 10),
    "a number of many digits": lambda size: f"&#{'1' * size};",
    "a number of many zeros": lambda size: f"&#{'0' * size}65;",
    "a number in base 16": lambda size: f"&#x{'1' * size};",
    "numbers of many digits": lambda size: f"&#{'1' * 4000};" * (size // 4003),
    "a long entity": lambda size: f"&{'a' * size};",
    "a tag with blanks": lambda size: "<a" + " " * size,
    "a tag with a long name": lambda size: "<a" + "-" * size,
    "a tag with a long attribute": lambda size: "<a " + "x" * size,
    "a tag with a long value": lambda size: "<a x=" + "y" * size,
    "a tag with a long quoted value": lambda size: '<a x="' + "y" * size,
    "a tag with blanks before its value": lambda size: "<a x=" + " " * size,
    "a tag with many attributes": lambda size: "<a" + " x=1" * (size // 4),
    "a tag with many quoted attributes": lambda size: "<a" + ' x="1"' * (size // 6),
    "a tag with many attributes and blanks": lambda size: "<a" + "      x   =   1" * (size // 15),
    "a long word and a stop": lambda size: "a" * size + ". ",
    "a stop and many quotation marks": lambda size: "." + '"' * size,
}
