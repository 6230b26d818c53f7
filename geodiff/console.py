"""What a command says to the person at the terminal, and the code that it ends with."""

import sys

DONE, PARTLY, BAD = 0, 1, 2


def complain(message: object) -> None:
    """One line on standard error.

    Args:
        message: what to say; line ends in it become spaces.
    """
    print("geodiff: " + " ".join(str(message).split()), file=sys.stderr)


def shortened(text: str, most: int = 100) -> str:
    """`text`, cut where it is longer than a line should be, with its length.

    Args:
        text: to be shown.
        most: characters to keep.
    """
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
