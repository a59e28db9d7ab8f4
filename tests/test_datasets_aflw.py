"""AFLW's and MERL-RAV's readers, on files in the release's form that the tests write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.data.release import read_release
from aadn.data.releases import aflw, merl_rav
from aadn.data.releases.aflw import read_aflw
from aadn.data.releases.merl_rav import read_merl_rav, read_signed
from aadn.errors import AnnotationError


def cells(names: list[str]) -> NDArray[np.object_]:
    """A MATLAB cell array (N, 1) of strings."""
    array = np.empty((len(names), 1), object)
    array[:, 0] = names
    return array


def info(count: int) -> dict[str, Any]:
    """The variables of AFLWinfo_release.mat; face i has x = 100i + 1 …, y = 100i + 51 …."""
    data = 100.0 * np.arange(count)[:, None] + np.r_[1:20, 51:70]
    left = 100.0 * np.arange(count)
    return {
        "nameList": cells([f"{(0, 2, 3)[i % 3]}/image{i:05d}.jpg" for i in range(count)]),
        "data": data,
        "mask_new": np.ones((count, 19), np.uint8),
        "bbox": np.stack([left + 1, left + 21, left + 41, left + 81], axis=1),
        "ra": np.arange(1, count + 1, dtype=np.uint16)[None],
    }


def write_aflw(folder: Path, variables: dict[str, Any], place: str = "data/flickr") -> Path:
    file = folder / aflw.FILE
    pytest.importorskip("scipy.io").savemat(file, variables)
    for name in {name for (name,) in variables["nameList"] if isinstance(name, str) and name}:
        if not name.startswith(("/", "..")):
            (folder / place / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / place / name).write_bytes(b"not opened")
    return file


def test_aflw_order_points_box_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aflw, "_TRAIN", 3)
    variables = info(5)
    variables["ra"] = np.array([[4, 2, 5, 1, 3]], np.uint16)
    variables["mask_new"][2, [0, 18]] = 0
    variables["data"][2, [0, 18]] = np.nan
    write_aflw(tmp_path, variables)
    train, test = read_aflw(tmp_path, "train"), read_aflw(tmp_path, "test")
    flickr = tmp_path / "data" / "flickr"
    assert [s.image for s in train] == [
        flickr / name for name in ("0/image00003.jpg", "2/image00001.jpg", "2/image00004.jpg")
    ]
    assert [s.image.stem for s in test] == ["image00000", "image00002"]
    assert train[0].points.tolist() == [[300.0 + i, 350.0 + i] for i in range(19)]
    assert train[0].box.tolist() == [300, 340, 320, 380]  # left, top, right, bottom
    assert test[0].points[[0, 18]].tolist() == [[0, 50], [18, 68]]
    assert np.isnan(test[1].points[[0, 18]]).all()
    assert test[1].points[1:18].tolist() == [[200.0 + i, 250.0 + i] for i in range(1, 18)]
    assert [s.parts for s in test] == [("frontal",), ()]
    assert test[1].visible is None


@pytest.mark.parametrize("place", ["data/flickr", "flickr", "."])
def test_aflw_places_of_the_pictures(tmp_path: Path, place: str) -> None:
    write_aflw(tmp_path, info(2), place)
    names = ["0/image00000.jpg", "2/image00001.jpg"]
    assert [s.image for s in read_aflw(tmp_path, "train")] == [tmp_path / place / n for n in names]


def test_aflw_first_place_wins(tmp_path: Path) -> None:
    write_aflw(tmp_path, info(1), "flickr")
    write_aflw(tmp_path, info(1), "data/flickr")
    assert read_aflw(tmp_path, "train")[0].image == tmp_path / "data/flickr/0/image00000.jpg"


def test_aflw_missing_pictures_are_counted(tmp_path: Path) -> None:
    write_aflw(tmp_path, info(3))
    for name in ("2/image00001.jpg", "3/image00002.jpg"):
        (tmp_path / "data" / "flickr" / name).unlink()
    message = r"pictures of 2 faces are missing or empty, the first is .*flickr.2.image00001\.jpg"
    with pytest.raises(AnnotationError, match=message):
        read_release(aflw.RELEASE, tmp_path, "train")
    (sample,) = read_release(aflw.RELEASE, tmp_path, "train", incomplete=True)
    assert sample.image.name == "image00000.jpg"


@pytest.mark.parametrize(
    ("variable", "index", "value", "message"),
    [
        ("mask_new", (1, 4), 2, "row 2: expected 0 or 1 in mask_new, got 2"),
        ("mask_new", 1, 0, "row 2: expected a labelled landmark"),
        ("data", (2, 30), np.nan, "row 3: expected finite coordinates in data"),
        ("bbox", (1, 1), 101.0, "row 2: expected a box .*, got 101, 101, 141, 181"),
        ("bbox", (0, 3), 41.0, "row 1: expected a box .*, got 1, 21, 41, 41"),
        ("bbox", (0, 0), -np.inf, "row 1: expected a box .*, got -inf, 21"),
        ("nameList", (2, 0), "", "row 3: expected a picture's name in nameList"),
        ("nameList", (2, 0), "/no/a.jpg", "row 3: expected a picture below .*/no/a.jpg"),
        ("nameList", (2, 0), "../a.jpg", r"row 3: expected a picture below .*\.\./a.jpg"),
        ("nameList", (2, 0), 7.0, "row 3: expected a picture's name in nameList"),
        ("ra", (0, 0), 3, "expected each of 1 to 3 once in ra"),
        ("ra", (0, 0), 0, "expected each of 1 to 3 once in ra"),
    ],
)
def test_aflw_broken_values_name_their_row(
    tmp_path: Path, variable: str, index: Any, value: Any, message: str
) -> None:
    variables = info(3)
    variables[variable][index] = value
    file = write_aflw(tmp_path, variables)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_aflw(tmp_path, "train")
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("bbox", [0, 0, 0, 0], "row 2: expected a box .*, got 0, 0, 0, 0"),
        ("mask_new", [0] * 19, "row 2: expected a labelled landmark in mask_new, got none"),
        ("data", [np.nan, *range(1, 38)], "row 2: expected finite coordinates in data"),
    ],
)
def test_aflw_only_the_faces_of_the_split_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: Any, message: str
) -> None:
    monkeypatch.setattr(aflw, "_TRAIN", 2)
    variables = info(4) | {"ra": np.array([[3, 1, 4, 2]], np.uint16)}
    variables["data"] = variables["data"].astype(float)
    variables[variable][1] = value
    file = write_aflw(tmp_path, variables)
    assert len(read_aflw(tmp_path, "train")) == 2
    with pytest.raises(AnnotationError, match=message) as caught:
        read_aflw(tmp_path, "test")
    assert str(caught.value).startswith(str(file))


def test_aflw_missing_pictures_are_those_of_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aflw, "_TRAIN", 2)
    variables = info(4) | {"ra": np.array([[3, 1, 4, 2]], np.uint16)}
    variables["mask_new"][3, 5] = 0
    write_aflw(tmp_path, variables)
    (tmp_path / "data" / "flickr" / "2" / "image00001.jpg").write_bytes(b"")
    counts = {"train": {"all": 2}, "test": {"all": 2, "frontal": 1}}
    release = replace(aflw.RELEASE, counts=counts)  # type: ignore[arg-type]
    assert len(read_release(release, tmp_path, "train")) == 2
    message = r"all: 1 of 2; 'frontal': 0 of 1; the pictures of 1 faces .*image00001\.jpg"
    with pytest.raises(AnnotationError, match=message):
        read_release(release, tmp_path, "test")
    (sample,) = read_release(release, tmp_path, "test", incomplete=True)
    assert sample.image.name == "image00003.jpg"
    assert np.flatnonzero(np.isnan(sample.points).any(axis=1)).tolist() == [5]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("data", np.zeros((3, 42)), r"shape \(3, 38\) in data, .*got shape \(3, 42\)"),
        ("bbox", np.ones((2, 4)), r"shape \(3, 4\) in bbox, .*got shape \(2, 4\)"),
        ("mask_new", cells(["a", "b", "c"]), r"shape \(3, 19\) in mask_new, .*of object"),
        ("ra", np.array([[1, 2]]), "expected each of 1 to 3 once in ra"),
        ("ra", np.array([["abc"]]), "expected each of 1 to 3 once in ra"),
    ],
)
def test_aflw_broken_variables(tmp_path: Path, variable: str, value: Any, message: str) -> None:
    file = write_aflw(tmp_path, info(3) | {variable: value})
    with pytest.raises(AnnotationError, match=message) as caught:
        read_aflw(tmp_path, "train")
    assert str(caught.value).startswith(str(file))


def test_aflw_missing_file_and_variable(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"release\.mat: .* no such file; see http"):
        read_aflw(tmp_path, "test")
    variables = info(2)
    del variables["ra"]
    write_aflw(tmp_path, variables)
    with pytest.raises(AnnotationError, match=r"AFLWinfo_release\.mat: .*ra"):
        read_aflw(tmp_path, "test")


@pytest.mark.slow
def test_aflw_counts_of_the_release(tmp_path: Path) -> None:
    variables = info(24_386)
    names = [str(name) for (name,) in variables["nameList"][:30]]  # one file for many faces
    variables["nameList"] = cells([names[i % 30] for i in range(24_386)])
    variables["ra"] = np.roll(variables["ra"], 4386)  # rows 20001 … come first
    variables["mask_new"][15_614 + 1314 : 20_000, 3] = 0  # of the test rows 15615 … 20000
    write_aflw(tmp_path, variables)
    test = read_release(aflw.RELEASE, tmp_path, "test")
    assert test[0].points[0].tolist() == [1_561_400.0, 1_561_450.0]
    assert len(test) == 4386
    assert len(read_release(aflw.RELEASE, tmp_path, "train")) == 20_000


def test_aflw_genuine_points_in_the_form_of_the_release(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "layouts" / "coco_style" / "aflw"
    labels = json.loads((folder / "test_aflw.json").read_text())
    variables = info(2)
    images = {image["id"]: image for image in labels["images"]}
    files = [images[face["image_id"]] for face in labels["annotations"]]
    for i, face in enumerate(labels["annotations"]):
        variables["data"][i] = np.reshape(face["keypoints"], (19, 3))[:, :2].T.ravel()
        half = np.array([-0.5, 0.5]) * face["box_size"]
        variables["bbox"][i] = np.r_[face["center"][0] + half, face["center"][1] + half]
    variables["nameList"] = cells([f"3/{image['file_name']}" for image in files])
    pytest.importorskip("scipy.io").savemat(tmp_path / aflw.FILE, variables)
    (tmp_path / "flickr").mkdir()
    (tmp_path / "flickr" / "3").symlink_to(folder)
    for sample, image in zip(read_aflw(tmp_path, "train"), files, strict=True):
        assert sample.picture().shape == (image["height"], image["width"], 3)
        # The face's box surrounds most of its landmarks, its chin may lie beyond.
        inside = (sample.points > sample.box[:2]) & (sample.points < sample.box[2:])
        assert inside.all(axis=1).sum() >= 17
        assert sample.parts == ("frontal",)


def write_face(folder: Path, name: str, rows: dict[int, str] | None = None) -> Path:
    """Labels whose landmark i is seen at (i + 1, 2i + 1), counted from 1, but for some rows."""
    folder.mkdir(parents=True, exist_ok=True)
    text = [f"{i + 1} {2 * i + 1}" for i in range(68)]
    for index, row in (rows or {}).items():
        text[index] = row
    path = folder / f"{name}.pts"
    path.write_text("\n".join(["version: 1", "n_points:  68", "{", *text, "}"]))
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not opened")
    return path


def test_signs_say_what_is_hidden(tmp_path: Path) -> None:
    rows = {0: "-1 -1", 1: "-12.5 -30.25", 2: "-1 -7", 3: "0 4", 67: "-1 -1"}
    points, visible = read_signed(write_face(tmp_path, "a", rows))
    assert np.isnan(points[[0, 67]]).all()
    assert points[[1, 2, 3, 4, 66]].tolist() == [[11.5, 29.25], [0, 6], [-1, 3], [4, 8], [66, 132]]
    assert visible[:5].tolist() == [False, False, False, True, True]
    assert visible.sum() == 64


@pytest.mark.parametrize("root", [".", "merl_rav_labels", "merl_rav_organized"])
@pytest.mark.parametrize("below", [".", "labels"])
def test_merl_rav_pictures_beside_the_labels(tmp_path: Path, root: str, below: str) -> None:
    faces = [("frontal", "image2"), ("left", "image1"), ("lefthalf", "image5_2"),
             ("right", "image0"), ("righthalf", "image3")]  # fmt: skip
    expected: list[Path] = []
    for pose, name in reversed(faces):
        split = tmp_path / root / pose / "testset"
        write_face(split / below, name, {0: "-1 -1"})
        write_face(tmp_path / root / pose / "trainset" / below, "other")
        beside = split / below if below == "." else split / "images"
        expected.insert(0, picture(beside / f"{name}.jpg"))
    samples = read_merl_rav(tmp_path, "test")
    assert [s.image for s in samples] == expected
    assert [s.parts for s in samples] == [
        ("frontal",), ("profile",), ("half-profile",), ("profile",), ("half-profile",)
    ]  # fmt: skip
    assert samples[0].box.tolist() == [1, 2, 67, 134]  # without landmark 0
    visible = samples[0].visible
    assert visible is not None
    assert visible.tolist() == [False] + [True] * 67


@pytest.mark.parametrize("place", ["aflw/flickr", "aflw/data/flickr"])
def test_merl_rav_pictures_of_aflw(tmp_path: Path, place: str) -> None:
    labels = tmp_path / "merl_rav_labels" / "frontal" / "trainset" / "labels"
    for name in ("image00002_1", "image00002_2", "image00001"):
        write_face(labels, name)
    first = picture(tmp_path / place / "3" / "image00001.jpg")
    second = picture(tmp_path / place / "0" / "image00002.jpg")
    assert [s.image for s in read_merl_rav(tmp_path, "train")] == [first, second, second]


def test_merl_rav_missing_pictures_are_counted(tmp_path: Path) -> None:
    labels = tmp_path / "frontal" / "trainset" / "labels"
    for name in ("image1", "image2_1", "image3"):
        write_face(labels, name)
    picture(tmp_path / "aflw" / "flickr" / "0" / "image1.jpg")
    message = r"(?s)pictures of 2 faces .* first is .*image2_1\.jpg.*aflw/flickr/\{0,2,3\}"
    with pytest.raises(AnnotationError, match=message):
        read_release(merl_rav.RELEASE, tmp_path, "train")
    (sample,) = read_release(merl_rav.RELEASE, tmp_path, "train", incomplete=True)
    assert sample.image.name == "image1.jpg"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({5: "-3 4"}, r"both negative, got -3 4 for landmark 5"),
        ({5: "3 -4"}, r"both negative, got 3 -4 for landmark 5"),
        ({7: "3"}, "line 11: expected two numbers"),
        (dict.fromkeys(range(68), "-1 -1"), "all landmarks are hidden"),
        (dict.fromkeys(range(68), "5 5"), "all landmarks are hidden .* or lie in one place"),
        ({67: "1 1\n2 2"}, "n_points is 68, but the file has 69"),
    ],
)
def test_merl_rav_broken_labels(tmp_path: Path, rows: dict[int, str], message: str) -> None:
    path = write_face(tmp_path / "left" / "testset", "image1", rows)
    picture(path.with_suffix(".jpg"))
    with pytest.raises(AnnotationError, match=message) as caught:
        read_merl_rav(tmp_path, "test")
    assert str(caught.value).startswith(str(path))


def test_merl_rav_another_number_of_landmarks(tmp_path: Path) -> None:
    (tmp_path / "a.pts").write_text("1 1\n2 3\n")
    with pytest.raises(AnnotationError, match=r"a\.pts: expected 68 landmarks, got 2"):
        read_signed(tmp_path / "a.pts")


def test_merl_rav_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"all: 0 of 3865; 'frontal': 0 of 2195"):
        read_release(merl_rav.RELEASE, tmp_path, "test", incomplete=True)


def test_merl_rav_genuine_labels(tmp_path: Path, shared_data: Path) -> None:
    layouts = shared_data / "layouts"
    (tmp_path / "merl_rav_labels").symlink_to(layouts / "merl_rav")
    files = sorted((layouts / "merl_rav").rglob("*.pts"))
    for path in files:
        picture(tmp_path / "aflw" / "flickr" / "0" / f"{path.stem.split('_')[0]}.jpg")
    samples = read_merl_rav(tmp_path, "test")
    with np.load(layouts / "merl_rav_labels.npz") as arrays:
        rows = {name: i for i, name in enumerate(arrays["image"])}
        order = [rows[path.stem] for path in files]
        points, by_object, by_face = (
            arrays[name][order] for name in ("points", "hidden_by_object", "hidden_by_face")
        )
        splits, poses = arrays["split"], arrays["pose"]
    expected = np.where(by_face[..., None], np.nan, points.astype(float)) - 1
    np.testing.assert_allclose([s.points for s in samples], expected, atol=1e-3)
    np.testing.assert_array_equal([s.visible for s in samples], ~(by_object | by_face))
    for split, counts in merl_rav.RELEASE.counts.items():
        found = poses[splits == f"{split}set"]
        assert counts == {
            "all": len(found),
            "frontal": (found == "frontal").sum(),
            "half-profile": np.isin(found, ["lefthalf", "righthalf"]).sum(),
            "profile": np.isin(found, ["left", "right"]).sum(),
        }
