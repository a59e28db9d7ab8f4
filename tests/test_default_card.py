"""The embedded model's card says what the files are."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from aadn.inference.onnx import OnnxBackend
from aadn.inference.weights import DEFAULT, EMBEDDED

ROOT = Path(__file__).parents[1]
WEIGHTS = EMBEDDED[DEFAULT]


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(WEIGHTS.with_suffix(".json").read_text("utf-8"))
    return content


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_files_are_those_that_it_names(card: dict[str, Any]) -> None:
    assert card["file"] == WEIGHTS.name
    assert card["sha256"] == sha256(WEIGHTS)
    assert card["checkpoint"]["sha256"] == sha256(ROOT / card["checkpoint"]["file"])


def test_it_says_where_the_weights_come_from(card: dict[str, Any]) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", card["parent"])
    assert card["parent"] != card["checkpoint"]["sha256"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", card["commit"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", card["version"])
    assert card["training"]["initial"] == card["checkpoint"]["file"]  # as it was at the time
    assert card["data"]


def test_it_says_what_the_file_says_of_itself(card: dict[str, Any]) -> None:
    of_file = OnnxBackend(WEIGHTS).card.to_dict()
    assert {key: card[key] for key in of_file} == of_file
