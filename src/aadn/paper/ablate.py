"""The paper's ablations: its networks and their variants on the same data, seeds and schedule."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aadn.errors import InputError, OutputError
from aadn.evaluation.tables import number, table
from aadn.files import write_whole
from aadn.models.build import build
from aadn.models.registry import NETWORKS, ModelConfig
from aadn.paper.config import AblateConfig
from aadn.paper.cost import count
from aadn.training.config import (
    DataConfig,
    LossWeights,
    MachineConfig,
    ScheduleConfig,
    Tell,
    TrainConfig,
    nothing,
)
from aadn.training.faces import Data, load, normaliser
from aadn.training.loop import train
from aadn.training.resume import CONFIG, LAST, LOG, same_run

OURS = "heatmap (ours)"
VARIANTS: dict[str, dict[str, Any]] = {
    "ResNet-18": {"name": "resnet18"},
    "ODN": {"name": "odn"},
    "AADN": {"name": "aadn"},
    "AADN without GM": {"name": "aadn", "geometry": False},
    "AADN without attention": {"name": "aadn", "order": "none"},
    "AADN without LM": {"name": "aadn", "low_rank": False},
    "AADN, r = 16": {"name": "aadn", "reduction": 16},
    "AADN, r = 32": {"name": "aadn", "reduction": 32},
    "AADN, r = 64": {"name": "aadn", "reduction": 64},
    "AADN, spatial → channel": {"name": "aadn", "order": "spatial-channel"},
    "AADN, parallel": {"name": "aadn", "order": "parallel"},
    "AADN, K = 32": {"name": "aadn", "rank": 32},
    "AADN, K = 128": {"name": "aadn", "rank": 128},
    "AADN, α = 0": {"name": "aadn"},
    "AADN, α = 1e-4": {"name": "aadn"},
    OURS: {"name": "heatmap"},
}
"""What is compared; "AADN" is the paper's: r = 8, channel → spatial; K and α, which the paper does
not give, are our choice. Our own network, to stand beside them, has another trunk, which always
starts from random weights."""

ALPHA = {"AADN, α = 0": 0.0, "AADN, α = 1e-4": 1e-4}
"""The weight of ‖M‖_* in the variants that have another than the usual one."""

CLAIMS = [
    ("AADN", "ODN"),
    ("ODN", "ResNet-18"),
    ("AADN", "ResNet-18"),
    ("AADN", "AADN without GM"),
    ("AADN", "AADN without attention"),
    ("AADN", "AADN without LM"),
    ("AADN", "AADN, r = 16"),
    ("AADN", "AADN, r = 32"),
    ("AADN", "AADN, r = 64"),
    ("AADN", "AADN, spatial → channel"),
    ("AADN", "AADN, parallel"),
]
"""Pairs of which the paper says, or builds on it, that the first is better."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One trained network: the last epoch's metrics of validation, see `validate`."""

    variant: str
    seed: int
    metrics: Mapping[str, Any]


def ablate(config: AblateConfig, *, tell: Tell = nothing) -> list[Run]:
    """Train every variant with every seed and write `out`/ablation.json and `out`/ablation.md.

    A run is a folder of `out`/runs. Finished ones are read, not repeated, and one that was cut off
    goes on, so the same call may be stopped and started again; several processes may share `out`
    if they take different seeds. The report is of all finished runs in `out`; it says how many
    seeds each variant has. Nothing is chosen on the validation faces: the last epoch counts, not
    the best. `tell` is given the lines of `train`, and which run they are of.

    Raises AadnError as `train` does, InputError for a run in `out` that had other
    settings, and OutputError for one whose records are broken.
    """
    _check(config)
    data: Data | None = None
    for seed in config.seeds:
        for variant in config.variants or tuple(VARIANTS):
            run = configuration(config, variant, seed)
            if _finished(run):
                continue
            data = data or load(run)
            tell(f"{variant}, seed {seed}")
            train(run, data, tell=tell)
            # It holds the optimiser's state, three times the network, and is of no more use.
            (run.out / LAST).unlink()
    runs = finished_runs(config)
    write_whole(config.out / "ablation.json", _json(config, runs))
    write_whole(config.out / "ablation.md", report(config, runs))
    return runs


def finished_runs(config: AblateConfig) -> list[Run]:
    """All runs in `out` that are finished, by variant and seed."""
    runs = []
    for variant in config.variants or tuple(VARIANTS):
        names = [p.name for p in (config.out / "runs" / _slug(variant)).glob("seed-*")]
        matches = [match for name in names if (match := re.fullmatch(r"seed-(\d+)", name))]
        for seed in sorted(int(match[1]) for match in matches):
            run = configuration(config, variant, seed)
            if _finished(run):
                runs.append(Run(variant, seed, _records(run.out / LOG)[-1]))
    return runs


def configuration(config: AblateConfig, variant: str, seed: int) -> TrainConfig:
    """What trains a variant with a seed."""
    model = ModelConfig(
        size=config.size, landmarks=config.landmark_scheme.size, **VARIANTS[variant]
    )
    shared = {
        field.name: getattr(config, field.name)
        for base in (DataConfig, ScheduleConfig, MachineConfig)
        for field in fields(base)
    }
    out = config.out / "runs" / _slug(variant) / f"seed-{seed}"
    if not NETWORKS[model.name].trunk:
        shared["trunk"] = None
    loss = LossWeights(nuclear=ALPHA.get(variant))
    own = {"out": out, "model": model, "seed": seed, "loss": loss}
    return TrainConfig(**shared | own, resume=(out / LAST).exists())


def _slug(variant: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else " " for c in variant.lower())
    return "-".join(kept.split())


def _finished(run: TrainConfig) -> bool:
    """Whether a run is done; InputError if what is in its folder had other settings."""
    settings, log = run.out / CONFIG, run.out / LOG
    if not settings.exists():
        return False
    same_run(run, _records(settings)[0], run.out)
    return log.exists() and _records(log)[-1]["epoch"] == run.epochs


def _records(path: Path) -> list[dict[str, Any]]:
    """What a JSON file, or one with a record in each line, holds."""
    try:
        text = path.read_text("utf-8")
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        return [dict(json.loads(line)) for line in lines]
    except ValueError as error:
        raise OutputError(
            f"{path}: expected the record of a run, it is broken ({error}); delete that run's "
            "folder to train it again"
        ) from None


def _check(config: AblateConfig) -> None:
    unknown = [name for name in config.variants if name not in VARIANTS]
    if unknown:
        raise InputError(
            f"no variant is called {unknown[0]!r}; expected some of {'; '.join(VARIANTS)}"
        )
    for name in ("seeds", "variants"):
        values = getattr(config, name)
        if len(set(values)) < len(values):
            raise InputError(f"expected each of the {name} once, got {'; '.join(map(str, values))}")
    if not config.seeds:
        raise InputError("expected at least one seed")
    for variant in config.variants or tuple(VARIANTS):
        for seed in config.seeds:
            configuration(config, variant, seed).check()
        try:
            with torch.device("meta"):  # no memory, no random numbers
                build(configuration(config, variant, 0).model)
        except InputError as error:
            raise InputError(f"{variant}: {error}") from None


METRICS = {
    "NME clean": "nme",
    "NME occluded": "nme_occluded",
    "visibility ROC-AUC": "visibility_auc",
    "P ROC-AUC": "map_auc",
}


def report(config: AblateConfig, runs: Sequence[Run]) -> str:
    """The report as Markdown: a table with mean ± spread over seeds, and the paper's claims."""
    values = by_variant(runs)
    rows = []
    for variant, metrics in values.items():
        model = configuration(config, variant, 0).model
        row = [variant, number(count(build(model)) / 1e6), str(len(metrics["nme"]))]
        for key in METRICS.values():
            row.append(_spread(metrics[key], 3 if key.endswith("auc") else 2))
        rows.append(row)
    header = ["variant", "parameters, M", "seeds", *METRICS]
    kind = normaliser(configuration(config, next(iter(values)), 0), config.landmark_scheme)
    claims = []
    for better, worse in CLAIMS:
        if better in values and worse in values:
            cells = [_difference(runs, better, worse, key) for key in ("nme", "nme_occluded")]
            claims.append([f"{better} better than {worse}", *cells])
    faces, validation = (
        " + ".join(f"`{'/'.join(folder.parts[-3:])}`" for folder in folders)
        for folders in (config.folders, config.validation)
    )
    if config.benchmark:
        faces = " + ".join(filter(None, [faces, f"the training part of {config.benchmark}"]))
    ours = ", in ours with the occluders' outlines" if OURS in values else ""
    return (
        "# Ablation\n\n"
        f"Training faces: {faces}, {100 * config.hold_out:g} % of them held out"
        + (f", with {validation}," if validation else "")
        + f" for validation. {config.size}-pixel crops, {config.epochs} epochs, batches of "
        f"{config.batch}, AdamW with a cosine from {config.learning_rate:g}, synthetic occluders; "
        + (
            f"every ResNet-18 trunk starts from the same weights (`{Path(config.trunk).name}`). "
            if config.trunk
            else "random weights. "
        )
        + f"NME in % by {kind} on the held-out faces, as they are and with "
        "synthetic occluders, after the last epoch (nothing is chosen on these faces). Mean ± "
        "standard deviation over seeds. Visibility ROC-AUC is that of our visibility head; P "
        "ROC-AUC that of the distillation module's map P, read at the predicted landmarks: in the "
        f"paper's networks it is trained by eq. 1 alone{ours}.\n\n"
        + table(header, rows)
        + "\n## Does the paper's ordering show?\n\n"
        "Difference of the NME, the first less the second, with the same seed: mean over seeds, "
        "and in how many of them the first is better. Negative: as the paper says. A difference "
        "counts as settled when at least two seeds agree on it, none disagrees, and its mean is "
        "larger than either variant's standard deviation over seeds.\n\n"
        + table(["the paper's claim", "NME clean", "NME occluded"], claims)
    )


def by_variant(runs: Sequence[Run]) -> dict[str, dict[str, FloatArray]]:
    """For each variant its metrics, (seeds,) each; NaN where one is undefined."""
    values: dict[str, dict[str, FloatArray]] = {}
    for variant in dict.fromkeys(run.variant for run in runs):
        chosen = [run.metrics for run in runs if run.variant == variant]
        values[variant] = {
            key: np.array([np.nan if m[key] is None else m[key] for m in chosen])
            for key in METRICS.values()
        }
    return values


def _spread(values: FloatArray, digits: int) -> str:
    if not np.isfinite(values).all():
        return "–"
    if len(values) == 1:
        return number(float(values[0]), digits)
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def _difference(runs: Sequence[Run], better: str, worse: str, key: str) -> str:
    """Paired by seed: what the first's metric is above the second's."""
    first, second = ({r.seed: r.metrics[key] for r in runs if r.variant == v}
                     for v in (better, worse))  # fmt: skip
    gaps = np.array([first[seed] - second[seed] for seed in first if seed in second])
    if len(gaps) == 0:
        return "–"
    verdict = "not settled"
    if len(gaps) > 1:
        spread = max(np.std(list(values.values()), ddof=1) for values in (first, second))
        if abs(gaps.mean()) > spread and len(set(np.sign(gaps))) == 1:
            verdict = "**shown**" if gaps[0] < 0 else "**reversed**"
    return f"{gaps.mean():+.3f}, {(gaps < 0).sum()} of {len(gaps)}: {verdict}"


def _json(config: AblateConfig, runs: Sequence[Run]) -> str:
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    records = [{"variant": r.variant, "seed": r.seed, **r.metrics} for r in runs]
    return json.dumps({"settings": settings, "runs": records}, indent=1) + "\n"
