"""Instance metrics of one image, written from their definitions with a mask for each nucleus; exact fractions.

Nothing here uses the package. The rules of the PanNuke evaluation code are followed step by step, with its failures.
"""

import itertools
from fractions import Fraction

import numpy as np

HALF = Fraction(1, 2)


def masks(instance: np.ndarray) -> dict[int, np.ndarray]:
    return {int(number): instance == number for number in np.unique(instance) if number}


def iou(a: np.ndarray, b: np.ndarray) -> Fraction:
    return Fraction(int((a & b).sum()), int((a | b).sum()))


def matches(truth: np.ndarray, prediction: np.ndarray) -> dict[tuple[int, int], Fraction]:
    pairs = itertools.product(masks(truth).items(), masks(prediction).items())
    return {(t, p): value for (t, a), (p, b) in pairs if (value := iou(a, b)) > HALF}


def class_of_truth(truth: np.ndarray, label: np.ndarray) -> dict[int, int]:
    """The most frequent label, the lowest of several."""
    classes = {}
    for number, mask in masks(truth).items():
        votes = [(int((label[mask] == value).sum()), -value) for value in range(1, 255)]
        classes[number] = -max(votes)[1]
    return classes


def panoptic(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float, float]:
    """DQ, SQ, PQ; NaN where the truth has no nucleus."""
    if not masks(truth):
        return (np.nan,) * 3
    found = matches(truth, prediction)
    tp, fp, fn = len(found), len(masks(prediction)) - len(found), len(masks(truth)) - len(found)
    dq = tp / (tp + 0.5 * fp + 0.5 * fn)
    sq = float(sum(found.values(), Fraction(0))) / (tp + 1e-6)
    return dq, sq, dq * sq


def aji(truth: np.ndarray, prediction: np.ndarray) -> Fraction | None:
    """Ties: the larger intersection, then the prediction whose first pixel comes first."""
    of_truth, of_prediction = masks(truth), masks(prediction)
    inter, union, used = 0, 0, set()
    for mask in of_truth.values():
        overlapping = {p: other for p, other in of_prediction.items() if (mask & other).any()}
        if not overlapping:
            union += int(mask.sum())
            continue
        best = max(
            overlapping,
            key=lambda p: (
                iou(mask, of_prediction[p]),
                (mask & of_prediction[p]).sum(),
                -of_prediction[p].argmax(),
            ),
        )
        used.add(best)
        inter += int((mask & of_prediction[best]).sum())
        union += int((mask | of_prediction[best]).sum())
    union += sum(int(mask.sum()) for p, mask in of_prediction.items() if p not in used)
    return Fraction(inter, union) if union else None


def dice2(truth: np.ndarray, prediction: np.ndarray) -> Fraction | None:
    inter, both = 0, 0
    for a, b in itertools.product(masks(truth).values(), masks(prediction).values()):
        if (a & b).any():
            inter += int((a & b).sum())
            both += int(a.sum()) + int(b.sum())
    if not both:
        return Fraction(0) if masks(truth) else None
    return Fraction(2 * inter, both)


def centroids(instance: np.ndarray) -> dict[int, tuple[float, float]]:
    return {number: tuple(np.argwhere(mask).mean(axis=0)) for number, mask in masks(instance).items()}


def best_assignment(weights: list[list[float]]) -> list[tuple[int, int]]:
    """The one-to-one assignment of the largest sum, by trying all; at most a few rows and columns."""
    rows, columns = len(weights), len(weights[0]) if weights else 0
    if rows > columns:
        turned = best_assignment([list(column) for column in zip(*weights, strict=True)])
        return sorted((row, column) for column, row in turned)
    choices = itertools.permutations(range(columns), rows)
    best = max(choices, key=lambda choice: sum(weights[row][column] for row, column in enumerate(choice)))
    return list(enumerate(best))


def detections(truth: np.ndarray, prediction: np.ndarray, radius_px: float) -> list[tuple[int, int]]:
    """Pairs of ids."""
    of_truth, of_prediction = centroids(truth), centroids(prediction)
    distance = [
        [float(np.hypot(a[0] - b[0], a[1] - b[1])) for b in of_prediction.values()] for a in of_truth.values()
    ]
    pairs = best_assignment([[-value for value in row] for row in distance]) if distance else []
    t, p = list(of_truth), list(of_prediction)
    return [(t[row], p[column]) for row, column in pairs if distance[row][column] <= radius_px]


# What follows reads the rules of the PanNuke evaluation code literally; where that fails, this does.
def pannuke_flatten(channels: np.ndarray) -> np.ndarray:
    flat = np.zeros(channels.shape[:2], np.int64)
    number = 0
    for channel in range(5):
        values = sorted(set(channels[..., channel].reshape(-1).tolist()))
        values.remove(0)  # ValueError without a background pixel.
        for value in values:
            number += 1
            flat[channels[..., channel] == value] = number
    return flat


def pannuke_contiguous(ids: np.ndarray) -> np.ndarray:
    values = sorted(set(ids.reshape(-1).tolist()))
    values.remove(0)
    return sum(((ids == value) * rank for rank, value in enumerate(values, 1)), np.zeros(ids.shape, np.int64))


def pannuke_pq(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Lists of masks by position: an id is its own position only if there are no gaps, and 0 is there."""
    true_ids, predicted_ids = np.unique(truth).tolist(), np.unique(prediction).tolist()
    true_masks = [None, *(truth == number for number in true_ids[1:])]
    predicted_masks = [None, *(prediction == number for number in predicted_ids[1:])]
    table = np.zeros((len(true_ids) - 1, len(predicted_ids) - 1))
    for t in true_ids[1:]:
        mask = true_masks[t]  # IndexError where ids have gaps.
        for p in np.unique(prediction[mask]).tolist():
            if p:
                inter = (mask & predicted_masks[p]).sum()
                table[t - 1, p - 1] = inter / (mask.sum() + predicted_masks[p].sum() - inter)
    matched = table[table > 0.5]
    tp, fp, fn = len(matched), len(predicted_ids) - 1 - len(matched), len(true_ids) - 1 - len(matched)
    return float(tp / (tp + 0.5 * fp + 0.5 * fn) * (matched.sum() / (tp + 1e-6)))


def pannuke_image(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, list[float]]:
    """bPQ and the PQ of each class of stacks [H, W, 6]; NaN is left out of means."""
    true_flat, predicted_flat = pannuke_flatten(truth), pannuke_flatten(prediction)
    bpq = np.nan if len(np.unique(true_flat)) == 1 else pannuke_pq(true_flat, predicted_flat)
    of_classes = []
    for channel in range(5):
        true_ids = pannuke_contiguous(truth[..., channel])
        predicted_ids = pannuke_contiguous(prediction[..., channel])
        of_classes.append(np.nan if len(np.unique(true_ids)) == 1 else pannuke_pq(true_ids, predicted_ids))
    return bpq, of_classes
