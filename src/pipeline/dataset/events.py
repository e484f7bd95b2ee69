"""Makes events of the photos of fixed cameras: bursts that show the same animals."""

import pandas as pd

GAP = 60.0  # s: the longest pause inside an event, where nobody says another
# What a date without a time of day reads as. A burst over midnight that has a photo of that very
# second is cut in two, which costs less than one event of a whole day.
NO_TIME = "T00:00:00"


def number(camera: pd.Series, taken_at: pd.Series, gap: float) -> pd.Series:
    """Numbers the events of photos by their camera and time.

    Photos of one camera follow each other within `gap` seconds in one event; it ends where none
    follows for longer.

    Args:
        camera: What fixed camera took each photo; null where that is not known.
        taken_at: Its time (ISO 8601); null where that is not known, or a date alone. One without a
            zone counts as UTC.
        gap: The longest pause inside an event (s).

    Returns:
        For each photo the number of its event, Int64, from 0 in the order of camera and time; null
        where its camera or time is not known.
    """
    clock = taken_at.mask(taken_at.str.endswith(NO_TIME, na=False))
    time = pd.to_datetime(clock, errors="coerce", format="ISO8601", utc=True)
    rows = pd.DataFrame({"camera": camera, "time": time}).dropna().sort_values(["camera", "time"])
    begins = (rows["camera"] != rows["camera"].shift()) | (
        rows["time"].diff() > pd.Timedelta(seconds=gap)
    )
    return (begins.cumsum() - 1).astype("Int64").reindex(camera.index)
