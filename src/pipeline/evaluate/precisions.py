"""Compares a network in float and in int8."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import UserError
from pipeline.train.metrics import Score

LEAST_SAME = 0.95  # of the labels, int8 beside float; 0.992 to 0.998 was seen on real photos


@dataclass(frozen=True)
class Precisions:
    """A network in float and in int8.

    Attributes:
        served: Which one is tested and served: `float` or `int8`.
        same_label: Share of validation photos that both give the same species.
        float: How good it is in float on the test photos.
        int8: How good it is in int8 on the test photos.
    """

    served: str
    same_label: float
    float: Score
    int8: Score

    @classmethod
    def of(
        cls,
        served: str,
        validation: Mapping[str, np.ndarray],
        test: Mapping[str, np.ndarray],
        targets: np.ndarray,
    ) -> "Precisions":
        """Compares both.

        Args:
            served: `evaluate.precision`.
            validation: Probabilities of both for the validation photos, (n, species).
            test: Likewise for the test photos, (m, species).
            targets: The right positions of the test photos, int (m,).

        Raises:
            UserError: int8 is to be served and differs from float too often.
        """
        left, right = (validation[name].argmax(axis=1) for name in ("float", "int8"))
        same = np.mean(left == right).item()
        if served == "int8" and same < LEAST_SAME:
            raise UserError(
                f"in int8 the network gives {same:.1%} of the validation photos the species that "
                f"it gives them in float; under {LEAST_SAME:.0%} it is not served: set "
                "evaluate.precision to float"
            )
        return cls(served, same, *(Score.of(test[name], targets) for name in ("float", "int8")))

    @property
    def other(self) -> str:
        """The one that is not served."""
        return {"float": "int8", "int8": "float"}[self.served]
