"""300VW: 114 videos with 68 landmarks in each frame (Shen et al., ICCV-W 2015)."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.data.folders import face_box, has_picture
from aadn.data.pts import read_pts
from aadn.data.release import Release, Split
from aadn.data.samples import Sample
from aadn.errors import AnnotationError, ImageError
from aadn.schemes import IBUG68

_VIDEOS: dict[Split, dict[str, str]] = {
    "train": {
        "": "001 002 003 004 007 009 010 011 013 015 016 017 018 019 020 022 025 027 028 029 031 "
        "033 034 035 037 039 041 043 044 046 047 048 049 053 057 059 112 113 115 119 120 123 138 "
        "143 144 160 204 205 223 225",
    },
    "test": {
        "category 1": "114 124 125 126 150 158 401 402 505 506 507 508 509 510 511 514 515 518 "
        "519 520 521 522 524 525 537 538 540 541 546 547 548",
        "category 2": "203 208 211 212 213 214 218 224 403 404 405 406 407 408 409 412 550 551 553",
        "category 3": "410 411 516 517 526 528 529 530 531 533 557 558 559 562",
    },
}

# Frames whose labels are wrong, by video, first-last: the list of MMPose (Apache-2.0), which
# leaves them out too. All of them are of test videos.
_BROKEN = {
    "401": (
        "722-724 727-731 788-789 792 795 810-811 850-891 897-898 902-903 910-911 913-923 "
        "1122-1137 1140 1143-1158 1160-1164 1381 1543-1545 1605-1606 1614-1615 1618"
    ),
    "402": "677-678 682 686-695 805-814 1015-1042 1068 1075-1078 1080 1082-1096 1664 1666-1701",
    "410": (
        "148 150 176 178-180 182-184 186-188 190-192 194-196 198-200 202-204 206-208 "
        "283-284 286-288 290-292 294 316-344 542-543 626 686-688 690-692 694-695 700 816 "
        "823-832 834-835 1058-1059 1118-1132 1183-1192 1194 1218-1230 1232 1234-1235 "
        "1239-1240 1242-1243 1282-1284 1286-1288 1290-1292 1294"
    ),
    "411": (
        "19-20 60 80 82-120 231-232 234-370 454-475 480 486-517 522-573 578 627-631 702-703 "
        "707 1271-1272 1274-1289"
    ),
    "508": (
        "14 147-150 267-274 367-368 370-373 382 613 618 831-832 870 930-935 1029 1086-1088 "
        "1175-1176 1179-1184 1186-1192 1280-1293 1316 1501-1502 1927-1928 1930-1935 "
        "1973-1974 1987 1989 2008 2036 2039-2040 2042-2046 2239 2382 2404-2405 3018 "
        "3123-3128"
    ),
    "518": (
        "392 475-480 482-512 514-518 633 670-671 780-784 786 1607-1624 1626-1632 1634-1640 "
        "1706-1744 1746-1752 1754-1760 1762-1767 1954-1968 1970-1997 2003-2008 2028 2046 "
        "2055-2068"
    ),
    "529": (
        "90-96 133 139 605 644-648 650-656 659 661 691-692 1340-1344 1346-1349 1357 "
        "1367-1368 1370-1376 1422-1424 1483 1824 1908-1912 1914-1920 1922 2058-2063 "
        "2075-2080 2226-2228 2248 2250-2256 2258-2264 2266-2268 2288 2290 2422-2424 "
        "2426-2432 2434-2440 2442-2444 2484 2487 2498-2503 2834-2840 3007"
    ),
    "530": (
        "554-556 720 726-728 730-736 738-744 828-832 834-840 842-848 874-880 882-888 "
        "890-896 898-901 927-928 935-936 1186-1188 1247-1248 1250 1276 1296 1356-1361 "
        "1426-1427 1802-1803 1820 2074-2080 2082-2088 2090-2096"
    ),
    "531": "109 279-287 322-325",
    "533": (
        "1062-1188 1232-1240 1245-1255 1257-1326 1379-1380 1403-1407 1424 1426-1427 "
        "1484-1485 1498-1500 1504-1505"
    ),
    "540": "744 746-750",
    "547": "111-112 114-120 122-128 130-135 959 978 1050-1055",
    "548": (
        "429-432 434-440 442-448 450 582-584 586-592 594-600 602 624 626 642 804-808 "
        "898-904 906-912 914-920 922-924 1170-1207 1260-1288 1394 1488 1490"
    ),
    "551": "180-181 298-302 494 506-509 516 562-568 675-680 682-684 686-688 690 790-792",
    "553": "551-560 713 761-763 775-776 778-780 783-784 786-792 808-809 1366",
    "557": (
        "22 32-49 57 75 177 180-231 345-379 412-469 524 536 538-539 544 546 621-623 778-780 "
        "785 793 801 809 820-822 994-995 1009 1017 1036 1096-1097 1105 1156-1189 1305 "
        "1308-1357 1532-1563 1587 1593 1601 1604 1609 1614 1617 1622-1623 1625-1651 1653 "
        "1657 1671-1715"
    ),
}


def read_300vw(folder: Path, split: Split) -> list[Sample]:
    """Samples of the videos of a split that are there, by category, video and frame.

    A video is a folder with `vid.avi`, read frame by frame where it lies, and its labels in
    `annot/`; or, unpacked as MMPose does, with its frames in `imgs/` instead. Frames that are
    known to be labelled wrongly are left out. Without visibility.

    Raises AnnotationError for labels that are broken, and for a video that is not whole: its
    frames and its labels are not of the same numbers, all from 1 on where it is vid.avi.
    """
    samples = []
    for part, videos in _VIDEOS[split].items():
        for video in videos.split():
            if (folder / video).is_dir():
                samples += _samples(folder / video, (part,) if part else ())
    return samples


@dataclass
class _Open:
    video: Path
    capture: cv2.VideoCapture
    next: int


# The open video by process: one that a fork inherits must not be touched by the child, since it
# shares its parent's place in the file and has lost the decoder's threads.
_opened: dict[int, _Open] = {}


def read_frame(video: Path, number: int) -> NDArray[np.uint8]:
    """Frame `number` of a video, counted from 1, (H, W, 3) uint8 RGB.

    The video stays open, one at a time in each process, so that the next frame costs no more than
    itself; an earlier frame starts the video again. Not for several threads.

    Raises ImageError if the video cannot be opened or ends before.
    """
    current = _opened.get(os.getpid())
    if current is None or current.video != video or current.next > number:
        if current is not None:
            current.capture.release()
        current = _opened[os.getpid()] = _Open(video, _capture(video), 1)
    while current.next < number and current.capture.grab():
        current.next += 1
    frame = current.capture.read()[1] if current.next == number else None
    if frame is None:
        last = current.next - 1
        del _opened[os.getpid()]
        raise ImageError(f"{video}: expected a frame {number}, the video ends after {last}")
    current.next += 1
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def _capture(video: Path) -> cv2.VideoCapture:
    if not video.is_file():
        raise ImageError(f"{video}: expected a video, but no such file; get the file again")
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise ImageError(
            f"{video}: expected a video, but it is broken or of an unknown kind; get the file again"
        )
    return capture


def _samples(folder: Path, parts: tuple[str, ...]) -> list[Sample]:
    labels = _labels(folder / "annot")
    video = folder / "vid.avi"
    broken = _broken(folder.name)
    if video.is_file():
        _check_frames(video, labels)
    elif (folder / "imgs").is_dir():
        video = folder / "imgs"
        _check_images(video, labels)
    else:
        raise AnnotationError(
            f"{folder}: expected vid.avi, or its frames in imgs, found neither; get 300VW again"
        )
    samples = []
    for number, path in labels.items():
        if number in broken:
            continue
        points = read_pts(path)
        if len(points) != RELEASE.landmarks:
            raise AnnotationError(
                f"{path}: expected {RELEASE.landmarks} landmarks, got {len(points)}"
            )
        box = face_box(points, path)
        if video.is_dir():
            image, read = _image(video, number), None
        else:
            image, read = video / path.stem, functools.partial(read_frame, video, number)
        samples.append(Sample(image, points, box, parts=parts, read=read, scene=video))
    return samples


def _labels(folder: Path) -> dict[int, Path]:
    """The labels of a video by the number of their frame, in order."""
    paths = sorted(path for path in folder.glob("*.pts") if not path.name.startswith("."))
    for path in paths:
        if not (len(path.stem) == 6 and path.stem.isdecimal()):
            raise AnnotationError(f"{path}: expected a name like 000001.pts, the frame's number")
    if not paths:
        raise AnnotationError(f"{folder}: expected 000001.pts and so on, found no .pts file")
    return {int(path.stem): path for path in paths}


def _check_frames(video: Path, labels: dict[int, Path]) -> None:
    """Raise AnnotationError unless the labels are of frames 1 to the last of the video."""
    try:
        capture = _capture(video)
    except ImageError as error:
        raise AnnotationError(str(error)) from None
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if frames != len(labels) or not _has_its_length(video):
        # A header's count may be an estimate, and stays as it was in a file that is cut off.
        # Decoding each frame of a release takes minutes, so it is for such files only.
        frames = 0
        while capture.grab():
            frames += 1
    capture.release()
    if frames != len(labels):
        raise AnnotationError(
            f"{video}: the video has {frames} frames, but {len(labels)} .pts files in annot; "
            "get 300VW again"
        )
    gap = next((n for n in range(1, frames + 1) if n not in labels), None)
    if gap is not None:
        raise AnnotationError(
            f"{video.parent / 'annot'}: expected the labels of frames 1 to {frames}, "
            f"those of frame {gap} are missing"
        )


def _has_its_length(video: Path) -> bool:
    """Whether the RIFF chunks of an .avi file, by the lengths they state, end where it ends."""
    length, place = video.stat().st_size, 0
    with video.open("rb") as file:
        while place < length:
            file.seek(place)
            head = file.read(8)
            if head[:4] != b"RIFF":
                return False
            place += 8 + int.from_bytes(head[4:], "little")
            place += place % 2
    return place == length


def _check_images(folder: Path, labels: dict[int, Path]) -> None:
    """Raise AnnotationError unless each picture has labels and each label file its picture.

    Their numbers may have gaps: MMPose's own example has two frames of a video.
    """
    files = [*folder.glob("[0-9]*.jpg"), *folder.glob("[0-9]*.png")]
    pictures = {path.stem for path in files if has_picture(path)}
    stems = {path.stem for path in labels.values()}
    if missing := sorted(stems - pictures):
        raise AnnotationError(
            f"{folder}: {len(missing)} of {len(stems)} frames with labels are missing or empty, "
            f"the first is {missing[0]}.jpg or .png"
        )
    if missing := sorted(pictures - stems):
        raise AnnotationError(
            f"{folder}: {len(missing)} of {len(pictures)} frames have no labels in annot, the "
            f"first is {missing[0]}; get 300VW again"
        )


def _image(folder: Path, number: int) -> Path:
    image = folder / f"{number:06d}.jpg"
    return image if has_picture(image) else image.with_suffix(".png")


def _broken(video: str) -> set[int]:
    runs = [run.split("-") for run in _BROKEN.get(video, "").split()]
    return {number for run in runs for number in range(int(run[0]), int(run[-1]) + 1)}


RELEASE = Release(
    name="300vw",
    title="300VW",
    scheme=IBUG68,
    counts={
        "train": {"all": 50},
        "test": {"all": 64, "category 1": 31, "category 2": 19, "category 3": 14},
    },
    unit="videos",
    read=read_300vw,
    holds="""\
001/vid.avi                               the first of 114 videos: 50 train, 64 test
001/annot/000001.pts, 000002.pts, ...     as many as it has frames
002/...""",
    source="https://ibug.doc.ic.ac.uk/resources/300-VW/",
    licence="research only, not for commercial use",
    normaliser="inter-ocular",
    threshold=8.0,
    converts="Pixels are counted from 0 instead of 1. The box is tight around the landmarks. 2127 "
    "frames of 16 test videos, whose labels are known to be wrong (MMPose's list), are left out. "
    "The release does not say which landmarks are seen.",
)
