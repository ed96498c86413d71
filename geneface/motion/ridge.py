"""Ridge regression with out-of-fold predictions, in whichever of its two forms is smaller."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geneface.face.geometry import Array

FOLDS = 8


@dataclass(frozen=True)
class Fit:
    """weight [D, K] and bias [K]; `penalty` and `share`, as tried, that did best out of fold; those predictions [N, K] and
    their correlation with the targets, of what is seen.
    """

    weight: Array
    bias: Array
    penalty: float
    share: float
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


def out_of_fold(inputs: Array, targets: Array, penalties: Sequence[float], margin: int) -> dict[float, Array]:
    """For each penalty the predictions [N, K] for each of 8 stretches by a ridge that knows the others, less `margin` rows at the
    cuts.
    """
    predicted = {penalty: np.zeros_like(targets) for penalty in penalties}
    products = (inputs @ inputs.T).astype(np.float64) if len(inputs) <= inputs.shape[1] else None
    for fold in np.array_split(np.arange(len(inputs)), FOLDS):
        known = np.ones(len(inputs), bool)
        known[max(0, fold[0] - margin) : fold[-1] + margin + 1] = False
        if products is None:
            for penalty in penalties:
                weight, bias = solve(inputs[known], targets[known], penalty)
                predicted[penalty][fold] = inputs[fold] @ weight + bias
            continue
        among, across = products[np.ix_(known, known)], products[np.ix_(fold, known)]
        rows, whole = among.mean(0), among.mean()
        across = across - across.mean(1, keepdims=True) - rows + whole
        among = among - rows - rows[:, None] + whole
        level = targets[known].mean(0, dtype=np.float64)
        for penalty in penalties:
            dual = np.linalg.solve(among + penalty * np.trace(among) * np.eye(len(among)), targets[known] - level)
            predicted[penalty][fold] = across @ dual + level
    return predicted


def correlation(predicted: Array, targets: Array) -> float:
    """Pearson's r of the columns [N, K], each weighted by its target's deviation. Blind to amplitude, which is restored later:
    squared error would ask for more shrinking than the timing needs.
    """
    x, y = predicted - predicted.mean(0), targets - targets.mean(0)
    r = (x * y).sum(0) / np.maximum(np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0), 1e-9)
    return float((r * y.std(0)).sum() / y.std(0).sum())


def fit(
    first: Array, second: Array, targets: Array, penalties: Sequence[float], shares: Sequence[float], margin: int,
    seen: Callable[[Array], Array],
) -> Fit:  # fmt: skip
    """The ridge of best correlation out of fold on `first` [N, D1] beside `second` [N, D2] (may be empty), which is given each of
    `shares` of the first's total variance. Correlated is what is `seen` of targets [N, K], [N, .].
    """
    spread = [float(np.square(part - part.mean(0)).sum()) for part in (first, second)]
    tried, truth = [], seen(targets)
    for share in shares if second.shape[1] else (0.0,):
        scale = float(np.sqrt(share * spread[0] / max(spread[1], 1e-9)))
        inputs = np.concatenate([first, scale * second], 1)
        for penalty, predicted in out_of_fold(inputs, targets, penalties, margin).items():
            tried.append((correlation(seen(predicted), truth), penalty, share, scale, predicted))
    r, penalty, share, scale, predicted = max(tried, key=lambda item: item[0])
    weight, bias = solve(np.concatenate([first, scale * second], 1), targets, penalty)
    weight[first.shape[1] :] *= scale
    return Fit(weight, bias, penalty, share, predicted, r)
