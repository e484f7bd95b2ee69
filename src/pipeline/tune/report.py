"""Reports a search: tables for `models/tuned`, and plots."""

import importlib
import warnings
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from ruamel.yaml import YAML

from pipeline.core import atomic
from pipeline.core.imports import hidden
from pipeline.tune import stopping


def files(study: optuna.Study, best: optuna.trial.FrozenTrial) -> dict[str, str]:
    """Returns the tables of a search, as texts by the name of their file.

    `trials.csv` has a row a trial: number, state, validation accuracy and its standard error,
    log-loss, the gain in accuracy over the first trial and its standard error, the value it was
    ranked by, seconds, params. `best.yaml` has the best one's lines of the params.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in best.params.items():
        section, line = name.split(".")
        sections.setdefault(section, {})[line] = value
    lines = StringIO()
    YAML().dump(sections, lines)
    return {"trials.csv": _table(study).to_csv(index=False), "best.yaml": lines.getvalue()}


def _table(study: optuna.Study) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "accuracy": trial.user_attrs.get("accuracy"),
            "standard_error": trial.user_attrs.get("standard_error"),
            "log_loss": trial.user_attrs.get("log_loss"),
            "gain": trial.user_attrs.get(stopping.GAIN),
            "gain_error": trial.user_attrs.get(stopping.GAIN_ERROR),
            "value": trial.value,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **trial.params,
        }
        for trial in study.trials
    )


def plot(study: optuna.Study, folder: Path) -> None:
    """Draws a study into a folder: its history, score against cost, and what the params do.

    The importance is PED-ANOVA's (Watanabe et al. 2023), which wants a few trials that differ;
    with fewer it is left out, and so are slices and parallel coordinates.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as plots

    draw: dict[str, Callable[[optuna.Study], Any]] = {
        "history": plots.plot_optimization_history,
        "cost": _plot_cost,
    }
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in done}) > 1:
        with hidden("sklearn"):  # a second and a half, for measures that are not drawn
            importlib.import_module("optuna.importance")
        draw["importance"] = plots.plot_param_importances
        draw["slice"] = plots.plot_slice
        draw["parallel"] = plots.plot_parallel_coordinate
    with atomic.atomic_write(folder) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its matplotlib plots experimental
        partial.mkdir()
        for name, function in draw.items():
            function(study)
            plt.savefig(partial / f"{name}.png", dpi=120, bbox_inches="tight")
            plt.close("all")


def _plot_cost(study: optuna.Study) -> None:
    import matplotlib.pyplot as plt

    _, axes = plt.subplots()
    table = _table(study).dropna(subset="accuracy")
    axes.errorbar("seconds", "accuracy", yerr="standard_error", data=table, fmt="o", capsize=2)
    for row in table.itertuples():
        axes.annotate(
            row.trial, (row.seconds, row.accuracy), xytext=(4, 4), textcoords="offset points"
        )
    axes.set(xscale="log", xlabel="seconds a trial took", ylabel="validation accuracy")
