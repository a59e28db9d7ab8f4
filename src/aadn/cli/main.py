"""The command line: `aadn VERB …`. Each verb is a frozen dataclass whose `run` gives the exit code.

Errors and warnings are one line each on stderr. Exit codes stand in EPILOGUE, and in the same
words in docs/command-line.md: 0, 1, 2, 130 and 141 by custom, the others `AadnError.exit_code`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import operator
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import aadn
from aadn.errors import AadnError, OutputError

if TYPE_CHECKING:
    from aadn.cli.common import Verb

VERBS = {
    "detect": "Detect",
    "video": "Video",
    "bench": "Bench",
    "train": "Train",
    "evaluate": "Evaluate",
    "evaluate-detector": "EvaluateDetector",
    "export": "Export",
    "convert": "Convert",
    "datasets": "Datasets",
    "ablate": "Ablate",
    "cost": "Cost",
    "features": "Features",
}
"""Each is a module of this package, with _ for -, loaded when it is needed, and its class there."""

EPILOGUE = """\
`aadn --version` prints the version, `aadn VERB --help` the options of a verb.

Exit codes: 0 done, 1 a bug in aadn, 2 wrong arguments, 3 another error, 4 a picture cannot be
read, 5 labels or a data set are not as expected, 6 a network's file cannot be used, 7 a result
cannot be written, 8 an optional package is not installed, 9 a value has the wrong shape or range,
10 a network gives NaN, 130 Ctrl-C, 141 nobody reads the output. Of several pictures, the first that
fails gives the code.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (that of the process for None); the exit code.

    What it changes for the whole process (streams, warnings) it puts back. Only where the command
    line is the process's own and nobody reads its output, standard output is closed for good.
    """
    with _lenient_streams(), warnings.catch_warnings():
        warnings.showwarning = _warn
        code, broken = _run(list(sys.argv[1:] if argv is None else argv))
        if broken and argv is None:
            _drop_output()
        return code


def _run(arguments: list[str]) -> tuple[int, bool]:
    """The exit code, and whether standard output cannot be written."""
    try:
        if sys.stdout is None:
            raise OutputError("standard output is closed; >/dev/null drops what is printed")
        code = _do(arguments)
        sys.stdout.flush()  # what cannot be written is found here, not when Python has left
        return code, False
    except AadnError as error:
        _complain(f"error: {error}")
        return error.exit_code, False
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130, False
    except BrokenPipeError:  # `aadn … | head`
        return 141, True
    except MemoryError:
        _complain("error: not enough memory")
        return AadnError.exit_code, False
    except OSError as error:  # a file that cannot be read, a full disk
        named = f"{error.filename}: " if error.filename else ""
        _complain(f"error: {named}{error.strerror or error}")
        try:
            sys.stdout.flush()
        except OSError:
            return OutputError.exit_code, True
        return OutputError.exit_code, False


def _do(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"aadn {aadn.__version__}")
        return 0
    try:
        verb = _parse(arguments or ["--help"])
    except SystemExit as stop:  # of the parser, after help or a wrong argument
        if stop.code == 0 and (not arguments or {"-h", "--help"} & set(arguments)):
            print(EPILOGUE, end="")
        return stop.code if isinstance(stop.code, int) else 2
    return verb.run()


def _parse(arguments: list[str]) -> Verb:
    import tyro

    first, rest = arguments[0], arguments[1:]
    if first in VERBS:
        return tyro.cli(_verb(first), prog=f"aadn {first}", args=rest)  # type: ignore[no-any-return]
    verbs: list[Any] = [
        Annotated[_verb(name), tyro.conf.subcommand(name, prefix_name=False)] for name in VERBS
    ]
    return tyro.cli(  # type: ignore[no-any-return]
        functools.reduce(operator.or_, verbs),
        prog="aadn",
        description=aadn.__doc__.partition(":")[0] + "." if aadn.__doc__ else None,
        args=arguments,
    )


def _verb(name: str) -> Any:
    return getattr(importlib.import_module(f"aadn.cli.{name.replace('-', '_')}"), VERBS[name])


@contextlib.contextmanager
def _lenient_streams() -> Iterator[None]:
    """A path or "×" that a terminal cannot show is no error, nor is a closed stderr."""
    with contextlib.ExitStack() as stack:
        if sys.stderr is None:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stack.callback(_set_errors, stream, stream.errors or "strict")
                _set_errors(stream, "backslashreplace")
        yield


def _set_errors(stream: io.TextIOWrapper, errors: str) -> None:
    with contextlib.suppress(OSError):  # it also writes what is left, which is `_run`'s to say
        stream.reconfigure(errors=errors)


def _drop_output() -> None:
    """Let what is still to be printed go nowhere: Python would fail to write it when it leaves."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    from aadn.cli.common import complain

    complain(message)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _complain(f"warning: {message}")
