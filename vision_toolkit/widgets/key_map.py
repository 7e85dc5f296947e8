"""Which key does what: the classes first, then the commands on what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from vision_toolkit.core.errors import Invalid

__all__ = ["COMMANDS", "MAX_CLASSES", "check_classes", "class_keys", "command_keys"]

MAX_CLASSES = 40
"""Most classes of one widget: more than that nobody finds."""
_LONGEST = 60
COMMANDS = {
    "undo": ("u", "Backspace"),
    "skip": ("s", " "),
    "flag": ("f", "!"),
    "note": ("t", "Enter"),
    "back": ("ArrowLeft",),
    "on": ("ArrowRight",),
    "zoom": ("z", "+"),
    "help": ("h", "?"),
}
"""Keys of each command, as browsers name them; a class that begins with its letter takes the letter."""


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes as a tuple of their names.

    Raises
    ------
    Invalid
        if there is none or too many, if a name is empty or too long, or if two differ by their case only.

    Examples
    --------
    >>> check_classes(["normal", "anomaly"])
    ('normal', 'anomaly')
    """
    names = tuple(classes) if isinstance(classes, Sequence) and not isinstance(classes, str | bytes) else ()
    if not 1 <= len(names) <= MAX_CLASSES:
        raise Invalid(
            f"classes are 1 to {MAX_CLASSES} names, ('normal', 'anomaly') for example; {str(classes)[:80]!r} was given."
        )
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST or not name.isprintable():
            raise Invalid(f"A class is a word of 1 to {_LONGEST} letters; {name!r} was given.")
    twice = [name for name, count in Counter(name.strip().casefold() for name in names).items() if count > 1]
    if twice:
        raise Invalid(f"Each class is named once; {twice[0]!r} was given twice.")
    return names


def class_keys(classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the keys of each class: a digit for the first nine, and the first letter where no other class has it.

    Examples
    --------
    >>> class_keys(["normal", "scratch", "stain"])
    {'normal': ['n', '1'], 'scratch': ['2'], 'stain': ['3']}
    """
    letters = [name.strip()[0].casefold() for name in classes]
    counts = Counter(letters)
    keys: dict[str, list[str]] = {}
    for number, (name, letter) in enumerate(zip(classes, letters, strict=True), 1):
        own = [letter] if counts[letter] == 1 and len(letter) == 1 and letter.isalpha() else []
        keys[name] = own + ([str(number)] if number <= 9 else [])
    return keys


def command_keys(classes: Sequence[str], commands: Mapping[str, Sequence[str]] = COMMANDS) -> dict[str, list[str]]:
    """Return the keys of each command, without those that a class has.

    Examples
    --------
    >>> command_keys(["good", "scratch"])["skip"]
    [' ']
    """
    taken = {key for keys in class_keys(classes).values() for key in keys}
    return {command: [key for key in keys if key not in taken] for command, keys in commands.items()}
