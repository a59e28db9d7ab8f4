"""Which number format training computes in."""

from __future__ import annotations

import platform

import pytest

torch = pytest.importorskip("torch")

from aadn.training.distributed import bf16  # noqa: E402


@pytest.mark.parametrize("matrix_units", [True, False])
def test_auto_takes_bf16_where_it_is_fast(
    matrix_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: matrix_units)
    cpu = torch.device("cpu")
    assert bf16("auto", cpu) == matrix_units
    assert (bf16("bf16", cpu), bf16("fp32", cpu)) == (True, False)
