"""Training: it learns, resumes to the same numbers, refuses what it cannot use."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faces import write_faces

torch = pytest.importorskip("torch")

from aadn.data.folders import read_folders  # noqa: E402
from aadn.errors import InputError, OutputError, WeightsError  # noqa: E402
from aadn.models import checkpoint  # noqa: E402
from aadn.models.build import build  # noqa: E402
from aadn.models.prediction import Prediction  # noqa: E402
from aadn.training.config import ModelConfig, TrainConfig  # noqa: E402
from aadn.training.crops import cut_crops  # noqa: E402
from aadn.training.loop import load, relabelled, train, validate  # noqa: E402

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), 40)


def small(data: Path, out: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(
        folders=(data,), out=out, model=ModelConfig(size=32), epochs=2, batch=8, warmup=2,
        hold_out=0.2, workers=0, device="cpu", precision="fp32",
    )  # fmt: skip
    return replace(config, **changes)  # type: ignore[arg-type]


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def same(first: Path, second: Path) -> bool:
    a, b = checkpoint.load(first)[0], checkpoint.load(second)[0]
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns(data: Path, tmp_path: Path) -> None:
    config = small(data, tmp_path / "run", epochs=12, paint_occluders=False, ema=0.8)
    best = train(config)
    records = log(tmp_path / "run")
    assert len(records) == 12
    assert records[-1]["nme"] < 0.5 * records[0]["nme"]
    assert all(r["images_per_second"] > 0 for r in records)
    assert 0.05 <= records[-1]["visibility_threshold"] <= 0.95
    assert 0 <= records[-1]["calibration_error"] <= 1
    assert 0.2 < records[-1]["uncertainty_ratio"] < 5
    network = checkpoint.load_network(best)
    points, visibility, occlusion, uncertainty = network(np.zeros((3, 32, 32, 3), np.uint8))
    assert points.shape == (3, 68, 2)
    assert ((visibility >= 0) & (visibility <= 1)).all()
    assert occlusion.shape == (3, 7, 7)
    assert (uncertainty > 0).all()


def test_the_threshold_counts_faces_as_they_are(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.7 finds all on occluded faces, but calls all hidden on faces as they are."""

    def predictions(network: Any, draws: Any, stored: Any, half: bool) -> Any:
        for i in range(len(draws)):
            points = torch.from_numpy(draws[(0, i)]["points"])[None]
            seen = torch.ones(1, 68)
            given = torch.full((1, 68), 0.9 if draws.occluders else 0.6)
            if draws.occluders:
                seen[:, :20], given[:, :10], given[:, 10:20] = 0, 0.2, 0.65
            yield Prediction(points, torch.logit(given)), {"points": points, "visible": seen}

    monkeypatch.setattr("aadn.training.loop._predictions", predictions)
    config = small(data, tmp_path)
    crops = cut_crops(read_folders([data], 68)[:4], 32)
    weights = build(config.model).state_dict()
    result = validate(config, weights, crops, torch.device("cpu"), False)
    assert result["visibility_auc"] == 1
    assert result["visibility_threshold"] is not None
    assert 0.2 < result["visibility_threshold"] <= 0.6


@pytest.mark.parametrize("name", ["resnet18", "odn", "aadn"])
def test_the_papers_networks_train(data: Path, tmp_path: Path, name: str) -> None:
    model = ModelConfig(name=name, size=32)  # type: ignore[arg-type]
    train(small(data, tmp_path, model=model, epochs=1))
    record = log(tmp_path)[0]
    assert {"squared", "visibility"} <= record.keys()
    assert (record["nuclear"] > 0) == (name != "resnet18")


def test_resumed_training_reaches_the_same_numbers(data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(small(data, whole, epochs=3))
    # The learning rate depends on the whole length: stop a run of 3 epochs after the first.
    process = _start(data, parts)
    try:
        _until(lambda: (parts / "last.safetensors").exists(), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = checkpoint.load(parts / "last.safetensors")[2]["epoch"]
    assert done < 3, "the run ended before it could be killed"
    train(small(data, parts, epochs=3, resume=True))
    assert same(whole / "last.safetensors", parts / "last.safetensors")
    assert same(whole / "best.safetensors", parts / "best.safetensors")
    drop = ("images_per_second",)
    plain = [{k: v for k, v in r.items() if k not in drop} for r in log(whole)]
    assert plain == [{k: v for k, v in r.items() if k not in drop} for r in log(parts)]


def _start(data: Path, out: Path) -> "subprocess.Popen[bytes]":
    script = (
        "import sys, time, torch; sys.path.insert(0, sys.argv[3])\n"
        "torch.set_num_threads(int(sys.argv[4]))\n"
        "from pathlib import Path; from test_train import small\n"
        "from aadn.training import loop as t\n"
        "say = t.say; t.say = lambda line: (say(line), time.sleep(1.5))\n"
        "t.train(small(Path(sys.argv[1]), Path(sys.argv[2]), epochs=3))\n"
    )
    threads = str(torch.get_num_threads())
    arguments = [str(data), str(out), str(Path(__file__).parent), threads]
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=REPOSITORY)


def _until(done: object, process: "subprocess.Popen[Any]", limit: float = 120) -> None:
    deadline = time.monotonic() + limit
    while not done():  # type: ignore[operator]
        assert process.poll() is None, "the training process ended early"
        assert time.monotonic() < deadline, "no checkpoint in time"
        time.sleep(0.01)


TWO = """
import hashlib, os, sys, torch
sys.path.insert(0, sys.argv[3])
torch.set_num_threads(1)
from pathlib import Path
from test_train import small
from aadn.training import loop as t
networks, move = [], t._move_average
t._move_average = lambda average, network, *rest: (networks.append(network),
                                                   move(average, network, *rest))
out = Path(sys.argv[2])
t.train(small(Path(sys.argv[1]), out, epochs=int(sys.argv[4]), resume=int(sys.argv[4]) > 1))
weights = b"".join(p.detach().numpy().tobytes() for p in networks[-1].parameters())
(out / f"rank{os.environ['RANK']}").write_text(hashlib.sha256(weights).hexdigest())
"""


def test_two_processes_keep_the_same_weights(data: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "two.py", tmp_path / "run"
    script.write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [*command, str(script), str(data), str(out), str(Path(__file__).parent), "1"],
        check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=REPOSITORY,
        capture_output=True,
    )  # fmt: skip
    assert (out / "rank0").read_text() == (out / "rank1").read_text()
    records = log(out)
    assert [r["epoch"] for r in records] == [1]
    assert records[0]["step"] == 4  # 32 faces in steps of 8 over both processes
    with pytest.raises(InputError, match="processes was 2, is 1"):
        train(small(data, out, epochs=1, resume=True))


def test_the_number_of_workers_makes_no_difference(data: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        train(small(data, tmp_path / str(workers), epochs=1, workers=workers))
    assert same(tmp_path / "0" / "last.safetensors", tmp_path / "2" / "last.safetensors")


def test_resuming_nothing_starts_anew(data: Path, tmp_path: Path) -> None:
    train(small(data, tmp_path, epochs=1, resume=True))
    assert len(log(tmp_path)) == 1


def test_weights_alone_cannot_be_resumed(data: Path, tmp_path: Path) -> None:
    best = train(small(data, tmp_path / "a", epochs=1))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "last.safetensors").write_bytes(best.read_bytes())
    with pytest.raises(WeightsError, match="--initial"):
        train(small(data, tmp_path / "b", epochs=1, resume=True))


def test_training_faces_are_no_validation(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training pictures too"):
        train(small(data, tmp_path, validation=(data,)))


def test_ctrl_c_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = f"train {data} --out {out} --epochs 500 --batch 8 --workers 1 --model.size 32"
    process = subprocess.Popen(
        [sys.executable, "-m", "aadn", *arguments.split()], stderr=subprocess.PIPE, text=True
    )
    try:
        _until(lambda: (out / "last.safetensors").exists(), process)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in error
    assert "Traceback" not in error


def test_an_existing_run_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    train(small(data, tmp_path, epochs=1))
    with pytest.raises(OutputError, match="--resume"):
        train(small(data, tmp_path, epochs=1))
    with pytest.raises(InputError, match="learning_rate was"):
        train(small(data, tmp_path, epochs=1, resume=True, learning_rate=0.1))


def test_a_checkpoint_can_start_another_run(data: Path, tmp_path: Path) -> None:
    best = train(small(data, tmp_path / "a", epochs=1))
    train(small(data, tmp_path / "b", epochs=1, initial=best))
    with pytest.raises(WeightsError, match="expected ModelConfig"):
        train(small(data, tmp_path / "c", initial=best, model=ModelConfig(size=32, reduction=16)))
    train(small(data, tmp_path / "d", epochs=1, initial=best, model=ModelConfig(size=48)))


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"hold_out": 1.0}, {"hold_out": 0.0},
     {"trunk": "resnet18"}, {"relabel": True}, {"twice": (Path("other"),)},
     {"seed": -1}, {"device": "tpu"}, {"mirror": 2.0}],
)  # fmt: skip
def test_unusable_settings_are_refused(
    data: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        train(small(data, tmp_path, **changes))


def test_a_loss_that_explodes_is_named(data: Path, tmp_path: Path) -> None:
    model = ModelConfig(name="resnet18", size=32)
    with pytest.raises(InputError, match="learning-rate"):
        train(small(data, tmp_path, model=model, learning_rate=1e30, warmup=0))


def test_faces_of_some_folders_count_twice(data: Path, tmp_path: Path) -> None:
    other = write_faces(tmp_path / "other", 10, seed=1)
    config = small(data, tmp_path / "run", folders=(data, other), twice=(other,), hold_out=0.2)
    faces = load(config)
    once = load(replace(config, twice=()))
    assert not {p.tobytes() for p in faces.validation.images} & {
        p.tobytes() for p in faces.training.images
    }
    np.testing.assert_array_equal(faces.training.images, once.training.images)
    assert faces.rows[: len(once.rows)].tolist() == list(range(len(once.training.images)))
    again = faces.rows[len(once.rows) :]
    assert 5 <= len(set(again)) == len(again) <= 10
    of_other = cut_crops(read_folders([other], 68), 32).images
    assert {faces.training.images[row].tobytes() for row in again} <= {
        image.tobytes() for image in of_other
    }
    thrice = load(replace(config, twice=(other, other)))
    assert thrice.rows.tolist() == [*faces.rows, *again]
    assert train(config, faces).exists()


def test_relabelling_takes_what_the_initial_network_sees(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = train(small(data, tmp_path / "run", epochs=1))
    config = small(data, tmp_path / "again", initial=best, relabel=True, model=ModelConfig(size=48))
    crops = load(config).training
    unlike = replace(crops, visible=crops.visible.copy())
    unlike.visible[0, :3] = 0  # known to be hidden
    network = checkpoint.load_network(best)
    # It sees 32 pixels, whatever the new run does: the middle two thirds of the stored 72.
    to_crop = np.array([[32 / 48, 0, 15.5 - 35.5 * 32 / 48], [0, 32 / 48, 15.5 - 35.5 * 32 / 48]])
    seen = network(np.stack([cv2.warpAffine(p, to_crop, (32, 32)) for p in crops.images]))[1]
    # Limits that it has landmarks on all sides of, little as it was trained.
    low, high = np.quantile(seen, [0.33, 0.67])
    monkeypatch.setattr("aadn.training.loop.HIDDEN", low)
    monkeypatch.setattr("aadn.training.loop.SEEN", high)
    labelled = np.zeros(len(unlike.images), bool)
    labelled[1] = True
    unlike.visible[1] = np.resize([0, 1, np.nan], 68)
    labels = relabelled(config, unlike, labelled, torch.device("cpu"), False).visible
    assert (labels[0, :3] == 0).all()
    np.testing.assert_array_equal(labels[1], unlike.visible[1])
    seen, labels = np.delete(seen, 1, axis=0), np.delete(labels, 1, axis=0)
    sure = np.abs(seen[1:, :, None] - [low, high]).min(axis=2) > 0.05 * (high - low)
    assert sure.mean() > 0.5
    expected = np.where(seen < low, 0.0, np.where(seen < high, np.nan, 1.0))
    np.testing.assert_array_equal(labels[1:][sure], expected[1:][sure])
    assert train(config).exists()


def test_labels_of_visibility(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On held-out faces and those of --validation too; what is labelled is not relabelled."""
    other = write_faces(tmp_path / "other", 6, seed=1)
    best = train(small(data, tmp_path / "first", epochs=1))
    config = small(data, tmp_path / "run", epochs=1, validation=(other,))
    plain = load(config)
    assert not plain.labelled.any()
    names = [f"{f.name}/{p.name}" for f in (data, other) for p in sorted(f.glob("*.png"))]
    file = tmp_path / "hidden.json"
    face = {"hidden": [[0, 1]], "unsure": [[5]]}
    file.write_text(json.dumps(dict.fromkeys(names[:30] + names[-6:], face)), "utf-8")
    config = replace(config, visibility_labels=(file,), relabel=True, initial=best)
    faces = load(config)
    counts = []
    for crops, before in ((faces.training, plain.training), (faces.validation, plain.validation)):
        changed = (crops.visible[:, :2] == 0).all(axis=1)
        assert np.isnan(crops.visible[changed, 5]).all()
        np.testing.assert_array_equal(crops.visible[~changed], before.visible[~changed])
        np.testing.assert_array_equal(crops.visible[:, 6:], before.visible[:, 6:])
        if crops is faces.training:
            np.testing.assert_array_equal(faces.labelled, changed)
        counts.append(int(changed.sum()))
    assert sum(counts) == 36
    assert counts[1] >= 6

    given = []

    def asked(*arguments: Any) -> Any:
        given.append(arguments[2])
        return relabelled(*arguments)

    monkeypatch.setattr("aadn.training.loop.relabelled", asked)
    assert train(config, faces).exists()
    np.testing.assert_array_equal(given[0], faces.labelled)
