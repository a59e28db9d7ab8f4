"""Training: it learns, resumes to the same numbers, refuses what it cannot use."""

import functools
import hashlib
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import tyro
from faces import write_faces
from heads import head_file
from tqdm import tqdm

torch = pytest.importorskip("torch")

import aadn  # noqa: E402
from aadn.data.folders import read_folders  # noqa: E402
from aadn.errors import (  # noqa: E402
    AadnError,
    AnnotationError,
    InputError,
    NetworkError,
    OutputError,
    WeightsError,
)
from aadn.inference.pytorch import TorchBackend  # noqa: E402
from aadn.models import checkpoint  # noqa: E402
from aadn.models.build import build  # noqa: E402
from aadn.models.network import Network  # noqa: E402
from aadn.models.prediction import Prediction  # noqa: E402
from aadn.models.registry import NETWORKS, Entry, ModelConfig, ModelName  # noqa: E402
from aadn.schemes import IBUG68  # noqa: E402
from aadn.training.config import LossWeights, TrainConfig  # noqa: E402
from aadn.training.crops import cut_crops  # noqa: E402
from aadn.training.faces import load  # noqa: E402
from aadn.training.loop import train  # noqa: E402
from aadn.training.optimiser import rate  # noqa: E402
from aadn.training.provenance import commit_of, provenance_of  # noqa: E402
from aadn.training.relabel import initial_landmarker, relabelled  # noqa: E402
from aadn.training.resume import plain, same_run  # noqa: E402
from aadn.training.validate import validate  # noqa: E402

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), 40)


def small(data: Path, out: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(
        folders=(data,), out=out, model=ModelConfig(size=32), epochs=2, batch=8, warmup=2,
        hold_out=0.2, workers=0, device="cpu", precision="fp32", epoch_faces=1,
    )  # fmt: skip
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of a run of one epoch."""
    return train(small(data, tmp_path_factory.mktemp("trained") / "run", epochs=1))


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def same(first: Path, second: Path) -> bool:
    a, b = checkpoint.load(first).tensors, checkpoint.load(second).tensors
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
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
    given = TorchBackend.load(best)(np.zeros((3, 32, 32, 3), np.uint8))
    assert given.points.shape == (3, 68, 2)
    assert ((given.visibility >= 0) & (given.visibility <= 1)).all()
    assert given.occlusion is not None
    assert given.occlusion.shape == (3, 7, 7)
    assert given.uncertainty is not None
    assert (given.uncertainty > 0).all()


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
            yield Prediction(points, torch.logit(given)), {
                "points": points, "visible": seen, "turned": torch.full((1, 68), torch.nan)
            }  # fmt: skip

    monkeypatch.setattr("aadn.training.validate.predictions", predictions)
    config = small(data, tmp_path)
    crops = cut_crops(read_folders([data], 68)[:4], IBUG68, 32)
    weights = build(config.model).state_dict()
    result = validate(config, weights, crops, torch.device("cpu"), False)
    assert result["visibility_auc"] == 1
    assert result["visibility_threshold"] is not None
    assert 0.2 < result["visibility_threshold"] <= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "odn", "aadn"])
def test_the_papers_networks_train(data: Path, tmp_path: Path, name: str) -> None:
    model = ModelConfig(name=name, size=32)  # type: ignore[arg-type]
    train(small(data, tmp_path, model=model, epochs=1))
    record = log(tmp_path)[0]
    assert {"squared", "visibility"} <= record.keys()
    assert (record["nuclear"] > 0) == (name != "resnet18")


@pytest.mark.slow
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
    done = checkpoint.load(parts / "last.safetensors").state["epoch"]
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
        "from aadn.training.loop import train\n"
        "slowly = lambda line: time.sleep(1.5)\n"
        "train(small(Path(sys.argv[1]), Path(sys.argv[2]), epochs=3), tell=slowly)\n"
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
networks, move = [], t.move_average
t.move_average = lambda average, network, *rest: (networks.append(network),
                                                  move(average, network, *rest))
out = Path(sys.argv[2])
t.train(small(Path(sys.argv[1]), out, epochs=int(sys.argv[4]), resume=int(sys.argv[4]) > 1))
weights = b"".join(p.detach().numpy().tobytes() for p in networks[-1].parameters())
(out / f"rank{os.environ['RANK']}").write_text(hashlib.sha256(weights).hexdigest())
"""


def test_few_faces_are_gone_through_several_times(data: Path, tmp_path: Path) -> None:
    faces = load(small(data, tmp_path, epoch_faces=70))
    assert faces.rows.tolist() == [*range(32), *range(32), *range(32)]
    assert load(small(data, tmp_path, epoch_faces=32)).rows.tolist() == [*range(32)]


@pytest.mark.slow
def test_patience_ends_a_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of scores 5, 4, 6, 4, 3 a patience of two ends after the fourth, and goes on with three."""
    scores = [5.0, 4.0, 6.0, 4.0, 3.0]

    def scored(*given: Any) -> Any:
        epoch = len(log(tmp_path)) if (tmp_path / "metrics.jsonl").exists() else 0
        return validate(*given) | {"nme": scores[epoch], "nme_occluded": scores[epoch]}

    monkeypatch.setattr("aadn.training.loop.validate", scored)
    said: list[str] = []
    train(small(data, tmp_path, epochs=5, patience=2), tell=said.append)
    assert len(log(tmp_path)) == 4
    assert said[-1] == "stopped: no epoch was better than 2 in 2"
    train(small(data, tmp_path, epochs=5, patience=2, resume=True), tell=said.append)
    assert len(log(tmp_path)) == 4
    train(small(data, tmp_path, epochs=5, patience=3, resume=True))
    assert checkpoint.load(tmp_path / "best.safetensors").state["metrics"]["epoch"] == 5


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_number_of_workers_makes_no_difference(data: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        train(small(data, tmp_path / str(workers), epochs=1, workers=workers))
    assert same(tmp_path / "0" / "last.safetensors", tmp_path / "2" / "last.safetensors")


@pytest.mark.slow
def test_resuming_nothing_starts_anew(data: Path, tmp_path: Path) -> None:
    train(small(data, tmp_path, epochs=1, resume=True))
    assert len(log(tmp_path)) == 1


def test_weights_alone_cannot_be_resumed(data: Path, tmp_path: Path, trained: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(trained.read_bytes())
    with pytest.raises(WeightsError, match="--initial"):
        train(small(data, tmp_path, epochs=1, resume=True))


def test_training_faces_are_no_validation(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training pictures too"):
        train(small(data, tmp_path, validation=(data,)))


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = f"train {data} --out {out} --epochs 500 --batch 8 --workers 1 --model.size 32"
    command = [sys.executable, "-m", "aadn", *arguments.split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            _until(lambda: (out / "last.safetensors").exists(), process)
            process.send_signal(signal.SIGINT)
            error = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 130
    assert "--resume" in error
    assert "Traceback" not in error


def test_an_existing_run_is_not_overwritten(data: Path, trained: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in trained.parent.iterdir())
    with pytest.raises(OutputError, match="--resume"):
        train(small(data, trained.parent, epochs=1))
    with pytest.raises(InputError, match=r"learning_rate was 0\.0015, is 0\.1; repeat"):
        train(small(data, trained.parent, epochs=1, resume=True, learning_rate=0.1))
    with pytest.raises(InputError, match=r"settings: model\.size was 32, is 48; repeat"):
        train(small(data, trained.parent, epochs=1, resume=True, model=ModelConfig(size=48)))
    assert before == sorted((p, p.stat().st_mtime_ns) for p in trained.parent.iterdir())


@pytest.mark.slow
def test_a_checkpoint_can_start_another_run(data: Path, tmp_path: Path, trained: Path) -> None:
    """At its own input size unless another is asked for."""
    said: list[str] = []
    initial = tmp_path / "initial.safetensors"
    initial.write_bytes(trained.read_bytes())
    own = small(data, tmp_path / "own", epochs=1, initial=initial, model=ModelConfig())
    assert load(own).training.images.shape[1:] == (48, 48, 3)
    best = train(own, tell=said.append)
    assert "the input has 32 pixels, as that of the checkpoint; for another, give --model.size" in (
        said
    )
    assert f"starting from {initial} (32 pixels)" in said
    assert json.loads((tmp_path / "own" / "config.json").read_text())["model"]["size"] == 32
    assert checkpoint.load(best).config.size == 32
    other = replace(own, out=tmp_path / "other", model=ModelConfig(size=48))
    assert checkpoint.load(train(other)).config.size == 48
    initial.unlink()
    train(replace(own, resume=True))  # a run in progress needs it no more


def test_what_a_head_model_teaches(data: Path, tmp_path: Path, trained: Path) -> None:
    head = head_file(tmp_path / "head.npz")
    first = small(
        data, tmp_path / "first", initial=trained, head_model=head, only=("turned",), epochs=1
    )
    best = train(first)
    before, after = checkpoint.load(trained).weights(), checkpoint.load(best).weights()
    for name, tensor in after.items():  # all else stays, normalisation's averages too
        if not name.startswith("turned."):
            assert torch.equal(tensor, before[name]), name
    record = log(first.out)[-1]
    assert record["turned"] > 0
    given = TorchBackend.load(best)(np.zeros((2, 32, 32, 3), np.uint8))
    assert given.turned is not None
    assert ((given.turned >= 0) & (given.visibility + given.turned <= 1 + 1e-6)).all()

    # Trained on without a head model, what it has learned stays as it is.
    second = small(data, tmp_path / "second", initial=best, epochs=1)
    later = checkpoint.load(train(second)).weights()
    assert checkpoint.load(second.out / "best.safetensors").config.turned
    for name, tensor in after.items():
        if name.startswith("turned."):
            assert torch.equal(tensor, later[name])
    assert not torch.equal(later["stem.0.weight"], after["stem.0.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ModelConfig(size=32, turned=True)}, "expected --head-model"),
        ({"only": ("turned",)}, "--only trains parts of the --initial network"),
        ({"relabel_by": Path("x.safetensors")}, "add --relabel"),
        ({"scheme": "cofw29", "head_model": Path("x.npz")}, "landmarks of ibug68"),
        ({"scheme": "cofw29", "closed_eyes": 0.2}, "--closed-eyes is of the landmarks of ibug68"),
        ({"closed_eyes": 1.5}, "closed_eyes, got 1.5"),
        ({"head_model": Path("none.npz")}, r"none\.npz: expected a head model"),
    ],
)
def test_settings_about_heads_that_mean_nothing(
    data: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(small(data, tmp_path / "run", **changes))


def test_only_parts_that_there_are_can_be_trained(
    data: Path, tmp_path: Path, trained: Path
) -> None:
    with pytest.raises(InputError, match=r"--only to name some of attention, .*; got turned"):
        train(small(data, tmp_path / "run", initial=trained, only=("turned",)))


def test_a_teacher_is_imitated(data: Path, tmp_path: Path, trained: Path) -> None:
    """Learned from its teacher alone, another network comes to give what the teacher gives."""
    alone = LossWeights(0, 0, 0, 0, 0, 0, 0, 0, teacher=1.0)
    changes = {"loss": alone, "epochs": 16, "learning_rate": 3e-3, "seed": 5, "taught": 1.0}
    run = small(data, tmp_path / "run", teacher=trained, **changes)
    train(run)
    distances = [record["teacher"] for record in log(run.out)]
    assert distances[-1] < 0.6 * distances[0]
    same = small(data, tmp_path / "same", teacher=trained, initial=trained, only=("shift",))
    train(same)
    assert log(same.out)[0]["teacher"] < 1e-6  # frozen, it is its teacher


def test_a_teacher_leaves_before_the_end(data: Path, tmp_path: Path, trained: Path) -> None:
    run = small(data, tmp_path / "run", teacher=trained, epochs=4, taught=0.5)
    train(run)
    assert ["teacher" in record for record in log(run.out)] == [True, True, False, False]


@pytest.mark.parametrize("model", [ModelConfig(size=64), ModelConfig(name="resnet18", size=32)])
def test_a_teacher_has_the_shape_of_who_learns(
    data: Path, tmp_path: Path, trained: Path, model: ModelConfig
) -> None:
    loss = LossWeights(teacher=0.0) if model.name == "resnet18" else LossWeights()
    with pytest.raises(InputError, match="teacher"):
        train(small(data, tmp_path / "run", teacher=trained, model=model, loss=loss))


def test_of_more_folders_none_is_held_out(data: Path, tmp_path: Path) -> None:
    more = write_faces(tmp_path / "more", 5)
    plain = load(small(data, tmp_path / "run"))
    both = load(small(data, tmp_path / "run", more_folders=(more,)))
    np.testing.assert_array_equal(both.validation.images, plain.validation.images)
    assert len(both.rows) == len(plain.rows) + 5


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch": 0}, {"learning_rate": -1.0}, {"hold_out": 1.0}, {"hold_out": 0.0},
     {"trunk": "resnet18"}, {"relabel": True}, {"twice": (Path("other"),)},
     {"seed": -1}, {"device": "tpu"}, {"mirror": 2.0}, {"warmup": -1},
     {"model": ModelConfig(size=40)}, {"model": ModelConfig(name="odn", size=40)}],
)  # fmt: skip
def test_unusable_settings_are_refused(
    data: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        train(small(data, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"initial": Path("none.safetensors")}, WeightsError, "no such file"),
        ({"folders": (Path("none"),)}, AnnotationError, "none: expected a folder"),
        ({"occluders": (Path("none"),)}, AadnError, "none"),
        ({"model": ModelConfig(name="odn", size=32), "trunk": "none.pth"}, WeightsError,
         "no weights file at none.pth"),
        ({"model": ModelConfig(geometry=False)}, InputError,
         "--model.no-geometry means nothing for heatmap: it is an option of odn, aadn"),
        ({"scheme": "ibug67"}, InputError, "--scheme ibug67: expected one of aflw19, cofw29"),
        ({"scheme": "cofw29", "model": ModelConfig(landmarks=19, size=32)}, InputError,
         "--scheme cofw29 has 29 landmarks, but --model.landmarks says 19"),
        ({"model": ModelConfig(landmarks=70)}, InputError, "70 points; known are .* --scheme FILE"),
        ({"scheme": "cofw29"}, AnnotationError,
         r"expected 29 landmarks \(cofw29\), got 68; name the labels' scheme with --scheme"),
        ({"benchmark": "wflw", "data": Path("wflw")}, InputError,
         r"WFLW has 98 landmarks \(wflw98\), the network 68 \(ibug68\); add --scheme wflw98"),
    ],
)  # fmt: skip
def test_a_failed_start_leaves_no_folder(
    data: Path, tmp_path: Path, changes: dict[str, object], error: type[AadnError], message: str
) -> None:
    config = replace(small(data, tmp_path / "run"), **changes)  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        train(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_loss_that_explodes_is_named(data: Path, tmp_path: Path) -> None:
    model = ModelConfig(name="resnet18", size=32)
    with pytest.raises(InputError, match="learning-rate"):
        train(small(data, tmp_path, model=model, learning_rate=1e30, warmup=0))


@pytest.mark.slow
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
    of_other = cut_crops(read_folders([other], 68), IBUG68, 32).images
    assert {faces.training.images[row].tobytes() for row in again} <= {
        image.tobytes() for image in of_other
    }
    thrice = load(replace(config, twice=(other, other)))
    assert thrice.rows.tolist() == [*faces.rows, *again]
    assert train(config, faces).exists()


@pytest.mark.slow
def test_relabelling_takes_what_the_initial_network_sees(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = train(small(data, tmp_path / "run", epochs=1))
    config = small(data, tmp_path / "again", initial=best, relabel=True, model=ModelConfig(size=48))
    crops = load(config).training
    unlike = replace(crops, visible=crops.visible.copy())
    unlike.visible[0, :3] = 0  # known to be hidden
    landmarker = initial_landmarker(config, torch.device("cpu"))
    # It sees 32 pixels, whatever the new run does: the middle two thirds of the stored 72.
    to_crop = np.array([[32 / 48, 0, 15.5 - 35.5 * 32 / 48], [0, 32 / 48, 15.5 - 35.5 * 32 / 48]])
    middles = [cv2.warpAffine(picture, to_crop, (32, 32)) for picture in crops.images]
    given = TorchBackend.load(best)(np.stack(middles)).visibility
    # Limits that it has landmarks on all sides of, little as it was trained.
    low, high = np.quantile(given, [0.33, 0.67])
    monkeypatch.setattr("aadn.training.relabel.HIDDEN", low)
    monkeypatch.setattr("aadn.training.relabel.SEEN", high)
    labelled = np.zeros(len(unlike.images), bool)
    labelled[1] = True
    unlike.visible[1] = np.resize([0, 1, np.nan], 68)
    labels = relabelled(unlike, labelled, landmarker).visible
    assert (labels[0, :3] == 0).all()
    np.testing.assert_array_equal(labels[1], unlike.visible[1])
    given, labels = np.delete(given, 1, axis=0), np.delete(labels, 1, axis=0)
    sure = np.abs(given[1:, :, None] - [low, high]).min(axis=2) > 1e-3 * (high - low)
    assert sure.mean() > 0.9
    expected = np.where(given < low, 0.0, np.where(given < high, np.nan, 1.0))
    np.testing.assert_array_equal(labels[1:][sure], expected[1:][sure])
    said: list[str] = []
    assert train(config, tell=said.append).exists()
    assert any(line.startswith("relabelled: ") and "% unknown" in line for line in said)


@pytest.mark.slow
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
        given.append(arguments[1])
        return relabelled(*arguments)

    monkeypatch.setattr("aadn.training.loop.relabelled", asked)
    assert train(config, faces).exists()
    np.testing.assert_array_equal(given[0], faces.labelled)


def test_a_run_of_aadn_0_1_goes_on(data: Path, tmp_path: Path) -> None:
    """Its loss has a term of another name, it knows no scheme, and its size is the usual one."""
    config = small(data, tmp_path, loss=LossWeights(visible_map=0.2), model=ModelConfig(size=128))
    earlier = plain(config)
    earlier["loss"]["seen"] = earlier["loss"].pop("visible_map")
    earlier["model"]["size"] = 0
    del earlier["scheme"]
    same_run(config, earlier, tmp_path)
    earlier["loss"]["seen"] = 0.3
    with pytest.raises(InputError, match=r"settings: loss\.visible_map was 0\.3, is 0\.2;"):
        same_run(config, earlier, tmp_path)


@pytest.mark.slow
def test_a_checkpoint_of_aadn_0_1_goes_on(data: Path, tmp_path: Path) -> None:
    """Begun with --initial of another size, its input was of the network's usual one."""
    config = small(data, tmp_path / "run", epochs=1, model=ModelConfig(name="odn", size=64))
    train(config)
    last = tmp_path / "run" / "last.safetensors"
    made = checkpoint.load(last)
    recipe = made.state.pop("provenance")["recipe"]
    recipe["loss"]["seen"] = recipe["loss"].pop("visible_map")
    replace(made, state={**made.state, "config": recipe, "epoch": 0}).save(last)
    said: list[str] = []
    train(replace(config, model=ModelConfig(name="odn"), resume=True), tell=said.append)
    assert any(line.startswith("the input has 64 pixels") for line in said)
    assert checkpoint.load(last).state["epoch"] == 1


def test_a_best_checkpoint_says_how_it_was_made(data: Path, tmp_path: Path, trained: Path) -> None:
    config = small(data, tmp_path / "run", epochs=1, initial=trained)
    made = provenance_of(config)
    assert made["parent"] == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert made["aadn"] == aadn.__version__
    state = checkpoint.load(trained).state
    assert state["provenance"]["parent"] is None
    written = json.loads((trained.parent / "config.json").read_text())
    assert state["provenance"]["recipe"] == written
    assert state["metrics"]["epoch"] == 1


def test_the_commit_is_that_of_the_checkout_alone(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    assert commit_of(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    git("tag", "v1")
    assert commit_of(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == git("rev-parse", "HEAD") + "-dirty"
    (tmp_path / "below").mkdir()
    assert commit_of(tmp_path / "below") is None


def test_the_rate_warms_up_for_a_tenth_of_the_run_at_most() -> None:
    def rates(warmup: int, total: int) -> list[float]:
        config = TrainConfig((), Path(), learning_rate=1.0, warmup=warmup)
        return [rate(step, total, config) for step in range(total)]

    def cosine(step: int, total: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * step / total))

    assert rates(4, 100)[:5] == pytest.approx(
        [(n + 1) / 4 * cosine(n, 100) for n in range(4)] + [cosine(4, 100)]
    )
    assert rates(500, 30)[:3] == pytest.approx(
        [cosine(0, 30) / 3, 2 / 3 * cosine(1, 30), cosine(2, 30)]
    )
    assert rates(500, 9) == pytest.approx([cosine(n, 9) for n in range(9)])


@pytest.mark.slow
def test_training_says_nothing_but_what_it_tells(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    state = torch.random.get_rng_state()
    train(small(data, tmp_path, epochs=1), tell=said.append)
    assert torch.equal(state, torch.random.get_rng_state())
    assert capsys.readouterr() == ("", "")
    assert said[0] == "starting from random weights (no --trunk and no --initial given)"
    assert said[-1].startswith("epoch 1/1  loss ")
    assert len(said) == 2


@pytest.mark.slow
def test_a_terminal_sees_how_far_an_epoch_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = functools.partial(tqdm, mininterval=0, file=terminal)
    monkeypatch.setattr("aadn.training.loop.tqdm", bar)
    train(small(data, tmp_path, epochs=1))
    shown = [line for line in terminal.getvalue().split("\r") if line.startswith("epoch 1/1")]
    assert re.search(r"8/32 \[\d\d:\d\d<\d\d:\d\d, .*image.*, loss=\d+\.\d+, step=1\]", shown[1])


def test_a_network_that_gives_nan_is_named(data: Path, tmp_path: Path) -> None:
    config = small(data, tmp_path, model=ModelConfig(name="resnet18", size=32))
    weights = build(config.model).state_dict()
    weights["regression.bias"][0] = torch.nan
    crops = cut_crops(read_folders([data], 68)[:2], IBUG68, 32)
    with pytest.raises(NetworkError, match="not finite"):
        validate(config, weights, crops, torch.device("cpu"), False)


class Middle(Network):
    """A new network: every landmark in the middle, moved alike for all faces."""

    def __init__(
        self, landmarks: int, *, size: int, mean_shape: Any = None, reduction: int = 8
    ) -> None:
        super().__init__()
        self.landmarks, self.size = landmarks, size
        self.place = torch.nn.Parameter(torch.full((landmarks, 2), 0.5))
        self.logit = torch.nn.Parameter(torch.zeros(landmarks))

    def forward(self, image: Any) -> Prediction:
        light = image.mean((1, 2, 3))[:, None]
        return Prediction(self.place + 0 * light[..., None], self.logit + light)

    def regularisation(self) -> Any:
        return self.logit.new_zeros(())


def test_a_new_network_is_its_class_and_its_entry(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = {"squared": 1.0, "visibility": 0.1}
    entry = Entry("Middle", f"{__name__}:Middle", 32, loss, tuple(loss), ("reduction",))
    monkeypatch.setitem(NETWORKS, "middle", entry)  # type: ignore[misc]
    model = ModelConfig(name="middle", reduction=16)  # type: ignore[arg-type]
    best = train(small(data, tmp_path, epochs=1, model=model))
    backend = TorchBackend.load(best)
    assert backend.card.model == "middle"
    given = backend(np.zeros((1, 32, 32, 3), np.uint8))
    assert given.uncertainty is None
    assert given.occlusion is None
    with pytest.raises(InputError, match=r"--model\.no-geometry means nothing for middle"):
        build(replace(model, geometry=False))


def test_every_name_has_an_entry() -> None:
    assert get_args(ModelName) == tuple(NETWORKS)


@pytest.mark.parametrize("option", ["--loss.visible-map", "--loss.seen"])
def test_the_loss_of_the_visible_map_has_two_names(option: str) -> None:
    config = tyro.cli(TrainConfig, args=["--folders", "a", "--out", "b", option, "0.25"])
    assert config.loss.visible_map == 0.25
