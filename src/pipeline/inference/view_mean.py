"""Averages a network's outputs over the views of one photo.

A photo may be seen as a whole and as parts of it (`crops.SubjectCrop`). A served model carries this
file along.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.inference.litert import MAIN, MAPS


def view_mean(outputs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the outputs of a network for a photo, given those for its views.

    The probabilities are the geometric mean, made to sum to 1, so those of the mean logits; all
    else is the mean, but activation maps, which are those of the first view.

    Args:
        outputs: Of each view, at least one.
    """
    first, *others = outputs
    if not others:
        return dict(first)
    means = {name: np.mean([each[name] for each in outputs], axis=0) for name in first}
    logits = np.mean([np.log(each[MAIN].clip(1e-12)) for each in outputs], axis=0)
    powers = np.exp(logits - logits.max())
    means[MAIN] = (powers / powers.sum()).astype(first[MAIN].dtype)
    return means | {name: first[name] for name in (MAPS,) if name in first}
