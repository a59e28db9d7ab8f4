"""The exception tree. Every message says what was expected, what was got and how to fix it."""

from __future__ import annotations


class AadnError(Exception):
    """Base of every error that the user can do something about.

    `exit_code` is what the command line returns for it (1 is kept for faults of ours and 2 for
    wrong arguments, as usual).

    Examples:
        >>> from aadn import AadnError, load_image
        >>> try:
        ...     load_image("nowhere.jpg")
        ... except AadnError as error:
        ...     print(type(error).__name__, error.exit_code, error)
        ImageError 4 nowhere.jpg: no such file; check the path
    """

    exit_code = 3


class ImageError(AadnError):
    """A picture cannot be read: missing, empty, broken, or not a picture."""

    exit_code = 4


class AnnotationError(AadnError):
    """A label file or a data set's folder is not as its release lays it out."""

    exit_code = 5


class WeightsError(AadnError):
    """A model or checkpoint file is missing, broken, unsafe or of another model."""

    exit_code = 6


class OutputError(AadnError):
    """A result cannot be written."""

    exit_code = 7


class MissingDependencyError(AadnError):
    """An optional dependency is not installed; the message has the command that installs it."""

    exit_code = 8


class InputError(AadnError, ValueError):
    """An argument has the wrong shape, type or range."""

    exit_code = 9


class NetworkError(WeightsError):
    """A network gives what no network may give, NaN for example: its weights are broken."""

    exit_code = 10
