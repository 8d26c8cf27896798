"""Say what went wrong in one line: the first cause in a group, in words of bounded length.

Words that came from the other side of a connection are shown as Python shows a string, cut short:
they can neither begin a line of their own in the log nor fill it.
"""

from typing import Final

TEXT_CHARS_MAX: Final = 200


def innermost(error: BaseException) -> BaseException:
    """The error itself, or the first one that a group holds, however deep."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def told(error: BaseException) -> str:
    """The kind and the words of an error, or of the first of a group, for the log."""
    cause = innermost(error)
    name, words = type(cause).__name__, str(cause)
    return quoted(f"{name}: {words}" if words else name)


def quoted(text: str) -> str:
    """`text` in quotes and escaped, cut to TEXT_CHARS_MAX."""
    return repr(text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "...")
