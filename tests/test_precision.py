"""Which number format training computes in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from aadn.training import distributed  # noqa: E402
from aadn.training.distributed import bf16  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _untimed() -> Iterator[None]:
    distributed._gains_by_bf16.cache_clear()
    yield
    distributed._gains_by_bf16.cache_clear()


@pytest.mark.parametrize(
    ("single", "half", "taken"), [(2.0, 1.0, True), (1.1, 1.0, False), (1.0, 2.0, False)]
)
def test_auto_takes_bf16_where_it_is_clearly_faster(
    single: float, half: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "_seconds", {False: single, True: half}.__getitem__)
    assert bf16("auto", CPU) == taken
    assert (bf16("bf16", CPU), bf16("fp32", CPU)) == (True, False)


def test_the_trial_is_made_once_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, threads = torch.get_rng_state(), torch.get_num_threads()
    times, real = [], distributed._seconds

    def timed(half: bool) -> float:
        times.append(real(half))
        return times[-1]

    monkeypatch.setattr(distributed, "_seconds", timed)
    with torch.no_grad():
        assert bf16("auto", CPU) == bf16("auto", CPU)
        assert not torch.is_grad_enabled()
    assert len(times) == 10
    assert min(times) > 0
    assert torch.equal(torch.get_rng_state(), numbers)
    assert torch.get_num_threads() == threads
