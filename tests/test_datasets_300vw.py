"""300VW's reader, on videos that the tests write."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest

from aadn.data.pts import read_pts, write_pts
from aadn.data.release import read_release
from aadn.data.releases import vw300
from aadn.data.releases.vw300 import RELEASE, read_300vw, read_frame
from aadn.data.samples import Sample
from aadn.errors import AnnotationError, ImageError

FACE = np.stack([np.arange(68.0), 2 * np.arange(68.0) + 0.5], axis=1)


@pytest.fixture(autouse=True)
def close_video() -> Iterator[None]:
    yield
    vw300._opened.clear()


def colour(number: int) -> tuple[int, int, int]:
    """RGB of frame `number` of a test's video."""
    return 15 * number, 200, 255 - 15 * number


def write_video(path: Path, frames: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(1, frames + 1):
        writer.write(np.full((48, 64, 3), colour(number)[::-1], np.uint8))
    writer.release()
    return path


def write_labels(folder: Path, numbers: range) -> None:
    """Labels of some frames; those of frame n are moved by n."""
    for number in numbers:
        write_pts(folder / "annot" / f"{number:06d}.pts", FACE + number)


def video(root: Path, name: str, frames: int = 3) -> Path:
    write_labels(root / name, range(1, frames + 1))
    return write_video(root / name / "vid.avi", frames)


def shown(sample: Sample) -> list[int]:
    picture = sample.picture()
    assert picture.dtype == np.uint8
    assert picture.shape == (48, 64, 3)
    return [int(v) for v in picture.mean(axis=(0, 1)).round()]


def test_frames_labels_parts_and_order(tmp_path: Path) -> None:
    for name in ("410", "002", "208", "203", "158", "114", "001"):
        video(tmp_path, name, 2)
    samples = read_300vw(tmp_path, "test")
    assert [str(s.image.relative_to(tmp_path).as_posix()) for s in samples] == [
        f"{name}/vid.avi/00000{n}" for name in ("114", "158", "203", "208", "410") for n in (1, 2)
    ]
    assert [s.parts for s in samples[::2]] == [
        ("category 1",), ("category 1",), ("category 2",), ("category 2",), ("category 3",)
    ]  # fmt: skip
    np.testing.assert_allclose(samples[3].points, FACE + 2, atol=1e-6)
    np.testing.assert_allclose(samples[3].box, [2, 2.5, 69, 136.5], atol=1e-6)
    assert samples[0].visible is None
    train = read_300vw(tmp_path, "train")
    assert [s.image.parts[-3] for s in train] == ["001", "001", "002", "002"]
    assert train[0].parts == ()


def test_frames_in_any_order(tmp_path: Path) -> None:
    video(tmp_path, "001", 12)
    video(tmp_path, "002", 3)
    samples = read_300vw(tmp_path, "train")
    for index in (0, 1, 2, 5, 5, 11, 3, 0, 12, 14, 4, 13):
        number = index + 1 if index < 12 else index - 11
        np.testing.assert_allclose(shown(samples[index]), colour(number), atol=4)


def test_going_forward_opens_a_video_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = cv2.VideoCapture

    def counting(name: str) -> cv2.VideoCapture:
        opened.append(Path(name).parent.name)
        return real(name)

    for name in ("001", "002"):
        video(tmp_path, name, 6)
    samples = read_300vw(tmp_path, "train")
    monkeypatch.setattr(cv2, "VideoCapture", counting)
    for index in (0, 1, 3, 5, 6, 11):
        samples[index].picture()
    assert opened == ["001", "002"]
    samples[7].picture()
    samples[0].picture()
    assert opened == ["001", "002", "002", "001"]
    assert len(vw300._opened) == 1


def test_samples_survive_pickling(tmp_path: Path) -> None:
    video(tmp_path, "001")
    samples = read_300vw(tmp_path, "train")
    samples[0].picture()
    copy = pickle.loads(pickle.dumps(samples[1]))
    np.testing.assert_allclose(shown(copy), colour(2), atol=4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_reads_for_itself(tmp_path: Path) -> None:
    video(tmp_path, "001", 12)
    samples = read_300vw(tmp_path, "train")
    samples[2].picture()
    with get_context("fork").Pool(1) as pool:
        children = pool.map(shown, samples[6:9])
    np.testing.assert_allclose(children, [colour(n) for n in (7, 8, 9)], atol=4)
    np.testing.assert_allclose(shown(samples[3]), colour(4), atol=4)


def test_known_broken_frames_are_left_out(tmp_path: Path) -> None:
    video(tmp_path, "411", 21)
    numbers = [int(s.image.name) for s in read_300vw(tmp_path, "test")]
    assert numbers == [*range(1, 19), 21]
    test = {v for videos in vw300._VIDEOS["test"].values() for v in videos.split()}
    assert set(vw300._BROKEN) <= test
    assert sum(len(vw300._broken(name)) for name in vw300._BROKEN) == 2127


def test_counts_are_of_videos(tmp_path: Path) -> None:
    for name in ("114", "203", "208", "410"):
        write_video(tmp_path / name / "vid.avi", 2)
        write_labels(tmp_path / name, range(1, 3))
    part = {"all": 4, "category 1": 1, "category 2": 2, "category 3": 1}
    assert len(read_release(replace(RELEASE, counts={"test": part}), tmp_path, "test")) == 8
    message = r"test videos of 300VW are not complete \(all: 4 of 64; 'category 1': 1 of 31; "
    with pytest.raises(AnnotationError, match=message):
        read_release(RELEASE, tmp_path, "test")
    assert len(read_release(RELEASE, tmp_path, "test", incomplete=True)) == 8
    for split, counts in RELEASE.counts.items():
        parts = {p: len(set(v.split())) for p, v in vw300._VIDEOS[split].items()}
        assert sum(parts.values()) == counts["all"]
        assert all(counts[p] == n for p, n in parts.items() if p)
    names = [v for s in vw300._VIDEOS.values() for videos in s.values() for v in videos.split()]
    assert len(set(names)) == 114


def test_a_wrong_count_in_the_header_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cv2.VideoCapture

    class Estimating:
        def __init__(self, name: str) -> None:
            capture = real(name)
            self.isOpened, self.grab = capture.isOpened, capture.grab
            self.release = capture.release

        def get(self, _: int) -> float:
            return 7.0

    monkeypatch.setattr(cv2, "VideoCapture", Estimating)
    video(tmp_path, "001")
    assert len(read_300vw(tmp_path, "train")) == 3


@pytest.mark.parametrize("part", [0.3, 0.6, 0.8])
def test_a_video_that_is_cut_off(tmp_path: Path, part: float) -> None:
    path = video(tmp_path, "001", 12)
    whole = path.read_bytes()
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 12
    first = whole.index(b"movi")  # what comes before are headers
    path.write_bytes(whole[: first + int(part * (len(whole) - first))])
    message = r"vid\.avi: the video has [1-9]\d? frames, but 12 \.pts files in annot"
    with pytest.raises(AnnotationError, match=message):
        read_300vw(tmp_path, "train")


def test_videos_of_their_stated_length_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video(tmp_path, "001")
    with path.open("ab") as file:
        file.write(b"RIFF\x05\x00\x00\x00AVIX\x00\x00")  # a second part, as of long videos
    real = cv2.VideoCapture

    class Header:
        def __init__(self, name: str) -> None:
            capture = real(name)
            self.isOpened, self.get, self.release = capture.isOpened, capture.get, capture.release

    monkeypatch.setattr(cv2, "VideoCapture", Header)
    assert len(read_300vw(tmp_path, "train")) == 3


def test_a_video_with_more_at_its_end_is_counted(tmp_path: Path) -> None:
    with video(tmp_path, "001").open("ab") as file:
        file.write(b"\0" * 100)
    assert len(read_300vw(tmp_path, "train")) == 3


@pytest.mark.parametrize("labels", [2, 4])
def test_another_number_of_labels_than_frames(tmp_path: Path, labels: int) -> None:
    write_video(tmp_path / "001" / "vid.avi", 3)
    write_labels(tmp_path / "001", range(1, labels + 1))
    message = rf"vid\.avi: the video has 3 frames, but {labels} \.pts files"
    with pytest.raises(AnnotationError, match=message):
        read_300vw(tmp_path, "train")


def test_a_gap_in_the_labels(tmp_path: Path) -> None:
    video(tmp_path, "001")
    (tmp_path / "001" / "annot" / "000002.pts").rename(tmp_path / "001" / "annot" / "000004.pts")
    with pytest.raises(AnnotationError, match=r"frames 1 to 3, those of frame 2 are missing"):
        read_300vw(tmp_path, "train")


def test_broken_labels(tmp_path: Path) -> None:
    video(tmp_path, "001")
    path = tmp_path / "001" / "annot" / "000002.pts"
    write_pts(path, FACE[:67])
    with pytest.raises(AnnotationError, match=r"000002\.pts: expected 68 landmarks, got 67"):
        read_300vw(tmp_path, "train")
    write_pts(path, np.full((68, 2), 7.0))
    with pytest.raises(AnnotationError, match=r"000002\.pts: all 68 landmarks lie in one place"):
        read_300vw(tmp_path, "train")
    path.rename(path.with_name("2.pts"))
    with pytest.raises(AnnotationError, match=r"2\.pts: expected a name like 000001\.pts"):
        read_300vw(tmp_path, "train")


def test_missing_and_broken_videos(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = video(tmp_path, "001")
    path.write_bytes(b"no video " * 100)
    with pytest.raises(AnnotationError, match=r"vid\.avi: expected a video, but it is broken"):
        read_300vw(tmp_path, "train")
    assert capfd.readouterr().err == ""
    path.unlink()
    with pytest.raises(AnnotationError, match=r"001: expected vid\.avi, or its frames in imgs"):
        read_300vw(tmp_path, "train")
    (tmp_path / "002").mkdir()
    (tmp_path / "001").rename(tmp_path / "gone")
    with pytest.raises(AnnotationError, match=r"annot: expected 000001\.pts and so on"):
        read_300vw(tmp_path, "train")


def test_frames_that_cannot_be_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "vid.avi", 3)
    for number in (4, 9):
        with pytest.raises(ImageError, match=rf"expected a frame {number}, .* ends after 3"):
            read_frame(path, number)
    np.testing.assert_allclose(read_frame(path, 3)[0, 0], colour(3), atol=4)
    with pytest.raises(ImageError, match=r"no\.avi: expected a video, but no such file"):
        read_frame(tmp_path / "no.avi", 1)


def test_unpacked_frames(tmp_path: Path) -> None:
    write_labels(tmp_path / "001", range(1, 4))
    images = tmp_path / "001" / "imgs"
    images.mkdir()
    for name in ("000001.jpg", "000002.png"):
        cv2.imwrite(str(images / name), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(AnnotationError, match=r"1 of 3 frames .* first is 000003\.jpg or \.png"):
        read_300vw(tmp_path, "train")
    (images / "000003.jpg").write_bytes(b"")
    with pytest.raises(AnnotationError, match=r"1 of 3 frames .* missing or empty, the first"):
        read_300vw(tmp_path, "train")
    (tmp_path / "001" / "annot" / "000003.pts").unlink()
    (images / "000003.jpg").unlink()
    samples = read_300vw(tmp_path, "train")
    assert [s.image.name for s in samples] == ["000001.jpg", "000002.png"]
    assert samples[1].picture().shape == (4, 6, 3)


def test_unpacked_frames_and_labels_must_agree(tmp_path: Path) -> None:
    write_labels(tmp_path / "001", range(4, 6))
    images = tmp_path / "001" / "imgs"
    images.mkdir()
    for number in range(1, 9):
        cv2.imwrite(str(images / f"{number:06d}.jpg"), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(AnnotationError, match=r"6 of 8 frames have no labels .* first is 000001;"):
        read_300vw(tmp_path, "train")
    for number in (1, 2, 3, 6, 7, 8):
        (images / f"{number:06d}.jpg").unlink()
    assert [s.image.stem for s in read_300vw(tmp_path, "train")] == ["000004", "000005"]


def test_genuine_frames(shared_data: Path) -> None:
    folder = shared_data / "layouts" / "coco_style" / "300vw"
    train, test = read_300vw(folder, "train"), read_300vw(folder, "test")
    assert [s.image.name for s in train] == ["000006.jpg", "000009.jpg"]
    assert [s.image.name for s in test] == ["000732.jpg"]  # 731 is known to be broken
    assert train[0].points[0].tolist() == pytest.approx([742.224, 196.764])
    assert train[0].picture().shape == (720, 1280, 3)
    assert test[0].parts == ("category 1",)
    np.testing.assert_array_equal(test[0].points, read_pts(folder / "401/annot/000732.pts"))
