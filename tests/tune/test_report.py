import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import optuna
import pytest

from pipeline.train.metrics import Score
from pipeline.tune import report


@pytest.fixture
def study():
    study = optuna.create_study(direction="maximize")
    distributions = {
        "train.learning_rate": optuna.distributions.FloatDistribution(0.001, 0.01, log=True),
        "model.hidden": optuna.distributions.CategoricalDistribution((0, 64)),
    }
    for rate, hidden, right in ((0.001, 0, 0.8), (0.003, 64, 0.9), (0.01, 0, 0.7)):
        score = Score(100, right, 0.01, 1 - right)
        study.enqueue_trial(dict(zip(distributions, (rate, hidden), strict=True)))
        trial = study.ask(distributions)
        for name, value in asdict(score).items():
            trial.set_user_attr(name, value)
        study.tell(trial, score.accuracy_lower_bound)
    study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    return study


def test_files(study):
    found = report.files(study, study.trials[1])
    head, *rows = found["trials.csv"].splitlines()
    assert head.startswith(
        "trial,state,accuracy,standard_error,log_loss,gain,gain_error,value,seconds,"
    )
    assert [row.split(",")[:3] for row in rows] == [
        ["0", "complete", "0.8"],
        ["1", "complete", "0.9"],
        ["2", "complete", "0.7"],
        ["3", "pruned", ""],
    ]
    values = [row.split(",")[7] for row in rows]
    assert [float(value) for value in values[:3]] == pytest.approx([0.79, 0.89, 0.69])
    assert found["best.yaml"] == "train:\n  learning_rate: 0.003\nmodel:\n  hidden: 64\n"


@pytest.mark.slow
def test_plots(study, tmp_path):
    report.plot(study, tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    plots = ("history", "cost", "importance", "slice", "parallel")
    assert names == {f"{name}.png" for name in plots}


ALONE = """
import sys
from pathlib import Path
import optuna
from pipeline.tune import report
study = optuna.create_study()
study.optimize(lambda trial: trial.suggest_float("a.b", 0, 1), n_trials=3)
report.plot(study, Path(sys.argv[1]))
print("sklearn" in sys.modules)
"""


@pytest.mark.slow
def test_plots_are_drawn_without_scikit_learn(tmp_path):
    command = [sys.executable, "-c", ALONE, tmp_path / "plots"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert Path(tmp_path, "plots/importance.png").exists()
    assert run.stdout.split()[-1] == "False", "loaded for nothing"


def test_what_wants_trials_that_differ_is_left_out(study, tmp_path):
    one = optuna.create_study(direction="maximize")
    one.add_trial(study.trials[0])
    report.plot(one, tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"history.png", "cost.png"}
