"""The command line as a whole: help, streams, and what it leaves as it was."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import aadn
import aadn.cli.main
from aadn.cli.common import needs_torch, plain
from aadn.cli.main import EPILOGUE, VERBS, main
from aadn.errors import AadnError, MissingDependencyError


def test_help_has_all_verbs_the_version_and_the_exit_codes(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in VERBS:
        assert f" {verb} " in out  # how a list looks is tyro's
    assert "`aadn --version` prints the version" in out
    codes = out[out.index("Exit codes:") :]

    def leaves(error: type[AadnError]) -> set[int]:
        return {error.exit_code}.union(*(leaves(kind) for kind in error.__subclasses__()))

    said = {int(word) for word in codes.replace(",", " ").split() if word.isdecimal()}
    assert said == leaves(AadnError) | {0, 1, 2, 130, 141}


def test_the_exit_codes_are_the_same_words_in_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text("utf-8")
    section = page[page.index("\n## Exit codes\n") :]
    rows = re.findall(r"^\| ([0-9]+) \| (.+) \|$", section, re.MULTILINE)
    said = f"Exit codes: {', '.join(map(' '.join, rows))}. {section.splitlines()[-1]}"
    assert EPILOGUE[EPILOGUE.index("Exit codes:") :].split() == said.split()


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(verb: str, capsys: Any) -> None:
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: aadn {verb} ")
    assert "Exit codes:" in out


def test_a_verb_that_is_not_there(capsys: Any) -> None:
    assert main(["detct", "a.jpg"]) == 2
    captured = capsys.readouterr()
    assert "detect" in captured.out + captured.err
    assert "Exit codes:" not in captured.out


def test_an_option_that_is_nearly_there(capsys: Any) -> None:
    assert main(["detect", "a.jpg", "--min-scor", "0.4"]) == 2
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert "Perhaps you meant" in said
    assert "--min-score" in said


class Stream(io.TextIOWrapper):
    """A terminal that knows ASCII only."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "ascii", "strict")

    @property
    def written(self) -> bytes:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


def test_nothing_outlasts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout, stderr = Stream(), Stream()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    show, filters = warnings.showwarning, list(warnings.filters)
    for arguments in (["detect", "é.jpg"], ["--version"], ["detect", "--help"], ["detect"]):
        main(arguments)
        assert (sys.stdout, sys.stderr) == (stdout, stderr)
        assert [stream.errors for stream in (stdout, stderr)] == ["strict", "strict"]
        assert warnings.showwarning is show
        assert list(warnings.filters) == filters
    assert b"\\xe9.jpg: no such file" in stderr.written


def test_a_caller_keeps_its_output_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Stream):
        broken = True

        def flush(self) -> None:
            if self.broken:
                raise BrokenPipeError

        def fileno(self) -> int:
            raise AssertionError("its file is not touched")

    stdout = Broken()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        assert main(["--version"]) == 141
    stdout.broken = False


def test_memory_that_runs_out(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def do(arguments: list[str]) -> int:
        raise MemoryError

    monkeypatch.setattr(aadn.cli.main, "_do", do)
    assert main(["detect"]) == 3
    assert capsys.readouterr().err == "aadn: error: not enough memory\n"


def test_warnings_are_a_line(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def do(arguments: list[str]) -> int:
        warnings.simplefilter("always")
        warnings.warn("look", stacklevel=1)
        return 0

    monkeypatch.setattr(aadn.cli.main, "_do", do)
    assert main(["detect"]) == 0
    assert capsys.readouterr().err == "aadn: warning: look\n"


def test_a_package_that_is_not_there() -> None:
    with (
        pytest.raises(MissingDependencyError, match=r"^training needs nowhere_at_all: "),
        needs_torch("training"),
    ):
        import nowhere_at_all  # type: ignore[import-not-found]  # noqa: F401
    with (
        pytest.raises(MissingDependencyError, match=r"pip install '\.\[train\]'"),
        needs_torch("training"),
    ):
        raise ImportError
    # A fault of ours is not called a missing package.
    with pytest.raises(ImportError, match="moved"), needs_torch("training"):
        raise ImportError("moved", name="aadn.training")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é×…", "é×…"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m\x7f\x9b", "\\x1b[31m\\x7f\\x9b"),
        ("\udce9", "\udce9"),  # left to the stream
    ],
)
def test_text_for_a_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert plain("a\n\x1b", keep="\n") == "a\n\\x1b"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("--version >&-", 7, "", "aadn: error: standard output is closed; >/dev/null drops what "
         "is printed\n"),
        ("detect none.jpg >&-", 7, "", None),
        ("--version 2>&-", 0, f"aadn {aadn.__version__}\n", ""),
        ("detect none.jpg 2>&-", 4, "", ""),  # and the error is not on stdout
        ("detect - <&-", 4, "", "aadn: error: /dev/stdin: standard input is closed, expected a "
         "picture\n"),
        ("detect - </dev/null", 4, "", None),
    ],
)  # fmt: skip
def test_closed_streams(command: str, code: int, out: str, err: str | None, tmp_path: Path) -> None:
    child = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m aadn {command}'],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert (child.returncode, child.stdout) == (code, out)
    if err is None:
        assert child.stderr.startswith("aadn: error: ")
        assert child.stderr.count("\n") == 1
    else:
        assert child.stderr == err


def test_starting_loads_little() -> None:
    program = (
        "import sys; from aadn.cli.main import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'matplotlib', 'onnxruntime', 'onnx', 'scipy', 'h5py', 'tyro'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    for arguments, loaded in ((["--version"], ""), (["detect", "--help"], "tyro"),
                              (["--help"], "tyro")):  # fmt: skip
        out = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        assert out.splitlines()[-1] == loaded
