"""Learns what scores are worth, from planted errors in random maps over pools, and writes `lsu_seg/audit/learnt.json`.

    for style in town country zero_shot; do for seed in 0 2; do
        PYTHONPATH=tools/experiments python -m audit_table.make … --only drawn --style $style --seed $seed \
            -o work/learn/$style-$seed
    done; done
    PYTHONPATH=tools/experiments python -m audit_table.learn work/learn/* --worlds 30 --work-dir work/learn-looks

Only drawn scenes should be learnt from, so that real ones, and those of other teachers, can judge.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
from numpy.typing import NDArray

from audit_table.looks import Look, looks
from lsu_seg.audit.learnt import FILE, Learnt, Linear, Tail, as_json
from lsu_seg.audit.presence import FEATURES
from lsu_seg.audit.rows import closed_rows, fits, pair_gains
from lsu_seg.audit.scores import CIRCUMSTANCES, FAMILIAR, Scores
from lsu_seg.audit.verdicts import CHOSEN, NONE, PARTS, Settings, hardly_shows, shows, shows_else, unknown

FIRST = 10_000
"""Seeds of the table's worlds are larger than those of these."""
PRESENT = 0.02
"""A class that is less of a row than this is taken neither as present nor as absent."""
FEWEST = 6
"""So many scores are above the last of a tail."""
PLANTED = 10.0
"""A class that was taken out counts as so many that are allowed: it looks different, and is what is searched for."""
STRENGTH = 0.003
"""Inverse of the penalty on the weights of `present`: more serves teachers that were learnt from, and others less."""
LOOSE = 0.3
"""The same of `known` and `novel`."""
LEVELS = 0.5, 1.0, 2.0
"""Power is learnt at these times the usual number of false alarms."""


def learn(worlds: list[list[Look]]) -> Learnt:
    """Fit everything to the looks at each world, of which the first is at its right map."""
    present = _present([look for world in worlds for look in world if look.kind in ("right", "missing")])

    def scores(look: Look) -> Scores:
        return Scores(look.allowed, look.judged, look.statistics, present)

    rights = [(world[0], scores(world[0])) for world in worlds]
    known = _void_rows(worlds, scores)
    novel = _known_rows(worlds, scores)
    insisted = _tail(
        (_only(s.insisted, shows(s))[s.forbidden] for _, s in rights), sum(s.pairs_at_risk for _, s in rights)
    )
    return Learnt(
        present,
        known,
        novel,
        insisted,
        wrong_row=_tail(
            (_only(s.wrong_row, shows_else(s) & (look.left < NONE))[s.closed] for look, s in rights),
            sum(s.rows_at_risk[s.closed].sum() for _, s in rights),
        ),
        exchanged=_tail(_gains(s) for _, s in rights),
        void_hides=_tail(
            (_only(known(s.familiarity), shows_else(s))[s.ignored] for _, s in rights),
            sum(s.rows_at_risk[s.ignored].sum() for _, s in rights),
        ),
        never_chosen=_tail(
            _only(s.never_chosen, (look.truth[:, :-1] > CHOSEN) & hardly_shows(s))[s.chosen_from] for look, s in rights
        ),
        is_void=_tail(
            (_only(novel(s.familiarity), unknown(s))[s.closed] for _, s in rights),
            sum(s.rows_at_risk[s.closed].sum() for _, s in rights),
        ),
        shuffled=_tail([-np.array([look.order for look, _ in rights if np.isfinite(look.order)])]),
        power=_power(worlds, insisted, scores),
    )


def _only(score: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores that could become a false finding; the others are of no account."""
    return np.where(where, score, -np.inf)


def _gains(s: Scores) -> NDArray[np.float64]:
    """Of each two closed rows."""
    gains = pair_gains(np.where(s.closed[:, None] & s.closed[None, :], fits(s.z, s.allowed), np.nan))
    at = np.flatnonzero(s.closed)
    return gains[np.ix_(at, at)][np.triu_indices(len(at), 1)]


def _tail(parts: Iterable[NDArray[np.float64]], candidates: float | None = None) -> Tail:
    """Scores that `FEWEST` of the candidates have, twice as many, and so on, up to half of them.

    Args:
        parts: of each map. candidates: what they count as in all; by default each as one.
    """
    values = np.sort(np.concatenate(list(parts)))[::-1]
    candidates = candidates or len(values)
    most = min(len(values) // 2, int(np.isfinite(values).sum()) - 1)
    if most < 2 * FEWEST:
        raise SystemExit(
            f"only {max(most, 0)} scores of right maps for a tail, of {2 * FEWEST}: learn from more worlds"
        )
    counts = [FEWEST << i for i in range(most.bit_length()) if FEWEST << i <= most][::-1]
    return Tail(tuple(float(values[n]) for n in counts), tuple(n / candidates for n in counts))


def _logistic(
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    names: tuple[str, ...],
    strength: float,
    balanced: bool = False,
    weight: NDArray[np.float64] | None = None,
) -> Linear:
    """A logistic regression of standardised features, written in terms of the features themselves."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = x.mean(0), np.maximum(x.std(0), 1e-9)
    model = LogisticRegression(C=strength, max_iter=3000, class_weight="balanced" if balanced else None)
    model.fit((x - mean) / deviation, y, sample_weight=weight)
    weights = model.coef_[0] / deviation
    return Linear(names, tuple(weights.tolist()), float(model.intercept_[0] - weights @ mean))


def _present(all_looks: list[Look]) -> Linear:
    x, y, w = [], [], []
    for look in all_looks:
        truth = look.truth[:, :-1]
        weight = np.ones(truth.shape)
        if look.kind == "missing":
            weight[look.d, look.c] = PLANTED
        used = (closed_rows(look.allowed) & look.judged)[:, None] & ((truth > PRESENT) | (truth == 0))
        x.append(look.statistics.features[: len(truth)][used])
        y.append(truth[used] > 0)
        w.append(weight[used])
    weights = np.concatenate(w)
    return _logistic(np.concatenate(x), np.concatenate(y), FEATURES, STRENGTH, weight=weights / weights.mean())


def _void_rows(worlds: list[list[Look]], scores: Callable[[Look], Scores]) -> Linear:
    """Void rows that hide a class, and rows of what the teacher does not have."""
    x, y = [], []
    for look in (look for world in worlds for look in world):
        if look.kind not in ("right", "void hides"):
            continue
        s = scores(look)
        x.append(s.familiarity[s.ignored] if look.kind == "right" else s.familiarity[[look.d]])
        y.append(np.full(len(x[-1]), look.kind == "void hides"))
    return _logistic(np.concatenate(x), np.concatenate(y), FAMILIAR, LOOSE, balanced=True)


def _known_rows(worlds: list[list[Look]], scores: Callable[[Look], Scores]) -> Linear:
    """Rows of what the teacher does not have, though the map says what they are, and rows of right maps."""
    x, y = [], []
    for look in (look for world in worlds for look in world):
        if look.kind not in ("right", "really void"):
            continue
        s = scores(look)
        x.append(s.familiarity[s.closed] if look.kind == "right" else s.familiarity[[look.d]])
        y.append(np.full(len(x[-1]), look.kind == "really void"))
    return _logistic(np.concatenate(x), np.concatenate(y), FAMILIAR, LOOSE, balanced=True)


def _power(worlds: list[list[Look]], insisted: Tail, scores: Callable[[Look], Scores]) -> Linear:
    """Whether classes that were taken out score enough, by what the right map's statistics say of the pair.

    Of all teachers alike, so that what one does better than another makes the odds more even.
    """
    x, y = [], []
    for right, *others in worlds:
        rightly = scores(right)
        borders = [
            insisted.border(level * Settings().false_alarms * PARTS.insisted / rightly.pairs_at_risk)
            for level in LEVELS
        ]
        for look in others:
            if look.kind == "missing" and (s := scores(look)).closed[look.d]:
                at, share = (look.d, look.c), np.full(s.z.shape, look.truth[look.d, look.c])
                x += [rightly.circumstances(share, border)[at] for border in borders]
                y += [shows(s)[at] and s.insisted[at] > border for border in borders]
    return _logistic(np.array(x), np.array(y), CIRCUMSTANCES, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", type=Path, nargs="+", help="folders")
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    parser.add_argument("--worlds", type=int, default=100, help="per pool")
    parser.add_argument("--work-dir", type=Path, default=Path("work/audit-learn"), help="keeps the statistics")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for folder in args.pools for p in folder.glob("drawn-*.npz"))
    name = {p: f"{p.parent.name}-{p.stem}" for p in paths}
    wanted = {args.work_dir / f"{name[p]}-{s}.pkl": (p, s) for s in range(FIRST, FIRST + args.worlds) for p in paths}
    todo = {file: of for file, of in wanted.items() if not file.exists()}
    start = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as workers:
        futures = {workers.submit(looks, *of): file for file, of in todo.items()}
        for i, future in enumerate(as_completed(futures), 1):
            file = futures[future]
            file.with_suffix(".part").write_bytes(pickle.dumps(future.result()))
            file.with_suffix(".part").rename(file)
            left = (time.monotonic() - start) / i * (len(todo) - i)
            print(f"{i} of {len(todo)} worlds, {left / 60:.0f} min left", file=sys.stderr, flush=True)
    worlds = [pickle.loads(file.read_bytes()) for file in sorted(wanted)]
    args.output.write_text(as_json(learn(worlds)), encoding="utf-8")
    print(f"{args.output}: learnt from {len(worlds)} worlds")


if __name__ == "__main__":
    main()
