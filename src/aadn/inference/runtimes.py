"""What computes a network: a runtime, its device and a precision, as asked for or the fastest.

Where there is a choice, each is timed with one crop, once, and which was fastest is remembered in
the folder that the environment variable AADN_CACHE names, else in ~/.cache/aadn: for the same
network, threads, processor and versions. AADN_RUNTIME=onnxruntime, or openvino, and
AADN_PRECISION=fp32, or int8, say what "auto" means, and leave no choice.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from aadn.errors import AadnError, InputError, OutputError
from aadn.files import write_whole
from aadn.inference.openvino import OpenVinoSession
from aadn.inference.session import CPU, OnnxSession, Session, onnxruntime

RuntimeName = Literal["auto", "onnxruntime", "openvino"]
DeviceName = Literal["auto", "cpu", "cuda", "coreml", "directml"]
Precision = Literal["auto", "fp32", "int8"]

PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""ONNX Runtime's names of the devices."""

CACHE, USUAL, USUAL_PRECISION = "AADN_CACHE", "AADN_RUNTIME", "AADN_PRECISION"
"""Environment variables: a folder, and the runtime and the precision that "auto" means."""

TRIALS = 15
"""How often each is timed; the middle one of the times counts (our choice)."""

FASTER = 0.9
"""What comes first is kept unless another takes less than this share of its time (our choice)."""

Ready = TypeVar("Ready")
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Engine:
    """A runtime and the device that it computes on."""

    runtime: str = "onnxruntime"
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{self.runtime} {self.device}"

    def open(self, path: Path, threads: int | None) -> Session:
        """A network's file, open; raises as `OnnxSession` and `OpenVinoSession` do."""
        if self.runtime == "openvino":
            return OpenVinoSession(path, threads=threads)
        provider = PROVIDERS[self.device]
        providers = (provider,) if provider == CPU else (provider, CPU)
        session = OnnxSession(path, threads=threads, providers=providers)
        if not session.engine.endswith(provider):
            raise InputError(
                f"ONNX Runtime cannot use {provider}, though it has it: what it needs, drivers for "
                "example, is not there; choose device='cpu'"
            )
        return session


PROCESSOR = Engine()
"""ONNX Runtime on the processor."""


def chosen(name: Name, names: Any, usual: str = "") -> Name:
    """A name of a Literal, or what an environment variable says in place of "auto".

    Raises InputError for one that is none of them.
    """
    said = os.environ.get(usual) if name == "auto" else None
    name = cast(Name, said or name)
    if name not in get_args(names):
        where = f"{usual}: " if said else ""
        raise InputError(f"{where}expected one of {', '.join(get_args(names))}; got {name!r}")
    return name


def engines(runtime: RuntimeName = "auto", device: DeviceName = "auto") -> list[Engine]:
    """Those that are meant and may be there, ONNX Runtime on the processor before others.

    OpenVINO is meant only where it is named: in a process with PyTorch beside it our tests have
    once ended in a crash that we could not explain.

    Raises InputError for unknown names, and for a device that the runtime has not.
    """
    runtime = chosen(runtime, RuntimeName, USUAL)
    device = chosen(device, DeviceName)
    if runtime == "openvino":
        if device not in ("auto", "cpu"):
            raise InputError(f"OpenVINO computes on the processor here, not on {device}")
        return [Engine("openvino")]
    there = onnxruntime().get_available_providers()
    if device != "auto" and PROVIDERS[device] not in there:
        raise InputError(
            f"expected a device of this ONNX Runtime, got {device}, for which it would need "
            f"{PROVIDERS[device]}; it has {', '.join(there)}: install another build of it, "
            "onnxruntime-gpu for example"
        )
    wanted = PROVIDERS if device == "auto" else (device,)
    return [Engine(device=name) for name in wanted if PROVIDERS[name] in there]


def fastest(
    candidates: Mapping[str, Callable[[], Ready]],
    run: Callable[[Ready], Any],
    key: str,
) -> Ready:
    """The candidate that takes the least time, by a trial or as an earlier one found.

    Args:
        candidates: by name, what makes each ready; the usual one first. One that raises AadnError
            is left out.
        run: what is timed.
        key: what the trial depends on, see `circumstances`.

    Raises what the first candidate does if none can be made ready.
    """
    known = _recall(key)
    if known in candidates:
        with suppress(AadnError):
            return candidates[known]()
    ready: dict[str, Ready] = {}
    failed: AadnError | None = None
    for name, make in candidates.items():
        try:
            ready[name] = make()
            run(ready[name])
        except AadnError as error:
            ready.pop(name, None)
            failed = failed or error
    if not ready:
        assert failed is not None
        raise failed
    times = _times({name: lambda it=it: run(it) for name, it in ready.items()})  # type: ignore[misc]
    first, *others = times
    fast = [name for name in others if times[name] < FASTER * times[first]]
    best = min(fast, key=lambda name: times[name], default=first)
    _remember(key, best, times)
    return ready[best]


def circumstances(network: str, threads: int | None, names: list[str]) -> str:
    """All that decides which candidate is fastest, as a text: network, machine, versions.

    `network` is the sha256 of its file.
    """
    from importlib.metadata import PackageNotFoundError, version  # which loads much

    versions = {}
    for package in ("aadn", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return json.dumps(
        {
            "network": network,
            "candidates": names,
            "threads": threads,
            "cores": os.cpu_count(),
            "processor": processor(flags=True),
            "versions": versions,
        }
    )


def processor(*, flags: bool = False) -> str:
    """The processor's name, and with `flags` what it can do, as far as the system says it."""
    kinds = ("model name", "flags", "Features") if flags else ("model name",)
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        found = dict.fromkeys(line for line in lines if line.startswith(kinds))
        if found:
            return "\n".join(line.partition(":")[2].strip() for line in found)
    return f"{platform.machine()} {platform.processor()}".strip()


def _times(runs: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """The middle of TRIALS times of each, in seconds; they run in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TRIALS):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: sorted(found)[TRIALS // 2] for name, found in times.items()}


_KNOWN: dict[str, str] = {}
"""What this process has found, should the folder not be there to keep it."""


def _file(key: str) -> Path:
    named = os.environ.get(CACHE)
    folder = Path(named) if named else Path.home() / ".cache" / "aadn"
    return folder / f"fastest-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _recall(key: str) -> str:
    """The name that was found fastest; empty where none was."""
    if key in _KNOWN:
        return _KNOWN[key]
    with suppress(OSError, ValueError, KeyError, TypeError, RuntimeError):  # no home
        return str(json.loads(_file(key).read_text("utf-8"))["fastest"])
    return ""


def _remember(key: str, name: str, times: Mapping[str, float]) -> None:
    _KNOWN[key] = name
    said = {"fastest": name, "milliseconds": {k: round(1e3 * t, 3) for k, t in times.items()}}
    with suppress(OutputError, RuntimeError):
        write_whole(_file(key), json.dumps(said | {"of": json.loads(key)}, indent=1) + "\n")
