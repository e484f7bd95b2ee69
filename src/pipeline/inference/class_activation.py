"""Shows where in a photo a network sees a species, from its own activations.

Nothing of the project is imported: a served model carries this file along.
"""

import numpy as np
from PIL import Image


def heat(maps: np.ndarray, position: int, size: int) -> np.ndarray:
    """Measures how much each part of a picture speaks for a species.

    Class activation maps (Zhou et al. 2016, Learning Deep Features for Discriminative
    Localization), less their mean over the species: what adds to all logits alike changes no
    probability.

    Args:
        maps: What each place adds to the logits, (height, width, species).
        position: The species, as a position in the answers.
        size: Side of the picture (px).

    Returns:
        float (size, size), 0 to 1; 0 where a place speaks against the species, or for all alike.
    """
    evidence = maps[..., position] - maps.mean(axis=-1)
    evidence = Image.fromarray(np.maximum(evidence, 0).astype(np.float32))
    large = np.asarray(evidence.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float64)
    return large / (large.max() or 1)
