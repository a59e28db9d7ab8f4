"""Labels of which landmarks are hidden, in files beside the `.pts` ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from aadn.datasets.visibility import label_of, read_visibility
from aadn.errors import AnnotationError


def written(path: Path, faces: object) -> Path:
    path.write_text(json.dumps(faces), "utf-8")
    return path


def test_one_annotator(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", {"x/1.jpg": {"hidden": [[0, 2]], "unsure": [[3]]}})
    labels = read_visibility([file], 5)
    np.testing.assert_array_equal(labels["x/1.jpg"], [0, 1, 0, np.nan, 1])


def test_annotators_must_agree(tmp_path: Path) -> None:
    face = {"hidden": [[0, 1], [0, 3]], "unsure": [[2, 4], [4]]}
    labels = read_visibility([written(tmp_path / "a.json", {"1.jpg": face})], 6)
    np.testing.assert_array_equal(labels["1.jpg"], [0, np.nan, np.nan, np.nan, np.nan, 1])


def test_pictures_are_found_by_the_end_of_their_paths(tmp_path: Path) -> None:
    one, other, longer = ({"hidden": [[i]], "unsure": [[]]} for i in range(3))
    files = [
        written(tmp_path / "a.json", {"afw/1.jpg": one, "1.jpg": other}),
        written(tmp_path / "b.json", {"300w/afw/1.jpg": longer}),
    ]
    labels = read_visibility(files, 3)

    def hidden(path: str) -> int:
        found = label_of(labels, Path(path))
        assert found is not None
        return int(np.argmin(found))

    assert hidden("data/afw/1.jpg") == 0
    assert hidden("/anywhere/else/1.jpg") == 1
    assert hidden("data/300w/afw/1.jpg") == 2
    assert label_of(labels, Path("afw/11.jpg")) is None
    assert label_of(read_visibility([], 3), Path("afw/1.jpg")) is None


@pytest.mark.parametrize(
    "face",
    [
        {"hidden": [[5]], "unsure": [[]]},
        {"hidden": [[-1]], "unsure": [[]]},
        {"hidden": [[1]], "unsure": [[1]]},
        {"hidden": [[1]], "unsure": []},
        {"hidden": [], "unsure": []},
        {"hidden": [["chin"]], "unsure": [[]]},
        {"hidden": [1], "unsure": [2]},
        {"hidden": [[1]]},
        [],
        None,
    ],
)
def test_broken_labels_name_the_picture(tmp_path: Path, face: object) -> None:
    file = written(tmp_path / "a.json", {"x/1.jpg": face})
    with pytest.raises(AnnotationError, match=r"a\.json: x/1\.jpg: expected .*0 to 4"):
        read_visibility([file], 5)


def test_broken_files(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"x": ', "utf-8")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name in ("cut.json", "binary.json", "missing.json", "."):
        with pytest.raises(AnnotationError, match="cannot be read as labels of visibility"):
            read_visibility([tmp_path / name], 5)
    with pytest.raises(AnnotationError, match="expected an object"):
        read_visibility([written(tmp_path / "list.json", [1])], 5)
    file = written(tmp_path / "a.json", {"1.jpg": {"hidden": [[]], "unsure": [[]]}})
    with pytest.raises(AnnotationError, match=r"1\.jpg is labelled twice"):
        read_visibility([file, file], 5)
