"""Ablations: every variant trains alike, finished runs are kept, and the claims are counted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from faces import write_faces

pytest.importorskip("torch")

from aadn.errors import InputError, OutputError
from aadn.models.paper.low_rank import RANK
from aadn.paper.ablate import (
    CLAIMS,
    OURS,
    VARIANTS,
    Run,
    ablate,
    by_variant,
    configuration,
    finished_runs,
    report,
)
from aadn.paper.config import AblateConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AblateConfig:
    folder = tmp_path_factory.mktemp("ablation")
    return AblateConfig(
        folders=(write_faces(folder / "faces", 20),), out=folder / "out", size=32, epochs=1,
        batch=8, warmup=2, workers=0, device="cpu", precision="fp32", seeds=(0,), epoch_faces=1,
        variants=("AADN", "AADN without attention"),
    )  # fmt: skip


def run(variant: str, seed: int, clean: float, occluded: float, seen: float | None = 0.9) -> Run:
    return Run(variant, seed, {"nme": clean, "nme_occluded": occluded, "visibility_auc": seen,
                               "map_auc": None})  # fmt: skip


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_mean_spread_and_claims_by_hand(config: AblateConfig) -> None:
    runs = [
        run("ODN", 0, 5.0, 7.0), run("ODN", 1, 6.0, 7.5), run("ODN", 2, 5.5, 8.0),
        run("AADN", 0, 4.0, 7.5), run("AADN", 1, 4.9, 7.0), run("AADN", 2, 4.4, 8.5),
        run("ResNet-18", 0, 4.5, 6.0), run("ResNet-18", 1, 5.9, 6.0),
    ]  # fmt: skip
    text = report(config, runs)
    # 5.0, 6.0, 5.5: mean 5.5, standard deviation (n - 1) 0.5
    assert row(text, "ODN")[2:] == ["3", "5.50 ± 0.50", "7.50 ± 0.50", "0.900 ± 0.000", "–"]
    assert row(text, "AADN better than ODN")[1:] == [
        "-1.067, 3 of 3: **shown**",  # (-1.0 - 1.1 - 1.1) / 3, larger than 0.50 and 0.45
        "+0.167, 1 of 3: not settled",  # (0.5 - 0.5 + 0.5) / 3
    ]
    # Paired over the two seeds that both have: 0.5 and 0.1, no more than the seeds differ by;
    # 1.0 and 1.5.
    assert row(text, "ODN better than ResNet-18")[1:] == [
        "+0.300, 0 of 2: not settled",
        "+1.250, 0 of 2: **reversed**",
    ]
    assert "without GM" not in text  # no run, no row and no claim
    taught = ", in ours with the occluders' outlines"
    assert taught not in text
    assert taught in report(config, [*runs, run(OURS, 0, 3.0, 4.0)])
    np.testing.assert_array_equal(by_variant(runs)["AADN"]["nme"], [4.0, 4.9, 4.4])


def test_one_seed_has_no_spread_and_what_is_undefined_is_a_dash(config: AblateConfig) -> None:
    text = report(config, [run("AADN", 0, 4.0, 7.5, None)])
    assert row(text, "AADN")[2:] == ["1", "4.00", "7.50", "–", "–"]


def test_every_claim_is_about_variants() -> None:
    ours = {name for name in VARIANTS if "K =" in name or "α =" in name} | {"heatmap (ours)"}
    assert len(ours) == 5
    assert {name for claim in CLAIMS for name in claim} == set(VARIANTS) - ours


def test_k_and_alpha_are_what_their_variants_say(config: AblateConfig) -> None:
    runs = {name: configuration(config, name, 0) for name in VARIANTS}
    names = ("AADN", "AADN, α = 0", "AADN, α = 1e-4")
    assert [runs[name].loss.for_model("aadn")["nuclear"] for name in names] == [1e-5, 0, 1e-4]
    assert [runs[f"AADN, K = {k}"].model.rank for k in (32, 128)] == [32, 128]
    assert runs["AADN"].model.rank == RANK
    assert len({run.out for run in runs.values()}) == len(VARIANTS)


@pytest.mark.slow
def test_runs_are_trained_once_and_reported(config: AblateConfig) -> None:
    runs = ablate(config)
    assert [(r.variant, r.seed) for r in runs] == [("AADN", 0), ("AADN without attention", 0)]
    assert runs[0].metrics["map_auc"] is not None
    stamp = sorted((p, p.stat().st_mtime_ns) for p in config.out.rglob("*.safetensors"))
    assert len(stamp) == 2
    again = ablate(config)
    assert [r.metrics for r in again] == [r.metrics for r in runs]
    assert stamp == sorted((p, p.stat().st_mtime_ns) for p in config.out.rglob("*.safetensors"))
    written = json.loads((config.out / "ablation.json").read_text("utf-8"))
    assert [r["nme"] for r in written["runs"]] == [r.metrics["nme"] for r in runs]
    assert "| AADN without attention |" in (config.out / "ablation.md").read_text("utf-8")


@pytest.mark.slow
def test_our_network_takes_no_trunk_of_the_papers(config: AblateConfig) -> None:
    ours = replace(config, variants=("heatmap (ours)",), trunk="none.pth", out=config.out / "b")
    assert ablate(ours)[0].metrics["nme"] > 0


@pytest.mark.slow
def test_another_process_takes_another_seed(config: AblateConfig) -> None:
    ablate(replace(config, variants=("AADN",)))
    both = ablate(replace(config, variants=("AADN",), seeds=(1,)))
    assert [r.seed for r in both] == [0, 1]
    assert both[0].metrics["nme"] != both[1].metrics["nme"]
    assert [r.seed for r in finished_runs(replace(config, variants=("AADN",)))] == [0, 1]


def test_a_tie_or_a_single_seed_settles_nothing(config: AblateConfig) -> None:
    tie = [run(v, s, 5.0, c) for s in (0, 1) for v, c in (("AADN", 6.0 + s), ("ODN", 6.5))]
    cells = row(report(config, tie), "AADN better than ODN")
    assert cells[1:] == ["+0.000, 0 of 2: not settled", "+0.000, 1 of 2: not settled"]
    one = [run("AADN", 0, 4.0, 5.0), run("ODN", 0, 5.0, 4.0)]
    cells = row(report(config, one), "AADN better than ODN")
    assert cells[1:] == ["-1.000, 1 of 1: not settled", "+1.000, 0 of 1: not settled"]


@pytest.mark.slow
def test_broken_records_are_named(config: AblateConfig) -> None:
    chosen = replace(config, variants=("AADN",), out=config.out.parent / "broken")
    folder = chosen.out / "runs" / "aadn" / "seed-0"
    ablate(chosen)
    (chosen.out / "runs" / "aadn" / "seed-old").mkdir()
    assert len(ablate(chosen)) == 1
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "nm')
    with pytest.raises(OutputError, match=r"metrics\.jsonl: expected the record of a run"):
        ablate(chosen)


@pytest.mark.slow
def test_other_settings_are_refused(config: AblateConfig) -> None:
    ablate(replace(config, variants=("AADN",)))
    with pytest.raises(InputError, match="epochs was 1, is 2"):
        ablate(replace(config, variants=("AADN",), epochs=2))
    with pytest.raises(InputError, match=r"learning_rate was 0\.001, is 0\.01"):
        ablate(replace(config, variants=("AADN",), learning_rate=0.01))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"variants": ("AADM",)}, "no variant is called 'AADM'; expected some of ResNet-18; ODN"),
     ({"epochs": 0}, "epochs of at least 1"),
     ({"scheme": "cofw29", "landmarks": 19},
      "--scheme cofw29 has 29 landmarks, but --landmarks says 19; leave out --landmarks"),
     ({"seeds": ()}, "at least one seed"),
     ({"variants": ("AADN", "AADN")}, "each of the variants once, got AADN; AADN")],
)  # fmt: skip
def test_wrong_arguments(config: AblateConfig, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ablate(replace(config, **changes))  # type: ignore[arg-type]


def test_a_size_that_one_variant_refuses_is_found_before_any_work(config: AblateConfig) -> None:
    """48 pixels are good for the first, which would be trained before the second is refused."""
    said: list[str] = []
    changed = replace(config, size=48, variants=(OURS, "ODN"), folders=(config.out / "none",))
    with pytest.raises(InputError, match=r"^ODN: size must be a multiple of 32 pixels, got 48$"):
        ablate(changed, tell=said.append)
    assert said == []
