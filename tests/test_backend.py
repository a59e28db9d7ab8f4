"""What runs a network: exported files, their cards, and many processes and threads with one."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_backend import SIZE, StubBackend

from aadn import Landmarker, load_image
from aadn.errors import InputError, NetworkError, WeightsError
from aadn.inference import weights as embedded
from aadn.inference.backend import CHUNK, Card
from aadn.inference.estimates import Estimates
from aadn.inference.onnx import OnnxBackend
from aadn.inference.weights import digest, load_exported, load_weights
from aadn.schemes import IBUG68, SCHEMES, Scheme

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
BOX = [[177.0, 87.0, 273.0, 178.0]]
FIVE = Scheme.of(
    {"name": "five", "points": 5, "flip": [[0, 1], [3, 4]], "contours": {"mouth": [3, 4]}}
)

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def write_stub(path: Path, **changes: Any) -> Path:
    from stub_network import write_stub  # skips where onnx is not installed

    return write_stub(path, **changes)


def some_crops(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 255, (count, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("scheme", [IBUG68, FIVE], ids=lambda s: s.name)
def test_a_file_gives_what_its_network_gives(tmp_path: Path, scheme: Scheme) -> None:
    card = Card("stub", scheme, SIZE, 1.3, 0.5).to_dict()
    backend = OnnxBackend(write_stub(tmp_path / "a.onnx", points=scheme.size, **card))
    own = StubBackend(scheme)
    assert backend.card == own.card
    got, expected = backend(some_crops(3)), own(some_crops(3))
    for name in ("points", "visibility", "uncertainty", "occlusion"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=1e-3)
    assert len(backend(some_crops(0))) == 0
    assert backend(some_crops(0)).landmarks == scheme.size


def test_more_crops_than_go_through_at_a_time(tmp_path: Path) -> None:
    backend = OnnxBackend(write_stub(tmp_path / "a.onnx"))
    crops = some_crops(2 * CHUNK + 3)
    together = backend(crops)
    assert len(together) == 2 * CHUNK + 3
    for i in (0, CHUNK - 1, CHUNK, 2 * CHUNK + 2):
        alone = backend(crops[i : i + 1])
        for name in ("points", "visibility", "uncertainty", "occlusion"):
            np.testing.assert_allclose(getattr(together, name)[i], getattr(alone, name)[0], 1e-4)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_out_of_range(tmp_path: Path, threads: int) -> None:
    with pytest.raises(InputError, match="1 thread or more"):
        load_exported(tmp_path / "a.onnx", threads=threads)


def test_files_that_are_no_network_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(WeightsError, match="cannot be read"):
        load_exported(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_exported(tmp_path)
    for content in (b"", b"hello", b"\x80\x04}q\0."):
        path.write_bytes(content)
        with pytest.raises(WeightsError) as error:
            load_exported(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_half_a_file(tmp_path: Path) -> None:
    path = write_stub(tmp_path / "a.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="not a complete ONNX file"):
        load_exported(path)


def test_a_checkpoint_is_to_be_exported_first(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"aadn export .*a\.safetensors --out a\.onnx"):
        Landmarker(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"\.onnx file of 'aadn export' or a \.safetensors"):
        load_weights(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "not one of aadn's"),
        ({"format": 2}, "another version"),
        ({"size": 64}, "expected input 'images'"),
        ({"size": "large"}, "out of range"),
        ({"landmarks": 67}, "does not have 67"),
        ({"scheme": "cofw29", "landmarks": 29}, r"points \(N, 29, 2\)"),
        ({"scheme": "cofw29"}, "does not have 68"),
        ({"scheme": "mine"}, "or its definition; got 'mine'"),
        ({"scheme": ["mine"]}, "not as expected"),
        ({"scheme_definition": 7}, "a table of a scheme's entries"),
        ({"scheme_definition": {"name": "mine", "points": 5}}, "'mine' does not have 68"),
        ({"crop_factor": "wide"}, "not as expected"),
        ({"visibility_threshold": 7}, "out of range"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.onnx"
    write_stub(path, **changes)
    with pytest.raises(WeightsError, match=message):
        load_exported(path)


@given(
    st.sampled_from([*SCHEMES.values(), FIVE]),
    st.integers(1, 1000),
    st.floats(0.1, 9),
    st.floats(0, 1),
)
def test_card_text_and_back(scheme: Scheme, size: int, factor: float, threshold: float) -> None:
    card = Card("aadn", scheme, size, factor, threshold)
    assert Card.from_json(card.to_json()) == card
    assert ("scheme_definition" in card.to_dict()) == (scheme == FIVE)


def test_two_schemes_of_a_name_are_told_apart() -> None:
    other = Scheme.of({**IBUG68.to_dict(), "groups": {}})
    card = Card("aadn", other, 64, 1.3, 0.5)
    assert Card.from_json(card.to_json()).scheme == other != IBUG68


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "null", "7"])
def test_text_that_is_no_card(text: str) -> None:
    with pytest.raises(InputError):
        Card.from_json(text)


def test_an_output_that_is_all_nan_is_absent(tmp_path: Path) -> None:
    """As in files of aadn 0.1."""
    nan = {"uncertainty": "all", "occlusion": "all"}
    path = write_stub(tmp_path / "a.onnx", nan=nan)
    estimates = OnnxBackend(path)(some_crops(CHUNK + 1))
    assert estimates.uncertainty is None
    assert estimates.occlusion is None
    assert np.isfinite(estimates.points).all()
    faces = Landmarker(path)(np.full((90, 90, 3), 30, np.uint8), boxes=[[20, 20, 60, 60]])
    assert np.isnan(faces.uncertainty).all()
    assert faces.to_dict()["faces"][0]["uncertainty"] is None


def test_a_file_of_three_outputs(tmp_path: Path) -> None:
    estimates = OnnxBackend(write_stub(tmp_path / "a.onnx", uncertain=False))(some_crops(2))
    assert estimates.uncertainty is None
    assert estimates.occlusion is not None


@pytest.mark.parametrize("output", ["points", "visibility", "uncertainty", "occlusion"])
@pytest.mark.parametrize("where", ["first", "bright"])
def test_a_network_that_gives_nan(tmp_path: Path, output: str, where: str) -> None:
    """Even where all of a picture's values are NaN, if others' are not."""
    backend = OnnxBackend(write_stub(tmp_path / "a.onnx", nan={output: where}))
    bright = np.full((2, SIZE, SIZE, 3), 200, np.uint8)
    for crops in (bright, bright[:1], np.concatenate([bright[:1] // 4, bright[:1]])):
        with pytest.raises(NetworkError, match=f"{output} that is not finite"):
            backend(crops)
    if where == "bright":
        assert len(backend(bright // 4)) == 2


@pytest.mark.parametrize("output", ["points", "visibility"])
def test_a_network_all_of_whose_points_are_nan(tmp_path: Path, output: str) -> None:
    backend = OnnxBackend(write_stub(tmp_path / "a.onnx", nan={output: "all"}))
    with pytest.raises(NetworkError, match=output):
        backend(some_crops(1))


def test_estimates_of_another_shape() -> None:
    points, visibility = np.zeros((2, 68, 2), np.float32), np.ones((2, 68), np.float32)
    for changes in (
        {"points": points[..., 0:1]},
        {"visibility": visibility[:1]},
        {"uncertainty": visibility[:, 1:]},
        {"occlusion": np.zeros((2, 8, 8), np.float32)},
    ):
        with pytest.raises(NetworkError, match=f"expected {next(iter(changes))} of shape"):
            Estimates(**{"points": points, "visibility": visibility, **changes})


def test_the_embedded_model_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "default.onnx"
    monkeypatch.setitem(embedded.EMBEDDED, "default", path)
    with pytest.raises(WeightsError, match="reinstall"):
        load_exported()
    path.write_bytes(b"network")
    with pytest.raises(WeightsError, match=r"default\.json.*reinstall"):
        load_exported()
    card = path.with_suffix(".json")
    card.write_text(json.dumps({"sha256": hashlib.sha256(b"other").hexdigest()}))
    with pytest.raises(WeightsError, match="not the one its card describes"):
        load_exported("default")
    assert digest() == digest("default") == digest(path) == hashlib.sha256(b"network").hexdigest()
    card.write_text(json.dumps({"sha256": digest()}))
    with pytest.raises(WeightsError, match="not a complete ONNX file"):
        load_exported()


def test_it_pickles_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    backend = load_exported(threads=2)
    text = pickle.dumps(backend)
    assert len(text) < 1000
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(text)
    assert (again.session.path, again.session.threads, again.card) == (
        backend.session.path,
        2,
        backend.card,
    )


def in_a_fork(ask: Callable[[], bool]) -> bool:
    """What a forked process answers; an error if it does not come back within a minute."""
    process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(not ask()))
    process.start()
    process.join(60)
    process.kill()
    process.join()
    return process.exitcode == 0


@forks
@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 3])
def test_it_works_in_processes_forked_after_its_use(threads: int) -> None:
    kept: list[Landmarker] = [Landmarker(threads=threads)]
    image = load_image(ASTRONAUT)
    expected = kept[0](image, boxes=BOX).points

    def same(_: int = 0) -> bool:
        return bool((kept[0](image, boxes=BOX).points == expected).all())

    def in_threads() -> bool:
        with ThreadPoolExecutor(3) as pool:
            return all(pool.map(same, range(6)))

    def thrown_away() -> bool:
        answer = same()
        kept.clear()
        return answer

    def thrown_away_at_once() -> bool:
        kept.clear()
        return True

    for ask in (same, in_threads, thrown_away, thrown_away_at_once, lambda: in_a_fork(same)):
        assert in_a_fork(ask)
    with ThreadPoolExecutor(2) as pool:  # while others use it
        busy = [pool.submit(same) for _ in range(20)]
        for _ in range(3):
            assert in_a_fork(same)
        assert all(future.result() for future in busy)


@pytest.mark.slow
def test_it_works_in_spawned_processes() -> None:
    landmarker = Landmarker(threads=1)
    expected = landmarker(ASTRONAUT, boxes=BOX).points
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        got = pool.apply(landmarker, (ASTRONAUT, BOX))
    np.testing.assert_allclose(got.points, expected, atol=1e-3)


def test_onnx_runtime_keeps_no_usage_data(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    code = f"from aadn import Landmarker; Landmarker()({str(ASTRONAUT)!r}, {BOX})"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match="no embedded network of that name; expected one of def"):
        load_exported("defalt")
