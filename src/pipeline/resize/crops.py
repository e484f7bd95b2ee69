"""Decides which part of a photo becomes a square."""

import json

import numpy as np
import pandas as pd

COLUMNS = ["photo", "path", "species", "width", "height", "box"]  # of the manifest


def pictures(manifest: pd.DataFrame, margin: float | None) -> pd.DataFrame:
    """Lists the pictures that become squares: each photo, or each of its subjects.

    A subject is cut out as a square around its box, widened by the margin and moved to lie inside
    the photo, so that `decoding.square` cuts nothing off; where the photo is too narrow for one,
    its whole width is taken.

    Args:
        manifest: A row a photo, as ingest wrote it, with at least the columns `COLUMNS`.
        margin: Share of a box's longer side that is added on each side; None for whole photos.

    Returns:
        A row a picture in the order of the paths, since new photos mostly lie together there:
        photo, path, species, width, height (px) and box, the part to cut out as a JSON list of
        [x, y, w, h] in shares of the sides; null for a whole photo.
    """
    rows = manifest[COLUMNS].sort_values("path", ignore_index=True)
    known = rows["box"].notna() & (margin is not None)
    rows = rows.assign(box=rows["box"].where(known).map(json.loads, na_action="ignore"))
    rows = rows.explode("box", ignore_index=True)
    cut = rows["box"].notna()
    sides = rows.loc[cut, ["width", "height"]].to_numpy(dtype=np.float64)
    boxes = np.array(rows.loc[cut, "box"].tolist(), dtype=np.float64).reshape(-1, 4)
    side = (boxes[:, 2:] * sides).max(axis=1, keepdims=True) * (1 + 2 * (margin or 0))
    size = np.minimum(side / sides, 1)
    start = (boxes[:, :2] + boxes[:, 2:] / 2 - size / 2).clip(0, 1 - size)
    written = [json.dumps(row) for row in np.concatenate([start, size], axis=1).round(6).tolist()]
    rows.loc[cut, ["width", "height"]] = np.rint(size * sides).clip(1).astype(int)
    return rows.assign(box=pd.Series(written, rows.index[cut], dtype="str").reindex(rows.index))
