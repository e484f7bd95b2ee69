"""Ends a search once more trials can hardly change which recogniser is served.

A tuned recogniser is served only if it gains beyond chance over the params as they stand
(`evaluate.candidates.better`). On features of a frozen network most spaces have nothing to gain,
and a search for it takes as long as one that finds something.
"""

from collections.abc import Sequence

import numpy as np
import optuna
import pandas as pd
from scipy import special

from pipeline.train.metrics import BEYOND_CHANCE, paired_accuracy_gain
from pipeline.tune import study as studies

GAIN, GAIN_ERROR = "gain", "gain_error"  # of a trial: over the first one, and its standard error
_FIRST = "first trial is right"  # of a study: about which pictures, as hexadecimal bits
FEWEST = 4  # gains, to estimate their spread


def compare(trial: optuna.Trial, held_out: pd.DataFrame) -> None:
    """Compares a trial with the first one, which has the params as they stand, and stores its gain.

    Args:
        trial: The trial; where the first one has not come to its end, no gain is stored.
        held_out: Its answers, as `held_out.table` describes them: to the same pictures in each
            trial.
    """
    if studies.trial_slot(trial.study, trial) == 0:
        bits = np.packbits(held_out["right"]).tobytes().hex()
        trial.study.set_user_attr(_FIRST, bits)
        return
    if (bits := trial.study.user_attrs.get(_FIRST)) is None:
        return
    right = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8), count=len(held_out))
    gain, error = paired_accuracy_gain(held_out, held_out.assign(right=right.astype(bool)))
    trial.set_user_attr(GAIN, gain)
    trial.set_user_attr(GAIN_ERROR, error)


def chance_of_change(done: Sequence[optuna.trial.FrozenTrial], left: int) -> float:
    """Estimates the chance that one of the trials that are left changes what is served.

    That is the chance that one of them gains, beyond chance, over what would be served now: over
    the params as they stand, or over the best trial that is beyond chance already. The spread of
    gains is that above their median, for some params are far worse and say nothing of how good
    others can be; in its units a gain has a Student's t distribution. A trial is taken to be pruned
    as often as up to now.

    Args:
        done: The trials that came to their end or were pruned.
        left: How many there could still be.

    Returns:
        0 to 1; 1 where fewer than `FEWEST` have a gain.
    """
    known = [trial.user_attrs for trial in done if GAIN in trial.user_attrs]
    if len(known) < FEWEST:
        return 1.0
    gains, noise = (np.array([of[name] for of in known]) for name in (GAIN, GAIN_ERROR))
    served = gains[gains > BEYOND_CHANCE * noise].max(initial=0.0)
    needed = served + BEYOND_CHANCE * np.median(noise) - np.median(gains)
    above = gains[gains > np.median(gains)] - np.median(gains)
    if not len(above):
        return float(needed < 0)
    spread = np.sqrt(np.square(above).mean())
    one = special.stdtr(len(above), -needed / spread) * len(known) / len(done)
    return float(1 - (1 - one) ** left)
