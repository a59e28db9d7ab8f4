"""Labels of which landmarks are hidden, in files beside the `.pts` ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from aadn.data.samples import Sample
from aadn.data.visibility_labels import read_visibility, with_visibility
from aadn.errors import AnnotationError

SEEN: dict[str, list[list[int]]] = {"hidden": [[]], "unsure": [[]]}


def written(path: Path, faces: object) -> Path:
    path.write_text(json.dumps(faces), "utf-8")
    return path


def sample(path: str) -> Sample:
    return Sample(Path(path), np.zeros((3, 2)), np.zeros(4))


def test_one_annotator(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", {"x/1.jpg": {"hidden": [[0, 2]], "unsure": [[3]]}})
    labels = read_visibility(file, 5)
    np.testing.assert_array_equal(labels.faces["x/1.jpg"], [1, 0, 1, np.nan, 0])
    assert labels.kind == "hidden"


def test_guessed_places_are_named(tmp_path: Path) -> None:
    face = {"hidden": [[0]], "unsure": [[]], "guessed": [0, 2]}
    file = written(tmp_path / "a.json", {"1.jpg": face, "2.jpg": {"hidden": [[]], "unsure": [[]]}})
    one, other = with_visibility([sample("x/1.jpg"), sample("x/2.jpg")], [file], 3)
    np.testing.assert_array_equal(one.guessed, [True, False, True])
    assert other.guessed is None
    for wrong in ([3], "all", [0.5]):
        file = written(tmp_path / "b.json", {"1.jpg": {**face, "guessed": wrong}})
        with pytest.raises(AnnotationError, match=r'1\.jpg: expected "guessed" to be a list'):
            read_visibility(file, 3)


def test_annotators_must_agree(tmp_path: Path) -> None:
    face = {"hidden": [[0, 1], [0, 3]], "unsure": [[2, 4], [4]]}
    labels = read_visibility(written(tmp_path / "a.json", {"1.jpg": face}), 6)
    np.testing.assert_array_equal(labels.faces["1.jpg"], [1, np.nan, np.nan, np.nan, np.nan, 0])


def test_what_is_turned_away_is_apart_from_what_is_hidden(tmp_path: Path) -> None:
    hidden = written(tmp_path / "a.json", {"1.jpg": {"hidden": [[0]], "unsure": [[]]}})
    turned = written(tmp_path / "b.json", {"1.jpg": {"turned": [[1], [1]], "unsure": [[], [2]]}})
    labelled = with_visibility([sample("x/1.jpg")], [hidden, turned], 3)[0]
    np.testing.assert_array_equal(labelled.visible, [0, 1, 1])
    np.testing.assert_array_equal(labelled.turned, [0, 1, np.nan])
    mixed = {"1.jpg": {"turned": [[1]], "unsure": [[]]}, "2.jpg": {"hidden": [[1]], "unsure": [[]]}}
    with pytest.raises(AnnotationError, match=r"2\.jpg: expected .*\"turned\" in place of"):
        read_visibility(written(tmp_path / "c.json", mixed), 3)


def test_pictures_are_found_by_the_end_of_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, longer = ({"hidden": [[i]], "unsure": [[]]} for i in range(3))
    files = [
        written(tmp_path / "a.json", {"afw/1.jpg": one, "1.jpg": other}),
        written(tmp_path / "b.json", {"300w/afw/1.jpg": longer}),
    ]

    def hidden(path: str, files: list[Path]) -> int:
        visible = with_visibility([sample(path)], files, 3)[0].visible
        assert visible is not None
        return int(np.argmin(visible))

    assert hidden("data/afw/1.jpg", files[:1]) == 0
    assert hidden("/anywhere/else/1.jpg", files[:1]) == 1
    assert hidden("/data/300w/afw/1.jpg", files) == 2  # the last file has the last word
    (tmp_path / "300w" / "afw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "300w" / "afw")
    assert hidden("1.jpg", files) == 2
    unlike, like = with_visibility([sample("afw/11.jpg"), sample("afw/1.jpg")], files[:1], 3)
    assert unlike.visible is None
    assert like.visible is not None
    assert with_visibility([unlike], [], 3)[0] is unlike


def test_labels_of_other_pictures_are_refused(tmp_path: Path) -> None:
    right = written(tmp_path / "a.json", {"afw/1.jpg": SEEN})
    wrong = written(tmp_path / "b.json", {"helen/1.jpg": SEEN, "helen/2.jpg": SEEN})
    with pytest.raises(AnnotationError, match=r"b\.json: none of its 2 .*afw/1.*got helen/1"):
        with_visibility([sample("afw/1.jpg")], [right, wrong], 3)
    short = written(tmp_path / "c.json", {"1.jpg": SEEN})
    with pytest.raises(AnnotationError, match=r"1\.jpg may be afw/1\.jpg or lfpw/1\.jpg"):
        with_visibility([sample("afw/1.jpg"), sample("lfpw/1.jpg")], [short], 3)


@pytest.mark.parametrize(
    "face",
    [
        {"hidden": [[5]], "unsure": [[]]},
        {"hidden": [[-1]], "unsure": [[]]},
        {"hidden": [[1]], "unsure": [[1]]},
        {"hidden": [[1]], "unsure": []},
        {"hidden": [], "unsure": []},
        {"hidden": [["chin"]], "unsure": [[]]},
        {"hidden": [["1"]], "unsure": [[]]},
        {"hidden": [[1.0]], "unsure": [[]]},
        {"hidden": [[True]], "unsure": [[]]},
        {"hidden": [[10**30]], "unsure": [[]]},
        {"hidden": [[[1]]], "unsure": [[]]},
        {"hidden": [1], "unsure": [2]},
        {"hidden": [[1]]},
        [],
        None,
    ],
)
def test_broken_labels_name_the_picture(tmp_path: Path, face: object) -> None:
    file = written(tmp_path / "a.json", {"x/1.jpg": face})
    with pytest.raises(AnnotationError, match=r"a\.json: x/1\.jpg: expected .*0 to 4"):
        read_visibility(file, 5)


def test_broken_files(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"x": ', "utf-8")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.json").write_text("[" * 100_000, "utf-8")
    (tmp_path / "twice.json").write_text('{"1.jpg": 1, "1.jpg": 2}', "utf-8")
    for name in ("cut.json", "binary.json", "deep.json", "twice.json", "missing.json", "."):
        with pytest.raises(AnnotationError, match="cannot be read as labels of visibility"):
            read_visibility(tmp_path / name, 5)
    for content, got in (([1], "list"), ({}, "nothing"), (None, "nothing")):
        file = written(tmp_path / "a.json", content)
        with pytest.raises(AnnotationError, match=f"expected a JSON object.* got {got}"):
            read_visibility(file, 5)
    for key in ("/afw/1.jpg", "./1.jpg", "", "afw//1.jpg"):
        file = written(tmp_path / "a.json", {key: SEEN})
        with pytest.raises(AnnotationError, match="expected the end of a picture's path"):
            read_visibility(file, 5)


def test_a_picture_with_several_faces_cannot_be_labelled(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", {"x/1.jpg": SEEN})
    with pytest.raises(AnnotationError, match=r"x/1\.jpg names .*1\.jpg, which has several faces"):
        with_visibility([sample("x/1.jpg"), sample("x/1.jpg")], [file], 3)
