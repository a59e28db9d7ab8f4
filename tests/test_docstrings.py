"""The examples in docstrings are true; each public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest
from conftest import REPOSITORY

import aadn

EXAMPLES = {
    name: [test for test in doctest.DocTestFinder(recurse=False).find(value, name) if test.examples]
    for name, value in {"aadn": aadn, **{n: getattr(aadn, n) for n in aadn.__all__}}.items()
    if not isinstance(value, str)
}


def is_error(name: str) -> bool:
    value = getattr(aadn, name, None)
    return inspect.isclass(value) and issubclass(value, Exception)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not is_error(name)])
def test_public_names_have_examples_that_are_true(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert EXAMPLES[name]
    for test in EXAMPLES[name]:
        failed, _ = doctest.DocTestRunner().run(test)
        assert not failed, capsys.readouterr().out


@pytest.mark.parametrize("name", ["aadn.schemes", "aadn.faces", "aadn.inference.landmarker"])
def test_public_names_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    for public, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == name and not public.startswith("_"):
            assert value.__doc__
            for member, function in vars(value).items():
                if inspect.isfunction(function) and not member.startswith("_"):
                    assert function.__doc__, f"{public}.{member}"
