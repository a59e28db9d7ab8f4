"""Labelled faces in the files of other tools."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from aadn.cli.main import main
from aadn.data.annotations.convert import FOLDERS, Form, read_annotations, write_annotations
from aadn.data.annotations.states import STATES, labels_of, states_of
from aadn.data.folders import face_box
from aadn.data.pts import read_pts
from aadn.data.samples import Sample
from aadn.data.sources import read_sources
from aadn.errors import AnnotationError, InputError, OutputError
from aadn.images import picture_size
from aadn.schemes import AFLW19, IBUG68, WFLW98, Scheme

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
NAMES: dict[Form, str] = {"coco": "a.json", "cvat": "a.xml", "imglab": "b.xml",
                          "labelstudio": "c.json", "ljson": "l", "pts": "p"}  # fmt: skip
KNOWN = ("seen", "covered", "turned")


def picture(file: Path, size: tuple[int, int] = (64, 48), **options: Any) -> Path:
    """A picture's file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(file, **options)
    return file


def labelled(image: Path, scheme: Scheme = IBUG68, seed: int = 0, states: Any = KNOWN) -> Sample:
    """A face with random points and states."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, 60, (scheme.size, 2))
    said = [states[i] for i in rng.integers(len(states), size=scheme.size)]
    points[[state == "missing" for state in said]] = np.nan
    visible, turned = labels_of(said, "here")
    box = face_box(points[np.isfinite(points).all(axis=1)], "here")
    return Sample(image, points, box, visible, turned=turned)


def same(samples: list[Sample], others: list[Sample]) -> None:
    assert len(samples) == len(others)
    for one, other in zip(samples, others, strict=True):
        np.testing.assert_allclose(one.points, other.points, atol=1e-3)
        np.testing.assert_allclose(one.box, other.box, atol=1e-3)
        assert states_of(one) == states_of(other)
        assert picture_size(one.image) == picture_size(other.image)


@pytest.mark.parametrize("form", get_args(Form))
def test_what_is_written_is_read(form: Form, tmp_path: Path) -> None:
    images = [picture(tmp_path / "in" / name) for name in ("a b.jpg", "ü&.png")]
    samples = [labelled(image, seed=i) for i, image in enumerate(images)]
    out = tmp_path / "out" / NAMES[form]
    write_annotations(samples, form, out, IBUG68)
    same(read_annotations(out), samples)


@pytest.mark.parametrize("form", [form for form in get_args(Form) if form != "pts"])
@pytest.mark.parametrize("scheme", [AFLW19, WFLW98])
def test_several_faces_missing_landmarks_and_all_states(
    form: Form, scheme: Scheme, tmp_path: Path
) -> None:
    image = picture(tmp_path / "a.jpg")
    samples = [labelled(image, scheme, seed, STATES) for seed in range(3)]
    write_annotations(samples, form, tmp_path / NAMES[form], scheme)
    same(read_annotations(tmp_path / NAMES[form]), samples)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(get_args(Form), 2)))
def test_from_each_form_to_each_other(first: Form, second: Form, tmp_path: Path) -> None:
    samples = [labelled(picture(tmp_path / "in" / "a.jpg"), states=("unknown",))]
    between, out = tmp_path / "x" / NAMES[first], tmp_path / "y" / NAMES[second]
    write_annotations(samples, first, between, IBUG68)
    write_annotations(read_annotations(between), second, out, IBUG68)
    same(read_annotations(out), samples)


def one_point(tmp_path: Path) -> tuple[Sample, Path]:
    """A face whose first landmark is the centre of the first pixel of a picture of 100×50."""
    sample = labelled(picture(tmp_path / "a.png", (100, 50)))
    sample.points[0] = 0
    return sample, tmp_path


def test_where_each_form_has_its_origin(tmp_path: Path) -> None:
    """The centre of the first pixel, by hand."""
    sample, folder = one_point(tmp_path)
    for form, name in NAMES.items():
        write_annotations([sample], form, folder / name, IBUG68)
    assert json.loads((folder / "a.json").read_text())["annotations"][0]["keypoints"][:2] == [0, 0]
    first = ElementTree.parse(folder / "a.xml").find("image/skeleton/points")
    assert first is not None
    assert first.get("points") == "0.5000,0.5000"
    part = ElementTree.parse(folder / "b.xml").find("images/image/box/part")
    assert part is not None
    assert (part.get("name"), part.get("x"), part.get("y")) == ("00", "0", "0")
    value = json.loads((folder / "c.json").read_text())[0]["predictions"][0]["result"][0]["value"]
    assert (value["x"], value["y"]) == (0.5, 1.0)  # percent of 100 and of 50 pixels
    assert json.loads((folder / "l/a.ljson").read_text())["landmarks"]["points"][0] == [0, 0]
    assert (folder / "p/a.pts").read_text().splitlines()[3] == "1.000000 1.000000"


def test_turned_pictures_count_as_they_are_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = picture(tmp_path / "a.jpg", (40, 20), exif=exif)
    assert picture_size(image) == (20, 40)
    write_annotations([labelled(image)], "coco", tmp_path / "a.json", IBUG68)
    (entry,) = json.loads((tmp_path / "a.json").read_text())["images"]
    assert (entry["width"], entry["height"], entry["file_name"]) == (20, 40, "a.jpg")


# COCO


def test_coco_says_what_is_seen(tmp_path: Path) -> None:
    sample = labelled(picture(tmp_path / "a.jpg"), states=STATES)
    write_annotations([sample], "coco", tmp_path / "a.json", IBUG68)
    content = json.loads((tmp_path / "a.json").read_text())
    (annotation,) = content["annotations"]
    values = {"seen": 2, "unknown": 2, "missing": 0, "covered": 1, "turned": 1, "hidden": 1}
    assert annotation["keypoints"][2::3] == [values[state] for state in states_of(sample)]
    assert annotation["num_keypoints"] == sum(v > 0 for v in annotation["keypoints"][2::3])
    (category,) = content["categories"]
    assert len(category["keypoints"]) == 68
    assert [1, 2] in category["skeleton"]
    assert [42, 37] in category["skeleton"]  # the right eye is closed
    x, y, width, height = annotation["bbox"]
    np.testing.assert_allclose([x, y, x + width, y + height], sample.box + 0.5, atol=1e-3)


def test_coco_of_others(tmp_path: Path) -> None:
    picture(tmp_path / "pictures" / "1.jpg")
    content = {
        "images": [{"id": 7, "file_name": "somewhere/1.jpg"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "keypoints": [1, 2, 2, 3, 5, 1, 0, 0, 0],
                "bbox": [0, 0, 1, 1],
            },
            {"id": 2, "image_id": 7, "bbox": [0, 0, 1, 1]},
            {"id": 3, "image_id": 7, "keypoints": [0] * 9},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (sample,) = read_annotations(tmp_path / "a.json", tmp_path / "pictures")
    np.testing.assert_array_equal(sample.points, [[1, 2], [3, 5], [np.nan, np.nan]])
    assert states_of(sample) == ["seen", "hidden", "missing"]
    np.testing.assert_array_equal(sample.box, [1, 2, 3, 5])


def test_coco_wholebody(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg")
    body = {"image_id": 1, "keypoints": [9, 9, 2] * 17, "face_kpts": [1, 2, 0.9, 3, 5, 0.2]}
    annotations = [body | {"id": 1, "face_valid": True}, body | {"id": 2, "face_valid": False}]
    content = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": annotations}
    (tmp_path / "a.json").write_text(json.dumps(content))
    (sample,) = read_annotations(tmp_path / "a.json")
    np.testing.assert_array_equal(sample.points, [[1, 2], [3, 5]])


# CVAT


def test_cvat_after_correction(tmp_path: Path) -> None:
    """What is moved, shown, hidden and taken out in CVAT."""
    sample = labelled(picture(tmp_path / "a.jpg"), states=("covered",))
    write_annotations([sample], "cvat", tmp_path / "a.xml", IBUG68)
    tree = ElementTree.parse(tmp_path / "a.xml")
    points = tree.findall("image/skeleton/points")
    points[0].set("points", "10.5,20.5")
    points[1].set("occluded", "0")
    points[2].set("outside", "1")
    attribute = points[3].find("attribute")
    assert attribute is not None
    attribute.text = "turned"
    points[4].remove(points[4].find("attribute"))  # type: ignore[arg-type]
    tree.write(tmp_path / "a.xml")
    (found,) = read_annotations(tmp_path / "a.xml")
    assert states_of(found)[:6] == ["covered", "seen", "missing", "turned", "hidden", "covered"]
    np.testing.assert_allclose(found.points[0], [10, 20])


def test_cvat_s_label_fits_its_file(tmp_path: Path) -> None:
    sample = labelled(picture(tmp_path / "a.jpg"))
    write_annotations([sample], "cvat", tmp_path / "a.xml", IBUG68)
    (label,) = json.loads((tmp_path / "a.labels.json").read_text())
    svg = ElementTree.fromstring(f"<svg>{label['svg']}</svg>")
    named = [circle.get("data-label-name") for circle in svg.iter("circle")]
    skeleton = ElementTree.parse(tmp_path / "a.xml").find("image/skeleton")
    assert skeleton is not None
    assert named == [p["name"] for p in label["sublabels"]] == [p.get("label") for p in skeleton]
    assert label["name"] == skeleton.get("label")
    nodes = {circle.get("data-node-id") for circle in svg.iter("circle")}
    assert {line.get("data-node-from") for line in svg.iter("line")} <= nodes
    assert all(0 <= float(c.get("cx") or -1) <= 100 for c in svg.iter("circle"))


def test_cvat_s_shapes_of_points(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(
        '<annotations><image name="a.jpg"><points label="face" occluded="0" '
        'points="1.5,2.5;3.5,5.5"/><points label="mole" points="9,9"/></image>'
        '<image name="gone.jpg"/></annotations>'
    )
    (sample,) = read_annotations(tmp_path / "a.xml")
    np.testing.assert_array_equal(sample.points, [[1, 2], [3, 5]])


# Label Studio


def test_label_studio_after_correction(tmp_path: Path) -> None:
    """A person's annotation goes before the prediction; uploaded pictures have other names."""
    samples = [labelled(picture(tmp_path / "a b.jpg"), seed=i) for i in range(2)]
    write_annotations(samples, "labelstudio", tmp_path / "c.json", IBUG68)
    (task,) = json.loads((tmp_path / "c.json").read_text())
    result = json.loads(json.dumps(task["predictions"][0]["result"]))
    result[0]["value"].update(x=50, y=50)
    result[1]["value"]["choices"] = ["hidden"]
    del result[2:4]
    task["annotations"] = [{"result": result}, {"result": [], "was_cancelled": True}]
    del task["data"]["file"]
    for address in ("/data/upload/1/0a1b2c3d-a%20b.jpg", "/data/local-files/?d=x/a%20b.jpg"):
        task["data"]["image"] = address
        (tmp_path / "c.json").write_text(json.dumps([task]))
        first, second = read_annotations(tmp_path / "c.json")
        np.testing.assert_allclose(first.points[0], [31.5, 23.5])
        assert states_of(first)[:2] == ["hidden", "missing"]
        same([second], samples[1:])


def test_label_studio_s_interface_has_the_labels_of_its_file(tmp_path: Path) -> None:
    write_annotations([labelled(picture(tmp_path / "a.jpg"))], "labelstudio",
                      tmp_path / "c.json", IBUG68)  # fmt: skip
    view = ElementTree.parse(tmp_path / "c.config.xml").getroot()
    (task,) = json.loads((tmp_path / "c.json").read_text())
    regions = task["predictions"][0]["result"]
    used = [r["value"]["keypointlabels"][0] for r in regions if r["type"] == "keypointlabels"]
    assert [label.get("value") for label in view.iter("Label")] == used
    assert {choice.get("value") for choice in view.iter("Choice")} == {*STATES} - {"missing"}
    assert {r["from_name"] for r in regions} == {"landmark", "state"}
    assert {e.get("name") for e in view.iter() if e.get("name")} == {"landmark", "state", "image"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[2]["value"].update(keypointlabels=["nose"]), "labelled by landmarks' numbers"),
        (lambda r: r[2]["value"].update(keypointlabels=["0 jaw 0"]), "there twice in one face"),
        (lambda r: r[2].pop("meta"), "which face they belong to"),
        (lambda r: r[2]["value"].update(x="left"), "expected a number, got 'left'"),
        (lambda r: r[1]["value"].update(choices=["gone"]), "expected states of"),
    ],
)
def test_broken_tasks(change: Any, message: str, tmp_path: Path) -> None:
    write_annotations([labelled(picture(tmp_path / "a.jpg"))], "labelstudio",
                      tmp_path / "c.json", IBUG68)  # fmt: skip
    tasks = json.loads((tmp_path / "c.json").read_text())
    change(tasks[0]["predictions"][0]["result"])
    (tmp_path / "c.json").write_text(json.dumps(tasks))
    with pytest.raises(AnnotationError, match=message):
        read_annotations(tmp_path / "c.json")


# imglab


def test_imglab_of_dlib(tmp_path: Path) -> None:
    """A file as imglab writes it: whole pixels, parts by name, ignored boxes."""
    picture(tmp_path / "a.jpg")
    (tmp_path / "b.xml").write_text(
        "<?xml version='1.0' encoding='ISO-8859-1'?>\n<dataset><images><image file='a.jpg'>"
        "<box top='1' left='2' width='30' height='40'><part name='nose' x='5' y='6'/>"
        "<part name='chin' x='7' y='19'/></box><box top='1' left='1' width='3' height='3' "
        "ignore='1'><part name='nose' x='5' y='6'/></box>"
        "<box top='1' left='1' width='3' height='3'/></image></images></dataset>"
    )
    (sample,) = read_annotations(tmp_path / "b.xml")
    np.testing.assert_array_equal(sample.points, [[7, 19], [5, 6]])
    assert states_of(sample) == ["unknown", "unknown"]


def test_what_imglab_moves_is_moved(tmp_path: Path) -> None:
    sample = labelled(picture(tmp_path / "a.jpg"))
    write_annotations([sample], "imglab", tmp_path / "b.xml", IBUG68)
    tree = ElementTree.parse(tmp_path / "b.xml")
    first, second = tree.findall("images/image/box/part")[:2]
    first.set("x", "33")
    for key in ("exact_x", "exact_y", "state"):  # as imglab saves it: it keeps what it knows
        del second.attrib[key]
    tree.write(tmp_path / "b.xml")
    (found,) = read_annotations(tmp_path / "b.xml")
    assert found.points[0, 0] == 33
    np.testing.assert_array_equal(found.points[1], np.rint(sample.points[1]))


# Folders, detections


def test_a_folder_of_pts_has_its_pictures(tmp_path: Path) -> None:
    samples = [labelled(picture(tmp_path / "in/a.jpg"))]
    write_annotations(samples, "pts", tmp_path / "out", IBUG68)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"a.jpg", "a.pts", "hidden.json", "turned.json"}
    np.testing.assert_allclose(read_pts(tmp_path / "out/a.pts"), samples[0].points, atol=1e-6)
    write_annotations(samples, "pts", tmp_path / "in", IBUG68)  # beside them
    same(read_annotations(tmp_path / "in"), samples)


@pytest.mark.parametrize("form", FOLDERS)
def test_pictures_of_one_name_do_not_overwrite_each_other(form: Form, tmp_path: Path) -> None:
    samples = [labelled(picture(tmp_path / name)) for name in ("x/a.jpg", "y/a.jpg")]
    with pytest.raises(AnnotationError, match="two pictures are called a"):
        write_annotations(samples, form, tmp_path / "out", IBUG68)
    assert not (tmp_path / "out").exists()


def test_what_pts_cannot_have(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg")
    with pytest.raises(AnnotationError, match="missing landmarks"):
        write_annotations([labelled(image, states=STATES)], "pts", tmp_path / "o", IBUG68)
    two = [labelled(image, seed=i) for i in range(2)]
    with pytest.raises(AnnotationError, match="states of several faces"):
        write_annotations(two, "pts", tmp_path / "o", IBUG68)
    plain = [labelled(image, seed=i, states=("unknown",)) for i in range(2)]
    write_annotations(plain, "pts", tmp_path / "o", IBUG68)
    same(read_annotations(tmp_path / "o"), plain)


def test_detections_can_be_corrected_elsewhere(tmp_path: Path, capsys: Any) -> None:
    found = tmp_path / "found.json"
    assert main(["detect", str(ASTRONAUT), "--json", str(found)]) == 0
    for form in ("cvat", "labelstudio", "coco"):
        out = tmp_path / f"{form}{Path(NAMES[form]).suffix}"
        assert main(["convert", str(found), "--to", form, "--out", str(out)]) == 0
        (sample,) = read_annotations(out)
        (face,) = json.loads(found.read_text())["images"][0]["faces"]
        np.testing.assert_allclose(sample.points, face["points"], atol=1e-3)
        states = states_of(sample)
        assert [i for i, state in enumerate(states) if state == "covered"] == face["covered"]
        assert [i for i, state in enumerate(states) if state == "turned"] == face["turned"]
    assert "1 faces of 1 pictures" in capsys.readouterr().out


# What cannot be read or written


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "no complete JSON"),
        ("a.json", "{}", "got a .json file of none"),
        ("a.json", "[1]", "expected a task with its data"),
        ("a.json", '{"annotations": 1, "images": []}', "expected COCO's list of annotations"),
        ("a.json", '{"annotations": [], "images": []}', "expected labelled faces, found none"),
        ("a.json", '{"images": [{"image": "x", "faces": 1}]}', "expected a picture's faces"),
        ("a.xml", "<a", "no complete XML"),
        ("a.xml", "<a/>", "got a .xml file of none"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "defines entities"),
        ("a.ljson", "[]", "expected landmarks of version 2 or 3"),
        ("a.txt", "", "got a .txt file of none"),
        ("b/c.txt", "", "nothing there"),
    ],
)
def test_what_is_no_annotation(name: str, content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if "/" not in name:
        file.write_text(content)
    with pytest.raises(AnnotationError, match=message):
        read_annotations(file)


def test_pictures_that_are_not_there(tmp_path: Path) -> None:
    write_annotations(
        [labelled(picture(tmp_path / "in/a.jpg"))], "coco", tmp_path / "a.json", IBUG68
    )
    (tmp_path / "in/a.jpg").rename(tmp_path / "b.jpg")
    with pytest.raises(AnnotationError, match=r"in/a.jpg is not in .*--images"):
        read_annotations(tmp_path / "a.json")


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: Any) -> None:
    def code(*words: Any) -> tuple[int, str]:
        return main(["convert", *map(str, words)]), capsys.readouterr().err

    image = picture(tmp_path / "a.jpg")
    write_annotations([labelled(image)], "coco", tmp_path / "a.json", IBUG68)
    given = tmp_path / "a.json", "--to", "imglab", "--out"
    assert code(*given, tmp_path)[0] == OutputError.exit_code
    wrong, said = code(*given, tmp_path / "b.xml", "--scheme", "wflw98")
    assert (wrong, "68 landmarks, wflw98 has 98" in said) == (InputError.exit_code, True)
    assert code(tmp_path / "no.json", *given[1:], tmp_path / "b.xml")[0] == 5
    assert code(*given[:2], "voc", "--out", tmp_path / "b.xml")[0] == 2
    assert code(*given, tmp_path / "b.xml") == (0, "")


# To train and to measure on


def test_sources_of_all_kinds_together(tmp_path: Path) -> None:
    one, two, three = (picture(tmp_path / f"in/{name}.jpg") for name in "abc")
    write_annotations([labelled(one)], "pts", tmp_path / "folder", IBUG68)
    write_annotations([labelled(two)], "coco", tmp_path / "a.json", IBUG68)
    write_annotations([labelled(three)], "ljson", tmp_path / "l", IBUG68)
    sources = [tmp_path / "l", tmp_path / "a.json", tmp_path / "folder"]
    samples = read_sources(sources, 68)
    assert [sample.parts for sample in samples] == [(str(sources[i]),) for i in (2, 0, 1)]
    assert [sample.image.name for sample in samples] == ["a.jpg", "c.jpg", "b.jpg"]
    assert samples[1].visible is not None
    with pytest.raises(AnnotationError, match="expected 19 landmarks"):
        read_sources(sources[:2], 19)
    write_annotations([labelled(two, AFLW19)], "cvat", tmp_path / "a.xml", AFLW19)
    with pytest.raises(AnnotationError, match=r"a\.xml: expected 68 landmarks a face, got 19"):
        read_sources([*sources, tmp_path / "a.xml"])


def test_a_network_is_measured_on_a_file(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    assert main(["detect", str(ASTRONAUT), "--json", str(found)]) == 0
    out = tmp_path / "report.json"
    assert main(["evaluate", str(found), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["images"] == 1
    assert report["nme"] < 1.5  # by its own answers; the box is another
