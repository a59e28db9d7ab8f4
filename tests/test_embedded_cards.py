"""The cards of the embedded networks say what the files are."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from aadn.inference.onnx import OnnxBackend
from aadn.inference.weights import EMBEDDED, int8_file

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=list(EMBEDDED.values()), ids=list(EMBEDDED))
def weights(request: pytest.FixtureRequest) -> Path:
    file: Path = request.param
    return file


@pytest.fixture
def card(weights: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text("utf-8"))
    return content


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_files_are_those_that_it_names(card: dict[str, Any], weights: Path) -> None:
    assert card["file"] == weights.name
    assert card["sha256"] == sha256(weights)
    assert card["checkpoint"]["sha256"] == sha256(weights.with_name(card["checkpoint"]["file"]))


def test_it_says_where_the_weights_come_from(card: dict[str, Any]) -> None:
    training = card["training"]
    if training["initial"] is None:
        assert card["parent"] is None
    else:
        assert re.fullmatch(r"[0-9a-f]{64}", card["parent"])
        assert card["parent"] != card["checkpoint"]["sha256"]
        assert Path(training["initial"]).name == card["checkpoint"]["file"]  # as it was then
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", card["commit"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", card["version"])
    assert card["data"]
    assert card["licence"]
    assert card["scores"]


def test_it_says_what_the_file_says_of_itself(card: dict[str, Any], weights: Path) -> None:
    of_file = OnnxBackend(weights).card.to_dict()
    assert {key: card[key] for key in of_file} == of_file
    assert card["parity_px"] <= 1e-4


def test_the_chance_that_landmarks_are_right_is_fitted(card: dict[str, Any]) -> None:
    assert card["quality"]["slope"] < 0  # the more it is unsure, the lower


def test_int8_keeps_what_float32_knows(card: dict[str, Any], weights: Path) -> None:
    assert int8_file(weights).exists() == ("int8" in card)
    for nme, auc, nme8, auc8 in card.get("int8", {"held_out": {}})["held_out"].values():
        assert nme8 <= nme + 0.05
        assert auc is None or auc8 >= auc - 0.002
