"""Ridge regression with out-of-fold predictions, in whichever of its two forms is smaller."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from geneface.face.geometry import Array
from steps.program import check_stop

FOLDS = 8
BEST = 3
"""Fits whose mean is taken: with little speech, which of the best is the very best is chance."""
Mask = NDArray[np.bool_]
Turn = Callable[[int, int], None]
"""Hears how many of how many folds are done."""


@dataclass(frozen=True)
class Fit:
    """weight [D, K] and bias [K], and what they are the mean of: the fits that did best out of fold, `penalties` and `shares`,
    best first; their mean prediction [N, K] and its correlation with the targets, of what is seen.
    """

    weight: Array
    bias: Array
    penalties: list[float]
    shares: list[float]
    predicted: Array
    r: float


def solve(inputs: Array, targets: Array, penalty: float) -> tuple[Array, Array]:
    """Weights [D, K] and bias [K] for inputs [N, D] and targets [N, K]; `penalty` is a share of the inputs' total variance."""
    mean, level = inputs.mean(0, dtype=np.float64).astype(np.float32), targets.mean(0, dtype=np.float64)
    x, y = inputs - mean, targets - level
    dual = len(x) <= x.shape[1]
    gram = (x @ x.T if dual else x.T @ x).astype(np.float64)
    ridge = gram + penalty * np.trace(gram) * np.eye(len(gram))
    weight = x.T @ np.linalg.solve(ridge, y).astype(np.float32) if dual else np.linalg.solve(ridge, x.T @ y)
    return weight.astype(np.float32), (level - mean @ weight).astype(np.float32)


def out_of_fold(
    parts: tuple[Array, Array], targets: Array, usable: Mask, scales: Sequence[float], penalties: Sequence[float], margin: int,
    turn: Turn = lambda done, total: None,
) -> dict[tuple[float, float], Array]:  # fmt: skip
    """For each scale of the second of `parts` [N, D1], [N, D2] and each penalty the predictions [N, K] for each of 8 stretches
    by a ridge that knows the `usable` rows [N] of the others, less `margin` rows at the cuts.

    Raises StoppedError.
    """
    level = targets[usable].mean(0, dtype=np.float64).astype(np.float32)
    first, second = (part - part[usable].mean(0, dtype=np.float64).astype(np.float32) for part in parts)
    dual = usable.sum() <= first.shape[1] + second.shape[1]
    form = _Dual(first, second, targets - level) if dual else _Primal(first, second, targets - level, usable)
    predicted = {(scale, penalty): np.zeros_like(targets) for scale in scales for penalty in penalties}
    for done, (start, stop) in enumerate(_folds(usable)):
        turn(done, FOLDS)
        known = usable.copy()
        known[max(0, start - margin) : stop + margin] = False
        form.hold(slice(start, stop), known)
        for scale in scales:
            gram, right, across = (torch.from_numpy(array) for array in form.scaled(scale))
            whole = float(gram.diagonal().sum(dtype=torch.float64))
            for penalty in penalties:
                check_stop()
                ridge = gram.clone()
                ridge.diagonal().add_(penalty * whole)
                found = across @ torch.cholesky_solve(right, torch.linalg.cholesky(ridge))
                predicted[scale, penalty][start:stop] = found.numpy() + form.level + level
    turn(FOLDS, FOLDS)
    return predicted


def pearson(first: Array, second: Array) -> float:
    """Correlation of two series [N]; 0 where one of them does not move."""
    still = min(float(first.std()), float(second.std())) < 1e-9
    return 0.0 if still else float(np.corrcoef(first, second)[0, 1])


def correlation(predicted: Array, targets: Array) -> float:
    """Pearson's r of the columns [N, K], each weighted by its target's deviation. Blind to amplitude, which is restored later:
    squared error would ask for more shrinking than the timing needs.
    """
    x, y = predicted - predicted.mean(0), targets - targets.mean(0)
    r = (x * y).sum(0) / np.maximum(np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0), 1e-9)
    return float((r * y.std(0)).sum() / y.std(0).sum())


def fit(
    first: Array, second: Array, targets: Array, usable: Mask, penalties: Sequence[float], shares: Sequence[float], margin: int,
    seen: Callable[[Array], Array], turn: Turn = lambda done, total: None,
) -> Fit:  # fmt: skip
    """The mean of the ridges of best correlation out of fold on `first` [N, D1] beside `second` [N, D2] (may be empty), which is
    given each of `shares` of the first's total variance. Correlated is what is `seen` of targets [N, K], [N, .]. Only `usable`
    rows [N] are learned from and counted. Raises StoppedError.
    """
    spread = [float(np.square(part[usable] - part[usable].mean(0)).sum()) for part in (first, second)]
    shares = shares if second.shape[1] else (0.0,)
    scales = {float(np.sqrt(share * spread[0] / max(spread[1], 1e-9))): share for share in shares}
    predicted = out_of_fold((first, second), targets, usable, list(scales), penalties, margin, turn)
    truth = seen(targets[usable])
    tried = {key: correlation(seen(found[usable]), truth) for key, found in predicted.items()}
    best = sorted(tried, key=tried.__getitem__, reverse=True)[:BEST]
    weights, biases = [], []
    for scale, penalty in best:
        check_stop()
        weight, bias = solve(np.concatenate([first, scale * second], 1)[usable], targets[usable], penalty)
        weight[first.shape[1] :] *= scale
        weights.append(weight)
        biases.append(bias)
    mean = np.mean([predicted[key] for key in best], axis=0)
    chosen = [penalty for _, penalty in best], [scales[scale] for scale, _ in best]
    return Fit(np.mean(weights, axis=0), np.mean(biases, axis=0), *chosen, mean, correlation(seen(mean[usable]), truth))


class _Primal:
    """Ridge for more rows than columns, of mean 0: the gram of the columns is computed once, less the rows that are not known."""

    level: Array
    """[K] mean of the known targets."""

    def __init__(self, first: Array, second: Array, targets: Array, usable: Mask) -> None:
        self.x, self.y, self.usable, self.split = np.concatenate([first, second], 1), targets, usable, first.shape[1]
        rows = self.x[usable]
        self.whole_gram, self.whole_right = rows.T @ rows, rows.T @ targets[usable]

    def hold(self, fold: slice, known: Mask) -> None:
        """The rows `fold` are to be predicted from the rows `known` (out of the usable ones)."""
        out = self.usable & ~known
        mean = self.x[known].mean(0, dtype=np.float64).astype(np.float32)
        self.level = self.y[known].mean(0, dtype=np.float64).astype(np.float32)
        self.gram = self.whole_gram - self.x[out].T @ self.x[out]
        shift = mean[:, None] * np.float32(known.sum())
        self.gram -= shift * mean
        self.right = self.whole_right - self.x[out].T @ self.y[out] - shift * self.level
        self.across = self.x[fold] - mean

    def scaled(self, scale: float) -> tuple[Array, Array, Array]:
        """With the second part times `scale`: (gram, right, across), with which across @ inverse(gram + ridge) @ right + level is
        the prediction.
        """
        by = np.ones(self.x.shape[1], np.float32)
        by[self.split :] = scale
        return self.gram * by * by[:, None], self.right * by[:, None], self.across * by


class _Dual:
    """The same for at least as many columns as rows: the products of the rows are computed once."""

    level: Array

    def __init__(self, first: Array, second: Array, targets: Array) -> None:
        self.y, self.products = targets, (first @ first.T, second @ second.T)

    def hold(self, fold: slice, known: Mask) -> None:
        """See _Primal."""
        self.level = self.y[known].mean(0, dtype=np.float64).astype(np.float32)
        self.right = self.y[known] - self.level
        self.parts = [_centred(products[known][:, known], products[fold][:, known]) for products in self.products]

    def scaled(self, scale: float) -> tuple[Array, Array, Array]:
        """See _Primal."""
        among, across = (one + np.float32(scale**2) * other for one, other in zip(*self.parts, strict=True))
        return among, self.right, across


def _centred(among: Array, across: Array) -> tuple[Array, Array]:
    """Products of known rows and of others with them, as if the known rows had a mean of 0."""
    rows = among.mean(0, dtype=np.float64).astype(np.float32)
    whole = rows.mean()
    return among - rows - rows[:, None] + whole, across - across.mean(1, keepdims=True) - rows + whole


def _folds(usable: Mask) -> list[tuple[int, int]]:
    """First and one-past-last rows of 8 stretches with as many usable rows each."""
    cuts = [0, *(int(part[0]) for part in np.array_split(np.flatnonzero(usable), FOLDS)[1:]), len(usable)]
    return list(pairwise(cuts))
