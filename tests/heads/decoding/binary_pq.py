"""Binary panoptic quality of an image (Kirillov et al., 2019, arXiv 1801.00868)."""

import numpy as np


def binary_pq(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Sum of IoU over pairs with IoU > .5, over TP + FP / 2 + FN / 2; NaN where the truth has no nucleus."""
    truths, predictions = (np.unique(each[each > 0]) for each in (truth, predicted))
    if not len(truths):
        return float("nan")
    matched = []
    for number in truths:
        mask = truth == number
        for other in np.unique(predicted[mask]):
            if other:
                iou = np.count_nonzero(mask & (predicted == other)) / np.count_nonzero(
                    mask | (predicted == other)
                )
                matched += [iou] if iou > 0.5 else []
    return float(sum(matched) / ((len(truths) + len(predictions)) / 2))
