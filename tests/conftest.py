"""Options and paths that the tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Small tensors gain nothing by threads, and threads that wait for each other on a busy machine
# lose much; set before anything imports OpenMP.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Answers to the last bit, and no trial which runtime is fastest; see test_runtimes.py for those.
os.environ.setdefault("AADN_RUNTIME", "onnxruntime")
os.environ.setdefault("AADN_PRECISION", "fp32")

# Background jobs of a script ignore Ctrl-C, and so would the processes that tests stop by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite golden values")


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--accept"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data beside the repository; tests that need it skip where it is not there."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data")
    return folder
