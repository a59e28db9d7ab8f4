"""`.pts` files and the folders of 300W's layout, on files that the tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aadn.data.folders import check_points, read_folder, read_folders
from aadn.data.pts import format_pts, read_pts, write_pts
from aadn.data.samples import Sample
from aadn.errors import AnnotationError, InputError, OutputError

HEAD = "version: 1\nn_points: 2\n{\n"


def pts(folder: Path, text: str | bytes) -> Path:
    path = folder / "face.pts"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nn_points: 2\n{\n1 1\n11.5 21\n}\n",
        "version:1\nn_points:2\n{\n1 1\n11.5 21\n}",
        "version: 1\r\nn_points:  2\r\n{\r\n1 1\r\n11.5\t21\r\n}\r\n",
        "\n\nversion: 1\n\nn_points: 2\n{\n\n 1 1 \n\n11.5  21\n\n}\n\n\n",
        "\ufeffversion: 1\nn_points: 2\n{\n1 1\n11.5 21\n}\n",
        "{\n1 1\n11.5 21\n}\n",
        "1 1\n11.5 21\n",
        "1.0e0 1\n1.15e1 21",
    ],
)
def test_all_forms_read_the_same_and_count_from_zero(tmp_path: Path, text: str) -> None:
    points = read_pts(pts(tmp_path, text))
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, [[0, 0], [10.5, 20]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "1 1\n}\n", "n_points is 2, but the file has 1 points"),
        (HEAD + "1 1\n2 2\n3 3\n}\n", "n_points is 2, but the file has 3 points"),
        (HEAD + "1 1\n2 two\n}\n", "line 5: expected two numbers"),
        (HEAD + "1 1\n2\n}\n", "line 5: expected two numbers"),
        (HEAD + "1 1\n2 2 2\n}\n", "line 5: expected two numbers"),
        (HEAD + "1 1\n2 nan\n}\n", "line 5: expected finite"),
        (HEAD + "inf 1\n2 2\n}\n", "line 4: expected finite"),
        (HEAD + "1 1\n2 2\n", "expected '}'"),
        (HEAD + "1 1\n2 2\n}\n3 3\n", "line 7: expected nothing after"),
        (HEAD + "{\n1 1\n2 2\n}\n", "line 4: expected a single"),
        ("version: 1\nn_points: 2\n1 1\n2 2\n", "line 3: expected '{'"),
        ("1 1\n2 2\n}\n", "line 3: '}' without"),
        ("version: 1\nn_points: many\n{\n1 1\n}\n", "line 2: expected n_points"),
        ("version: 1\nn_points: 0\n{\n}\n", "found no points"),
        ("", "empty file"),
        (" \n\n", "empty file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
        (b"1 1\n2 \x002\n", "binary"),
        ("1 1\n" * 400_000, "huge"),
    ],
)
def test_broken_files_name_file_and_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(AnnotationError, match=r"face\.pts") as caught:
        read_pts(pts(tmp_path, text))
    assert message in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"no\.pts: cannot be read"):
        read_pts(tmp_path / "no.pts")


@given(arrays(np.float64, (5, 2), elements=st.floats(-1e5, 1e5)))
def test_round_trip(points: np.ndarray) -> None:
    text = format_pts(points)
    first = text.splitlines()[3].split()
    np.testing.assert_allclose([float(v) for v in first], points[0] + 1, atol=1e-6)
    rows = [line.split() for line in text.splitlines()[3:-1]]
    np.testing.assert_allclose(np.array(rows, float) - 1, points, atol=1e-6)


def test_write_then_read(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-10, 400, (68, 2)).astype(np.float32)
    write_pts(tmp_path / "new" / "a.pts", points)
    np.testing.assert_allclose(read_pts(tmp_path / "new" / "a.pts"), points, atol=1e-6)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.pts"]  # nothing temporary left


def test_write_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NaN"):
        write_pts(tmp_path / "a.pts", np.array([[0.0, np.nan]]))
    with pytest.raises(InputError, match=r"\(L, 2\)"):
        write_pts(tmp_path / "a.pts", np.zeros((2, 3)))
    assert not (tmp_path / "a.pts").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_pts(tmp_path / "file" / "a.pts", np.zeros((2, 2)))


def labelled(folder: Path, name: str, count: int = 5, picture: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (name + picture)).write_bytes(b"")
    # Values that name the file, so that a sample with another file's points is noticed.
    start = 1.0 + len(name)
    write_pts(folder / f"{name}.pts", start + np.arange(2.0 * count).reshape(count, 2))


def test_folders_are_read_recursively_and_sorted(tmp_path: Path) -> None:
    labelled(tmp_path / "helen" / "trainset", "bb")
    labelled(tmp_path / "helen" / "trainset", "a", picture=".PNG")
    labelled(tmp_path / "afw", "ccc", picture=".JpEg")
    labelled(tmp_path / "afw", "dddd", picture=".bmp")
    (tmp_path / "afw" / "unlabelled.jpg").write_bytes(b"")
    (tmp_path / "afw" / "._ccc.pts").write_bytes(b"\x00\x05\x16\x07")  # from a macOS archive
    samples = read_folders([tmp_path])
    names = [str(s.image.relative_to(tmp_path)) for s in samples]
    assert names == ["afw/ccc.JpEg", "afw/dddd.bmp", "helen/trainset/a.PNG",
                     "helen/trainset/bb.jpg"]  # fmt: skip
    assert [s.points[0, 0] for s in samples] == [1.0 + len(s.image.stem) for s in samples]
    assert samples[0].box.tolist() == [4, 5, 12, 13]
    assert samples[0].visible is None


def test_order_of_folders_and_overlap(tmp_path: Path) -> None:
    labelled(tmp_path / "a", "x")
    labelled(tmp_path / "b", "y")
    names = [s.image.stem for s in read_folders([tmp_path / "b", tmp_path, str(tmp_path / "a")])]
    assert names == ["y", "x"]


def test_a_pts_without_its_picture(tmp_path: Path) -> None:
    labelled(tmp_path, "a")
    write_pts(tmp_path / "lonely.pts", np.eye(2))
    with pytest.raises(AnnotationError, match=r"lonely\.pts: expected one picture"):
        read_folders([tmp_path])


def test_a_pts_with_two_pictures(tmp_path: Path) -> None:
    labelled(tmp_path, "a")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(AnnotationError, match=r"a\.jpg and a\.png"):
        read_folders([tmp_path])


FACE = np.array([[3.0, 4], [11, 12], [5, 9]])


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        (["x.jpg"], {"x": "x.jpg"}),
        (["x.jpg"], {"x_1": "x.jpg", "x_2": "x.jpg", "x_10": "x.jpg"}),
        (["x.webp"], {"x_1": "x.webp", "x_2": "x.webp"}),
        # Two pictures of one name keep their suffixes.
        (["x.jpg", "x.png"], {"x.jpg": "x.jpg", "x.png": "x.png"}),
        (["x.jpg", "x.png"], {"x.jpg_1": "x.jpg", "x.jpg_2": "x.jpg", "x.png": "x.png"}),
        # A picture whose own name fits goes first: AFW's are called so.
        (["x_1.jpg", "x_2.jpg", "x.jpg"], {"x_1": "x_1.jpg", "x_2": "x_2.jpg", "x": "x.jpg"}),
        (["x_1.jpg", "x.jpg"], {"x_1": "x_1.jpg", "x.jpg_1": "x.jpg", "x.jpg_2": "x.jpg"}),
        (["x_1.jpg"], {"x_1_1": "x_1.jpg", "x_1_2": "x_1.jpg"}),
        # As always: the usual formats before others.
        (["x.jpg", "x.tif"], {"x": "x.jpg"}),
    ],
)
def test_what_detect_writes_is_read(
    tmp_path: Path, pictures: list[str], labels: dict[str, str]
) -> None:
    for name in pictures:
        (tmp_path / name).write_bytes(b"not opened")
    for i, name in enumerate(labels):
        write_pts(tmp_path / f"{name}.pts", FACE + i)
    samples = read_folders([tmp_path])
    found = {round(s.points[0, 0] - 3): s.image.name for s in samples}
    assert found == dict(enumerate(labels.values()))


@pytest.mark.parametrize("name", ["x_0", "x_01", "x_a", "x_", "_1"])
def test_a_name_that_is_no_faces_number(tmp_path: Path, name: str) -> None:
    labelled(tmp_path, "x")
    write_pts(tmp_path / f"{name}.pts", FACE)
    with pytest.raises(AnnotationError, match=rf"expected one picture {name} beside it .* none"):
        read_folders([tmp_path])


def test_a_face_of_two_pictures(tmp_path: Path) -> None:
    for picture in ("x.jpg", "x.png"):
        (tmp_path / picture).write_bytes(b"")
    write_pts(tmp_path / "x_1.pts", FACE)
    with pytest.raises(AnnotationError, match=r"picture x_1 beside it .*found x\.jpg and x\.png"):
        read_folders([tmp_path])


def test_in_a_release_each_picture_has_its_own_file(tmp_path: Path) -> None:
    labelled(tmp_path, "x", count=3)
    write_pts(tmp_path / "x_1.pts", FACE)
    assert [s.image.name for s in read_folder(tmp_path, 3)] == ["x.jpg", "x_1"]  # is missing


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.pts").write_text("1 1\n")
    for name, message in (
        ("nowhere", "nothing there"),
        ("file.pts", "a file"),
        ("empty", "0 pictures and no .pts"),
    ):
        with pytest.raises(AnnotationError, match=f"{name}: expected .*{message}"):
            read_folders([tmp_path / name])
    (tmp_path / "empty" / "a.jpg").write_bytes(b"")
    with pytest.raises(AnnotationError, match=r"found 1 pictures and no \.pts"):
        read_folders([tmp_path / "empty"])


def test_one_file_with_another_count(tmp_path: Path) -> None:
    for name in ("a", "bb", "ccc"):
        labelled(tmp_path, name, count=67 if name == "a" else 68)
    with pytest.raises(AnnotationError, match=r"a\.pts: expected 68 landmarks as .*, got 67"):
        read_folders([tmp_path])
    with pytest.raises(AnnotationError, match=r"bb\.pts: expected 67 landmarks, got 68"):
        read_folders([tmp_path], 67)


def test_landmarks_in_one_place(tmp_path: Path) -> None:
    labelled(tmp_path, "a")
    write_pts(tmp_path / "a.pts", np.full((5, 2), 7.0))
    with pytest.raises(AnnotationError, match=r"a\.pts: all 5 landmarks lie in one place"):
        read_folders([tmp_path])


def test_points_far_outside() -> None:
    def sample(x: float, y: float) -> Sample:
        points = np.array([[1.0, 2.0], [np.nan, np.nan], [x, y]])
        return Sample(Path("p.jpg"), points, np.array([0.0, 0, 1, 1]))

    for x, y in ((-100.0, -50.0), (199.0, 99.0), (50.0, 25.0)):
        check_points(sample(x, y), 100, 50)
    for x, y in ((-100.1, 0), (0, -50.1), (199.1, 0), (0, 99.1), (1e9, 1e9)):
        with pytest.raises(AnnotationError, match=r"p\.jpg: landmark 2 at .* 100×50"):
            check_points(sample(x, y), 100, 50)
