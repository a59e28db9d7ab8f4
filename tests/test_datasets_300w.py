"""300W and 300W private, on folders that the tests write and on the real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from aadn.data.pts import write_pts
from aadn.data.release import describe, inspect, read_release, tally
from aadn.data.releases import w300, w300_private
from aadn.errors import AnnotationError

FACE = np.random.default_rng(0).uniform(5, 90, (68, 2)).round(3)


def face(folder: Path, name: str, shift: float = 0.0, picture: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (name + picture)).write_bytes(b"not opened")
    write_pts(folder / f"{name}.pts", FACE + shift)


@pytest.fixture
def w300_folder(tmp_path: Path) -> Path:
    face(tmp_path / "afw", "134212_1", 1)
    face(tmp_path / "helen" / "trainset", "b_1", 2)
    face(tmp_path / "helen" / "trainset", "a_1", 3)
    face(tmp_path / "helen" / "testset", "c_1", 4)
    face(tmp_path / "lfpw" / "trainset", "image_0001", 5, ".png")
    face(tmp_path / "lfpw" / "testset", "image_0001", 6, ".png")
    face(tmp_path / "ibug", "image_092 _01", 7)  # the release has such a name
    return tmp_path


def test_splits_parts_and_order(w300_folder: Path) -> None:
    train = read_release(w300.RELEASE, w300_folder, "train", incomplete=True)
    assert [(str(s.image.relative_to(w300_folder)), s.parts) for s in train] == [
        ("afw/134212_1.jpg", ("afw",)),
        ("helen/trainset/a_1.jpg", ("helen",)),
        ("helen/trainset/b_1.jpg", ("helen",)),
        ("lfpw/trainset/image_0001.png", ("lfpw",)),
    ]
    test = read_release(w300.RELEASE, w300_folder, "test", incomplete=True)
    assert [(str(s.image.relative_to(w300_folder)), s.parts) for s in test] == [
        ("helen/testset/c_1.jpg", ("common", "helen")),
        ("ibug/image_092 _01.jpg", ("challenging",)),
        ("lfpw/testset/image_0001.png", ("common", "lfpw")),
    ]
    for sample, shift in zip(train + test, (1, 3, 2, 5, 4, 7, 6), strict=True):
        np.testing.assert_allclose(sample.points, FACE + shift, atol=1e-6)
        np.testing.assert_allclose(sample.box[:2], FACE.min(axis=0) + shift, atol=1e-6)
        assert sample.visible is None


def test_files_count_from_one(tmp_path: Path) -> None:
    rows = "".join(f"{x + 1} {2 * x + 1}\n" for x in range(68))
    face(tmp_path / "ibug", "a")
    (tmp_path / "ibug" / "a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}}}\n")
    (sample,) = read_release(w300.RELEASE, tmp_path, "test", incomplete=True)
    np.testing.assert_array_equal(sample.points, [[x, 2 * x] for x in range(68)])
    assert sample.box.tolist() == [0, 0, 67, 134]


def test_mirrors_and_hidden_files_are_left_out(w300_folder: Path) -> None:
    face(w300_folder / "ibug", "image_092 _01_mirror")
    write_pts(w300_folder / "afw" / "134212_1_mirror.pts", FACE)  # even without its picture
    (w300_folder / "afw" / "._134212_1.pts").write_bytes(b"\x00\x05\x16\x07")
    assert len(w300.read_300w(w300_folder, "train")) == 4
    assert len(w300.read_300w(w300_folder, "test")) == 3


def test_incomplete_300w_says_what_is_missing(w300_folder: Path) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_release(w300.RELEASE, w300_folder, "test")
    for words in ("all: 3 of 689", "'common': 2 of 554", "'challenging': 1 of 135",
                  "'helen': 1 of 330", "'lfpw': 1 of 224", "ibug/*.jpg"):  # fmt: skip
        assert words in str(caught.value)
    (w300_folder / "empty").mkdir()
    with pytest.raises(AnnotationError, match="all: 0 of 3148"):
        read_release(w300.RELEASE, w300_folder / "empty", "train", incomplete=True)


def test_broken_files_are_not_forgiven(w300_folder: Path) -> None:
    (w300_folder / "afw" / "134212_1.pts").write_text("version: 1\nn_points: 68\n{\n1 1\n}\n")
    with pytest.raises(AnnotationError, match=r"134212_1\.pts: n_points is 68"):
        read_release(w300.RELEASE, w300_folder, "train", incomplete=True)
    write_pts(w300_folder / "afw" / "134212_1.pts", FACE[:49])
    with pytest.raises(AnnotationError, match=r"134212_1\.pts: expected 68 landmarks, got 49"):
        read_release(w300.RELEASE, w300_folder, "train", incomplete=True)
    (w300_folder / "helen" / "testset" / "c_1.png").write_bytes(b"not opened")
    with pytest.raises(AnnotationError, match=r"c_1\.pts: .* found c_1\.jpg and c_1\.png"):
        read_release(w300.RELEASE, w300_folder, "test", incomplete=True)


def test_missing_and_empty_pictures_are_counted(w300_folder: Path) -> None:
    counts = {"all": 3, "common": 2, "challenging": 1, "helen": 1, "lfpw": 1}
    release = replace(w300.RELEASE, counts={"test": counts})
    assert len(read_release(release, w300_folder, "test")) == 3
    (w300_folder / "helen" / "testset" / "c_1.jpg").unlink()
    (w300_folder / "ibug" / "image_092 _01.jpg").write_bytes(b"")
    with pytest.raises(AnnotationError) as caught:
        read_release(release, w300_folder, "test")
    first = w300_folder / "helen" / "testset" / "c_1"
    names_first = f"the pictures of 2 faces are missing or empty, the first is {first}"
    for words in ("all: 1 of 3", "'challenging': 0 of 1", names_first, "--incomplete",
                  release.source):  # fmt: skip
        assert words in str(caught.value)
    (sample,) = read_release(release, w300_folder, "test", incomplete=True)
    assert sample.image.name == "image_0001.png"
    (w300_folder / "lfpw" / "testset" / "image_0001.png").unlink()
    with pytest.raises(AnnotationError, match="pictures of 3 faces") as caught:
        read_release(release, w300_folder, "test", incomplete=True)
    assert "--incomplete" not in str(caught.value)


def test_a_picture_too_few_is_seen_where_the_counts_are_right(w300_folder: Path) -> None:
    write_pts(w300_folder / "ibug" / "lonely.pts", FACE)
    release = replace(w300.RELEASE, counts={"test": {"all": 3}})
    with pytest.raises(AnnotationError, match=r"complete \(the pictures of 1 faces are .*lonely"):
        read_release(release, w300_folder, "test")
    text, complete = inspect(release, w300_folder)
    assert not complete
    assert "test, all: 3 of 3 faces, complete\n  test: the pictures of 1 faces are" in text


def test_only_the_lines_of_the_split_are_expected(w300_folder: Path) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_release(w300.RELEASE, w300_folder, "train")
    assert "lfpw/trainset" in str(caught.value)
    assert "lfpw/testset" not in str(caught.value)
    assert "--incomplete" not in str(caught.value)  # which is not for training


def test_people_are_told_that_pictures_are_not_opened(w300_folder: Path) -> None:
    assert "counted, not opened" in describe(w300.RELEASE)
    assert "counted, not opened" in inspect(w300.RELEASE, w300_folder)[0]


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["", "300W"])
def test_private_complete(tmp_path: Path, inner: str) -> None:
    for number in range(1, 301):
        face(tmp_path / inner / "01_Indoor", f"indoor_{number:03d}", number, ".png")
        face(tmp_path / inner / "02_Outdoor", f"outdoor_{number:03d}", -number, ".png")
    samples = read_release(w300_private.RELEASE, tmp_path, "test")
    assert [s.image.name for s in samples[298:302]] == [
        "indoor_299.png", "indoor_300.png", "outdoor_001.png", "outdoor_002.png"
    ]  # fmt: skip
    assert [s.parts for s in samples[299:301]] == [("indoor",), ("outdoor",)]
    np.testing.assert_allclose(samples[301].points, FACE - 2, atol=1e-6)
    (tmp_path / inner / "02_Outdoor" / "outdoor_007.pts").unlink()
    with pytest.raises(AnnotationError, match="all: 599 of 600; 'outdoor': 299 of 300"):
        read_release(w300_private.RELEASE, tmp_path, "test")


def test_private_has_no_training_split(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="300W private has no train split"):
        read_release(w300_private.RELEASE, tmp_path, "train")


@pytest.mark.slow
def test_real_faces_of_300w(shared_data: Path) -> None:
    folder = shared_data / "300w"
    with pytest.raises(AnnotationError, match="all: 2012 of 3148; 'helen': 870 of 2000; 'lfpw'"):
        read_release(w300.RELEASE, folder, "train")
    train = read_release(w300.RELEASE, folder, "train", incomplete=True)
    assert tally(w300.RELEASE, train, "train") == {
        "all": (2012, 3148), "afw": (337, 337), "helen": (870, 2000), "lfpw": (805, 811),
    }  # fmt: skip
    test = read_release(w300.RELEASE, folder, "test", incomplete=True)
    assert tally(w300.RELEASE, test, "test") == {
        "all": (224, 689), "common": (224, 554), "challenging": (0, 135), "helen": (0, 330),
        "lfpw": (224, 224),
    }  # fmt: skip
    # The first row of the first file is "105.005 134.878".
    assert test[0].image.name == "image_0001.jpg"
    np.testing.assert_allclose(test[0].points[0], [104.005, 133.878])


def test_the_picture_is_that_of_the_points(tmp_path: Path) -> None:
    face(tmp_path / "01_Indoor", "indoor_001", picture=".png")
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    cv2.imwrite(str(tmp_path / "01_Indoor" / "indoor_001.png"), picture[..., ::-1])
    (sample,) = read_release(w300_private.RELEASE, tmp_path, "test", incomplete=True)
    np.testing.assert_array_equal(sample.picture(), picture)
