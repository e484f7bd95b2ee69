"""Writes what imagecorruptions 1.1.2 makes of a picture, for a test to compare with.

The package needs opencv-python, which would stand in the way of opencv-python-headless here. So it
runs in an environment of its own, and its results are kept: four rows of a drawn picture of 224 px,
after each corruption that chance has no part in.

    uv venv /tmp/reference
    uv pip install --python /tmp/reference imagecorruptions==1.1.2 "setuptools<80"
    /tmp/reference/bin/python bench/corruption_reference.py tests/evaluate/corruptions.npz
"""

import sys

import numpy as np
import scipy.ndimage
import skimage.filters
from PIL import Image

# What imagecorruptions 1.1.2 expects of older versions of NumPy, SciPy, scikit-image.
gaussian = skimage.filters.gaussian
skimage.filters.gaussian = lambda x, sigma, multichannel: gaussian(x, sigma=sigma, channel_axis=-1)
sys.modules["scipy.ndimage.interpolation"] = scipy.ndimage

from imagecorruptions import corruptions  # noqa: E402

NAMES = {
    "blur": "gaussian_blur",
    "jpeg": "jpeg_compression",
    "brightness": "brightness",
    "contrast": "contrast",
}
ROWS = (20, 77, 150, 211)


def picture() -> np.ndarray:
    """Draws smooth colours with edges, uint8 (224, 224, 3); tests/evaluate draws the same."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC)).copy()
    smooth[60:110, 30:120] = (250, 200, 20)
    smooth[130:, 150:] = (10, 20, 90)
    return smooth


def main() -> None:
    results = {}
    for ours, theirs in NAMES.items():
        for strength in range(1, 6):
            worse = getattr(corruptions, theirs)(Image.fromarray(picture()), strength)
            rows = np.asarray(worse, dtype=np.float64)[list(ROWS)]
            results[f"{ours} {strength}"] = rows.clip(0, 255).round().astype(np.uint8)
    np.savez_compressed(sys.argv[1], **results)


if __name__ == "__main__":
    main()
