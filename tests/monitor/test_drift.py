import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
import shard_files
from scipy import stats

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.dataset import shards
from pipeline.inference import recogniser_files
from pipeline.monitor import drift


def answers(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "width": rng.choice([640, 4000], count),
            "height": 480,
            "brightness": rng.normal(110, 30, count),
            "sharpness": rng.lognormal(5, 1, count),
            "species": rng.choice(["cat", "dog", "fox"], count, p=[0.5, 0.3, 0.2]),
            "probability": rng.beta(9, 1, count),
            "unknown": rng.random(count) < 0.05,
        }
    )


def drifted(before: pd.DataFrame, now: pd.DataFrame) -> set[str]:
    return {change.property for change in drift.compare(before, now) if change.drifted}


@pytest.mark.slow
def test_answers_of_the_same_kind_have_not_drifted():
    alarms = [drifted(answers(300, seed), answers(200, seed + 1000)) for seed in range(100)]
    assert sum(map(bool, alarms)) <= 1  # a chance of under 0.01 each


@pytest.mark.parametrize(
    ("property", "changed"),
    [
        ("brightness", lambda a: {"brightness": a["brightness"] - 40}),  # a camera at night
        ("sharpness", lambda a: {"sharpness": a["sharpness"] / 4}),  # a lens in the rain
        ("megapixels", lambda a: {"width": 8000}),
        ("probability", lambda a: {"probability": a["probability"] * 0.85}),
        ("species", lambda a: {"species": a["species"].where(a.index % 2 == 0, "bear")}),
        ("unknown", lambda a: {"unknown": a["unknown"] | (a.index % 4 == 0)}),
    ],
)
def test_what_changed_is_named_and_nothing_else(property, changed):
    now = answers(400, 1)
    assert drifted(answers(300), now.assign(**changed(now))) == {property}


def test_a_slight_change_is_no_alarm_however_sure_it_is():
    now = answers(50_000, 1)
    now["brightness"] += 3
    change = drift.compare(answers(50_000), now)[0]
    assert change.property == "brightness"
    assert change.p < 1e-6
    assert change.psi < 0.05
    assert not change.drifted


def test_a_p_value_is_corrected_for_how_many_properties_were_looked_at():
    """By the tests themselves, on the columns as they are; six properties were looked at."""
    before, now = answers(300), answers(70, 1)
    now["brightness"] -= 14
    columns = {name: [t[name] for t in (before, now)] for name in ("brightness", "sharpness")}
    columns["megapixels"] = [t["width"] * t["height"] for t in (before, now)]
    columns["probability"] = [t["probability"] for t in (before, now)]
    wanted = {name: stats.ks_2samp(*pair).pvalue for name, pair in columns.items()}
    for name in ("species", "unknown"):
        both = [t[name].value_counts().sort_index() for t in (before, now)]
        wanted[name] = stats.chi2_contingency(np.array(both)).pvalue
    found = {change.property: change for change in drift.compare(before, now)}
    for name, p in wanted.items():
        assert found[name].p == pytest.approx(min(1, 6 * p)), name
    change = found["brightness"]
    assert (change.before, change.now) == tuple(
        f"{np.median(values):.4g}" for values in columns["brightness"]
    )
    share = f"{(before['species'] == 'cat').mean():.0%}"
    assert found["species"].before == f"cat ({share})"


@pytest.mark.slow
def test_what_is_significant_among_one_is_not_among_six():
    """Of one property p is 0.004 and below 0.01; of six it is not, however large the change."""
    before = answers(300)
    for shift in np.arange(0, 30, 0.25):
        now = answers(60, 1).assign(brightness=answers(60, 1)["brightness"] - shift)
        alone = drift.compare(before[["species", "brightness"]], now[["species", "brightness"]])[0]
        among = drift.compare(before, now)[0]
        assert among.p == pytest.approx(min(1, 3 * alone.p))
        if alone.p < 0.01 <= among.p and alone.psi >= 0.2:
            assert alone.drifted
            assert not among.drifted
            return
    pytest.fail("no shift is significant among two and not among six")


def test_the_stability_index_by_hand():
    before, now = np.array([49.5, 49.5]), np.array([24.5, 74.5])  # half a count is added to each
    assert drift.stability(before, now) == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5))
    assert drift.stability(before, before) == 0


def test_properties_that_a_log_has_not_are_left_out():
    now = answers(100, 1)[["species", "probability"]]
    assert [c.property for c in drift.compare(answers(300), now)] == ["probability", "species"]


def test_too_few_answers_are_not_judged():
    with pytest.raises(UserError, match="49 answers; under 50"):
        drift.compare(answers(300), answers(49))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".log"])
def test_every_kind_of_log_is_read_the_same(tmp_path, suffix):
    table = answers(60).assign(species="7")
    table.loc[3, "species"] = None
    path = tmp_path / f"answers{suffix}"
    if suffix == ".csv":
        table.to_csv(path)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=suffix == ".log")
    read = drift.read(path)
    assert read["species"].tolist() == ["7"] * 59
    assert read["unknown"].sum() == table["unknown"].drop(3).sum()


def test_only_the_last_days_count_if_asked(tmp_path):
    now = pd.Timestamp.now("UTC")
    times = [(now - pd.Timedelta(days=days)).isoformat() for days in range(60)]
    path = tmp_path / "requests.log"
    answers(60).assign(time=times).to_json(path, orient="records", lines=True)
    assert len(drift.read(path, days=6.5)) == 7
    with pytest.raises(UserError, match="has no column time"):
        answers(60).to_parquet(tmp_path / "all.parquet")
        drift.read(tmp_path / "all.parquet", days=1)


def test_the_exit_code_tells_a_scheduler(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "final"
    model.mkdir()
    for name in recogniser_files.NEEDED:
        (model / name).touch()
    same, changed = answers(200, 1), answers(200, 2).assign(species="bear")
    for name, table in (("same", same), ("changed", changed), ("few", same[:9])):
        table.to_parquet(f"{name}.parquet")
    (tmp_path / "broken.log").write_text("{")

    def code(log):
        monkeypatch.setattr(sys, "argv", ["animal", "drift", log, "--model", str(model)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code)

    assert code("same.parquet") == 2
    assert "final has no reference.parquet" in capsys.readouterr().err
    answers(300).to_parquet(model / "reference.parquet")
    assert code("same.parquet") == 0
    assert "# No drift" in (tmp_path / "reports/drift/drift.md").read_text()
    assert code("changed.parquet") == 1
    assert "# Drift of species" in capsys.readouterr().out
    found = json.loads((tmp_path / "reports/drift/drift.json").read_text())
    assert found["drifted"]
    assert [p["property"] for p in found["properties"] if p["drifted"]] == ["species"]
    for log in ("few.parquet", "broken.log", "none.log"):
        assert code(log) == 2
    monkeypatch.setattr(drift, "compare", lambda *_: 1 / 0)
    assert code("same.parquet") == 2


def test_the_reference_holds_what_a_log_holds(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    sizes = pd.DataFrame({"width": [640, 641, 642, 643, 644], "height": 480})
    shard_files.write(tmp_path / "resized", sizes, pictures)
    validation = [4, 0, 3]
    said = {"species": ["cat", "dog", "dog"], "probability": [0.9, 0.6, 0.8]}
    said = pd.DataFrame(said | {"unknown": [False, True, False]}, index=validation)
    written = drift.reference(shards.Shards(tmp_path / "resized"), said)
    table = pd.read_parquet(io.BytesIO(written))
    assert set(table) == set(answers(1))
    assert table["species"].tolist() == ["cat", "dog", "dog"]
    assert table["probability"].tolist() == [0.9, 0.6, 0.8]
    assert table["unknown"].tolist() == [False, True, False]
    assert table["width"].tolist() == [644, 640, 643]
    expected = pictures[validation][..., 1].mean(axis=(1, 2))
    assert table["brightness"].tolist() == pytest.approx(expected)
