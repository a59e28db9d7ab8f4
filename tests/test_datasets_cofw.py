"""COFW, COFW-68 and MATLAB files, on files that the tests write and on the real labels."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.data.mat import load_mat
from aadn.data.release import read_release, tally
from aadn.data.releases import cofw, cofw68
from aadn.errors import AnnotationError, ImageError, MissingDependencyError

h5py, scipy = pytest.importorskip("h5py"), pytest.importorskip("scipy")
pytest.importorskip("scipy.io")

MATLAB_HEAD = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"


def save_v73(file: Path, cell: str, pictures: Sequence[Any], **matrices: Any) -> None:
    """What MATLAB's `save -v7.3` writes: 512 bytes of its own, then HDF5 with reversed axes."""
    with h5py.File(file, "w", userblock_size=512) as out:
        group = out.create_group("#refs#")
        references = np.empty((1, len(pictures)), h5py.ref_dtype)
        for index, picture in enumerate(pictures):
            if picture is not None:
                stored = np.asarray(picture).T
                dataset = group.create_dataset(f"p{index}", data=stored, compression="gzip")
                dataset.attrs["MATLAB_class"] = np.bytes_(stored.dtype.name)
                references[0, index] = dataset.ref
        out.create_dataset(cell, data=references, dtype=h5py.ref_dtype)
        out[cell].attrs["MATLAB_class"] = np.bytes_("cell")
        for name, matrix in matrices.items():
            out.create_dataset(name, data=np.asarray(matrix).T)
    with file.open("r+b") as head:
        head.write(MATLAB_HEAD)


def picture(number: int, height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def rows(faces: int) -> NDArray[np.float64]:
    """phis, (faces, 87): x = point + 1, y = 29 - point + face, every third one occluded."""
    point = np.arange(29.0)
    return np.array(
        [np.concatenate([point + 1, 29 - point + i, point % 3 == 0]) for i in range(faces)]
    )


BOX = [1.0, 2.0, 30.0, 31.0]


def save_cofw(
    folder: Path,
    pictures: Sequence[Any] | None = None,
    phis: Any = None,
    bboxes: Any = None,
    train: bool = False,
) -> Path:
    """A file of COFW; without more, that of three test faces, the second picture grey."""
    if pictures is None:
        pictures = [picture(0), picture(1)[:, :, 0], picture(2)]
    faces = len(pictures)
    end, name = ("Tr", "train") if train else ("T", "test")
    file = folder / f"COFW_{name}_color.mat"
    matrices = {
        "phis" + end: rows(faces) if phis is None else phis,
        "bboxes" + end: np.tile(BOX, (faces, 1)) if bboxes is None else bboxes,
    }
    save_v73(file, "Is" + end, pictures, **matrices)
    return file


def read(folder: Path) -> list[Any]:
    return read_release(cofw.RELEASE, folder, "test", incomplete=True)


def test_cofw_points_visibility_and_names(tmp_path: Path) -> None:
    file = save_cofw(tmp_path)
    samples = read(tmp_path)
    assert [s.image for s in samples] == [file / "0001", file / "0002", file / "0003"]
    for face, sample in enumerate(samples):
        expected = [[point, 28 - point + face] for point in range(29)]
        np.testing.assert_array_equal(sample.points, expected)
        assert sample.visible.tolist() == [point % 3 != 0 for point in range(29)]
        assert sample.box.tolist() == [0, face, 28, 28 + face]
        assert sample.parts == ()


def test_cofw_pictures_stand_upright_in_rgb(tmp_path: Path) -> None:
    save_cofw(tmp_path, pictures=[picture(0), picture(1)[:, :, 0], picture(2, 41, 30)])
    pictures = [sample.picture() for sample in read(tmp_path)]
    np.testing.assert_array_equal(pictures[0], picture(0))
    assert pictures[0].dtype == np.uint8
    assert pictures[0].flags.c_contiguous
    np.testing.assert_array_equal(pictures[1], np.stack([picture(1)[:, :, 0]] * 3, axis=2))
    np.testing.assert_array_equal(pictures[2], picture(2, 41, 30))


def test_the_axes_of_a_stored_picture(tmp_path: Path) -> None:
    # MATLAB's picture(y, x, channel) lies in the file as [channel, x, y].
    file = save_cofw(tmp_path)
    with h5py.File(file, "r+") as out:
        stored = out[out["IsT"][0, 0]]
        assert stored.shape == (3, 60, 40)
        stored[0, 59, 0], stored[1, 59, 0], stored[2, 59, 0] = 200, 100, 50
    assert read(tmp_path)[0].picture()[0, 59].tolist() == [200, 100, 50]


def test_cell_arrays_may_be_columns_or_rows(tmp_path: Path) -> None:
    file = save_cofw(tmp_path)
    with h5py.File(file, "r+") as out:
        references = out["IsT"][()]
        del out["IsT"]
        out.create_dataset("IsT", data=references.T, dtype=h5py.ref_dtype)
    np.testing.assert_array_equal(read(tmp_path)[2].picture(), picture(2))


def test_cofw_pictures_survive_pickling(tmp_path: Path) -> None:
    save_cofw(tmp_path)
    sample = read(tmp_path)[2]
    sample.picture()  # the file is open now
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(sample)).picture(), picture(2))


def test_cofw_has_no_such_picture(tmp_path: Path) -> None:
    file = save_cofw(tmp_path)
    with pytest.raises(AnnotationError, match="0004: IsT has 3 pictures only"):
        cofw.CellPicture(file, "IsT", 3)()


@pytest.mark.slow
def test_cofw_train_parts_and_counts(tmp_path: Path) -> None:
    small = [np.zeros((30, 30), np.uint8)] * 1345
    save_cofw(tmp_path, small, np.tile(rows(1), (1345, 1)), train=True)
    samples = read_release(cofw.RELEASE, tmp_path, "train")
    assert tally(cofw.RELEASE, samples, "train") == {
        "all": (1345, 1345), "lfpw": (845, 845), "cofw": (500, 500),
    }  # fmt: skip
    assert [s.parts for s in samples[844:846]] == [("lfpw",), ("cofw",)]


def test_cofw_incomplete(tmp_path: Path) -> None:
    save_cofw(tmp_path)
    with pytest.raises(AnnotationError, match=r"all: 3 of 507.*\nCOFW_test_color\.mat"):
        read_release(cofw.RELEASE, tmp_path, "test")
    with pytest.raises(AnnotationError, match=r"COFW_train_color\.mat: .*no such file; see http"):
        read_release(cofw.RELEASE, tmp_path, "train")


def changed(faces: int, face: int, column: int, value: float) -> NDArray[np.float64]:
    labels = rows(faces)
    labels[face, column] = value
    return labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phis": rows(3)[:, :58]}, r"expected phisT with 87 numbers .* shape \(3, 58\)"),
        ({"phis": rows(4)}, r"expected phisT .* each of 3 pictures, got float64 of shape \(4, 87"),
        ({"phis": rows(3).T}, r"shape \(87, 3\)"),
        ({"phis": rows(2)}, r"each of 3 pictures"),
        ({"bboxes": np.ones((3, 5))}, r"expected bboxesT with 4 numbers .* \(3, 5\)"),
        ({"bboxes": [BOX, BOX, [1, 1, 0, 5]]}, r"0003: expected a box .* width 0 and height 5"),
        ({"bboxes": [BOX, [1, 1, 5, -2], BOX]}, r"0002: expected a box .* height -2"),
        ({"phis": changed(3, 1, 4, np.nan)}, r"0002: expected finite numbers in phisT"),
        ({"bboxes": [[1, 1, np.inf, 1], BOX, BOX]}, r"0001: expected finite numbers in bboxesT"),
        ({"phis": changed(3, 2, 60, 2)}, r"0003: expected 29 flags of 0 or 1 .* got 2"),
        ({"phis": changed(3, 2, 86, 0.5)}, r"0003: expected 29 flags .* got 0\.5"),
        ({"phis": changed(3, 1, 3, 5000)}, r"0002: landmark 3 at \(4999\.0, 26\.0\) .* 60×40"),
        ({"phis": np.ones((3, 87))}, r"0001: all 29 landmarks lie in one place"),
        ({"pictures": [picture(0)] * 2, "phis": rows(3)}, r"phisT .* each of 2 pictures"),
        ({"pictures": [picture(0), None, picture(2)]}, r"0002: expected a picture .* got none"),
        ({"pictures": [picture(0), picture(1), picture(2).astype(float)]}, r"0003: .* float64"),
        ({"pictures": [picture(0)[..., :2]] * 3}, r"0001: .* got uint8 of shape \(40, 60, 2\)"),
    ],
)
def test_broken_cofw(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_cofw(tmp_path, **change)
    with pytest.raises(AnnotationError, match=rf"COFW_test_color\.mat.*{message}"):
        read(tmp_path)


def test_cofw_files_of_another_kind(tmp_path: Path) -> None:
    file = save_cofw(tmp_path)
    whole = file.read_bytes()
    for size in (0, 100, 600, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(AnnotationError, match=r"COFW_test_color\.mat: .*cut off.*http"):
            read(tmp_path)
    scipy.io.savemat(file, {"phisT": rows(3)})
    with pytest.raises(
        AnnotationError, match=r"expected COFW's MATLAB v7\.3 .*signature not found"
    ):
        read(tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(AnnotationError, match="no such file"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["IsT", "phisT", "bboxesT"])
def test_cofw_without_a_variable(tmp_path: Path, name: str) -> None:
    file = save_cofw(tmp_path)
    with h5py.File(file, "r+") as out:
        del out[name]
    others = ", ".join(sorted({"IsT", "phisT", "bboxesT"} - {name}))
    with pytest.raises(AnnotationError, match=f"the variable {name}, the file has {others}"):
        read(tmp_path)


def a_group(out: Any) -> None:
    out.create_group("IsT")


def a_soft_link(out: Any) -> None:
    out["IsT"] = h5py.SoftLink("/nowhere")


def an_external_link(out: Any) -> None:
    out["IsT"] = h5py.ExternalLink("nowhere.mat", "/IsT")


@pytest.mark.parametrize(
    ("put", "got"),
    [
        (a_group, "got an HDF5 group, not an array; see http"),
        (a_soft_link, "got a link that leads nowhere; see http"),
        (an_external_link, "got a link that leads nowhere; see http"),
    ],
)
def test_cofw_variables_of_another_kind(
    tmp_path: Path, put: Callable[[Any], None], got: str
) -> None:
    file = save_cofw(tmp_path)
    with h5py.File(file, "r+") as out:
        del out["IsT"]
        put(out)
    with pytest.raises(AnnotationError, match=f"expected the variable IsT, {got}"):
        read(tmp_path)


def test_cofw_pictures_that_are_no_cell_array(tmp_path: Path) -> None:
    file = save_cofw(tmp_path)
    with h5py.File(file, "r+") as out:
        del out["IsT"]
        out["IsT"] = np.zeros((1, 3))
    with pytest.raises(AnnotationError, match=r"IsT to be a cell array .*, got float64 of shape"):
        read(tmp_path)


def test_a_cofw_picture_with_damaged_pixels(tmp_path: Path) -> None:
    file = save_cofw(tmp_path)
    with h5py.File(file, "r") as out:
        chunk = out[out["IsT"][0, 2]].id.get_chunk_info(0)
    with file.open("r+b") as damaged:
        damaged.seek(chunk.byte_offset)
        damaged.write(b"\xff" * 64)
    samples = read(tmp_path)  # the labels are fine
    with pytest.raises(ImageError, match=r"COFW_test_color\.mat.0003: cannot be read"):
        samples[2].picture()


def test_missing_h5py_and_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_cofw(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingDependencyError, match=r"h5py: pip install '\.\[data\]'"):
        read(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"scipy: pip install '\.\[data\]'"):
        load_mat(tmp_path / "a.mat", ["x"])


# COFW-68


def points68(number: int) -> NDArray[np.float64]:
    point = np.arange(68.0)
    return np.stack([point / 2 + 1, 35 - point / 2 + number], axis=1)


def save_labels(folder: Path, number: int, **changed: Any) -> None:
    occluded = (np.arange(68) % 4 == number % 4).astype(np.uint8)[None]
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(
        folder / f"{number}_points.mat", {"Points": points68(number), "Occ": occluded} | changed
    )


def read68(folder: Path) -> list[Any]:
    return read_release(cofw68.RELEASE, folder, "test", incomplete=True)


@pytest.mark.parametrize("labels", ["", "COFW68_Data"])
@pytest.mark.parametrize("pictures", ["", "COFW68_Data"])
def test_cofw68_labels_and_pictures_of_the_same_number(
    tmp_path: Path, labels: str, pictures: str
) -> None:
    for number in (10, 2, 1):
        save_labels(tmp_path / labels / "test_annotations", number)
    (tmp_path / pictures).mkdir(exist_ok=True)
    file = save_cofw(tmp_path / pictures, [picture(i) for i in range(1, 11)])
    samples = read68(tmp_path)
    assert [s.image for s in samples] == [file / "0001", file / "0002", file / "0010"]
    for sample, number in zip(samples, (1, 2, 10), strict=True):
        np.testing.assert_array_equal(sample.points, points68(number) - 1)
        assert sample.visible.tolist() == [i % 4 != number % 4 for i in range(68)]
        assert sample.box.tolist() == [0, 0.5 + number, 33.5, 34 + number]
        np.testing.assert_array_equal(sample.picture(), picture(number))
    with pytest.raises(AnnotationError, match=r"COFW-68 are not complete \(all: 3 of 507\)"):
        read_release(cofw68.RELEASE, tmp_path, "test")


def test_cofw68_without_one_of_its_halves(tmp_path: Path) -> None:
    save_labels(tmp_path / "test_annotations", 1)
    with pytest.raises(
        AnnotationError, match=r"expected COFW_test_color\.mat .*data\.caltech\.edu"
    ):
        read68(tmp_path)
    (tmp_path / "other").mkdir()
    save_cofw(tmp_path / "other")
    with pytest.raises(AnnotationError, match=r"expected test_annotations .*golnazghiasi"):
        read68(tmp_path / "other")
    (tmp_path / "other" / "test_annotations").touch()
    with pytest.raises(AnnotationError, match="all: 0 of 507"):
        read68(tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Points": points68(2)[:67]}, r"expected Points with \(68, 2\) .* shape \(67, 2\)"),
        ({"Points": "text"}, r"expected Points with"),
        ({"Occ": np.zeros((1, 29))}, r"expected Occ with \(68,\) numbers, got .* \(29,\)"),
        ({"Occ": np.full((1, 68), 2)}, "0 or 1 in Occ"),
        ({"Points": points68(2) * np.nan}, "finite numbers in Points"),
        ({"Points": np.ones((68, 2))}, "all 68 landmarks lie in one place"),
    ],
)
def test_broken_cofw68(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_cofw(tmp_path)
    save_labels(tmp_path / "test_annotations", 1)
    save_labels(tmp_path / "test_annotations", 2, **change)
    with pytest.raises(AnnotationError, match=rf"2_points\.mat: .*{message}"):
        read68(tmp_path)


def test_cofw68_labels_of_no_or_another_picture(tmp_path: Path) -> None:
    save_cofw(tmp_path)
    save_labels(tmp_path / "test_annotations", 4)
    with pytest.raises(AnnotationError, match=r"4_points\.mat: expected a number from 1 to 3"):
        read68(tmp_path)
    (tmp_path / "test_annotations" / "4_points.mat").unlink()
    save_labels(tmp_path / "test_annotations", 3, Points=points68(3) * 10)
    with pytest.raises(AnnotationError, match=r"0003: landmark 0 at \(9\.0, 379\.0\) .* 60×40"):
        read68(tmp_path)


def test_real_cofw68_is_what_others_read(shared_data: Path, tmp_path: Path) -> None:
    labels = shared_data / "layouts" / "cofw68" / "test_annotations"
    (tmp_path / "test_annotations").symlink_to(labels, target_is_directory=True)
    file = tmp_path / "COFW_test_color.mat"
    save_v73(file, "IsT", [np.zeros((900, 900), np.uint8)])
    with h5py.File(file, "r+") as out:  # 507 times the same picture
        reference = out["IsT"][0, 0]
        del out["IsT"]
        out.create_dataset("IsT", data=[[reference] * 507], dtype=h5py.ref_dtype)
    samples = read_release(cofw68.RELEASE, tmp_path, "test")
    oracle = np.load(shared_data / "oracles" / "spiga_cofw68.npz")
    # The oracle keeps the release's pixels counted from 1, as float32.
    points = np.array([s.points for s in samples])
    np.testing.assert_allclose(points + 1, oracle["truth"], atol=1e-4)
    visible = np.array([s.visible for s in samples])
    np.testing.assert_array_equal(visible, oracle["visible"].astype(bool))
    assert round(1 - float(visible.mean()), 3) == 0.229


# MATLAB files of version 4 to 7

VARIABLES = {"x": np.arange(12.0).reshape(3, 4), "flags": np.array([[1, 0, 1]], np.uint8)}


@pytest.mark.parametrize("options", [{"format": "4"}, {}, {"do_compression": True}])
def test_load_mat(tmp_path: Path, options: dict[str, Any]) -> None:
    file = tmp_path / "a.mat"
    scipy.io.savemat(file, VARIABLES | {"other": 1.0}, **options)
    loaded = load_mat(file, ["flags", "x"])
    assert list(loaded) == ["flags", "x"]
    np.testing.assert_array_equal(loaded["x"], VARIABLES["x"])
    np.testing.assert_array_equal(loaded["flags"], [[1, 0, 1]])
    with pytest.raises(
        AnnotationError, match=r"a\.mat: .* x, y; y not found, .* 'x, flags, other'"
    ):
        load_mat(file, ["x", "y"])
    # Cut anywhere, it is refused, with one kind of error.
    whole = file.read_bytes()
    with_last = [*VARIABLES, "other"]
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(AnnotationError, match=r"a\.mat: expected"):
            load_mat(file, with_last)


def as_v73(file: Path) -> None:
    save_v73(file, "IsT", [picture(0)])


def as_hdf5(file: Path) -> None:
    with h5py.File(file, "w") as out:
        out["x"] = 1.0


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (as_v73, r"expected .* version 7 or older, got version 7\.3"),
        (as_hdf5, r"got version 7\.3"),
        (lambda file: None, "cannot be read"),
        (Path.mkdir, "cannot be read"),
        (lambda file: file.write_text("x y\n" * 100), "broken, cut off or of another kind"),
        (lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" * 100), "of another kind"),
    ],
)
def test_load_mat_refuses(tmp_path: Path, write: Callable[[Path], Any], message: str) -> None:
    write(tmp_path / "a.mat")
    with pytest.raises(AnnotationError, match=rf"a\.mat: .*{message}"):
        load_mat(tmp_path / "a.mat", ["x"])


def test_load_mat_does_not_take_a_variable_that_scipy_doubts(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    parts = []
    for name in ("x", "x", "y"):
        scipy.io.savemat(file, {name: 1.0})
        parts.append(file.read_bytes()[128:])
    file.write_bytes(file.read_bytes()[:128] + b"".join(parts))
    with pytest.raises(AnnotationError, match=r"Duplicate variable name"):
        load_mat(file, ["x", "y"])
