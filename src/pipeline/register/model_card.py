"""Writes the model card: all that a person must know of a recogniser before trusting it.

The headings follow Mitchell et al. 2019, Model Cards for Model Reporting; the text is
`model_card.md.j2`. In front of it stands what Hugging Face's hub reads from a card, as YAML: tags,
and the results as a `model-index` (its documentation, Model Cards).
"""

import io
import re
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape
from ruamel.yaml import YAML

_FEW = 30  # test photos of a species; its numbers say little below
_RESULTS = {"accuracy": "accuracy", "macro_f1": "f1", "log_loss": "log_loss"}  # the hub's types


def write(
    metrics: dict,
    species: pd.DataFrame,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    settings: dict[str, str],
    made: dict[str, str],
) -> str:
    """Writes the card as Markdown with a head in YAML; names from outside are no markup.

    Args:
        metrics: The content of `reports/metrics.json`.
        species: Precision, recall, F1 and support of each, as `Scores.per_species` returns them.
        manifest: Of the photos it was made from.
        split: Of the photos, as split wrote it.
        settings: How it was trained, by the names of `params.yaml`.
        made: Where, when and with what, by name.
    """
    test, worse = metrics["test"], metrics.get("robustness")
    counts = split["split"].value_counts()
    trained = split[split["split"] == "train"].groupby("species").size()
    rows = species.assign(photos=species["species"].map(trained).fillna(0).astype(int))
    numbers = rows[["species", "photos", "support", "precision", "recall", "f1"]].rename(
        columns={"photos": "trained on", "support": "tested on"}
    )
    tested = species[species["support"] > 0]
    worst = tested.sort_values("recall", kind="stable").iloc[0]
    # Names come from folders and tables of other people, and a card is shown in a browser.
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    pages.filters["cell"] = _cell
    return _head(metrics, manifest) + pages.get_template("model_card.md.j2").render(
        species=species,
        learned=counts.get("train", 0) + counts.get("validation", 0),
        tested=counts.get("test", 0),
        licences=licences(manifest),
        test=test,
        measures=_measures(test, metrics.get("intervals", {})),
        numbers=numbers,
        worst=worst,
        few=tested.loc[tested["support"] < _FEW, "species"].tolist(),
        trust=metrics.get("trust"),
        robustness=worse,
        hardest=worse and min(worse["corruptions"], key=lambda row: row["accuracy"]),
        drawn=metrics["drawn"],
        made=_two_columns("what", "is", made),
        settings=_two_columns("trained with", "value", settings),
    )


def _head(metrics: dict, manifest: pd.DataFrame) -> str:
    """Returns what the hub reads from a card, between lines of dashes."""
    test, intervals = metrics["test"], metrics.get("intervals", {})
    named = [re.sub(r"\W+", "-", name) for name in manifest["origin"].dropna().unique()]
    results = [
        {
            "type": kind,
            "name": _with_interval(name, intervals),
            "value": round(float(test[name]), 6),
        }
        for name, kind in _RESULTS.items()
    ]
    photos = "pictures drawn by code" if metrics["drawn"] else "photos"
    dataset = {"type": "image-folder", "name": f"{test['photos']} test {photos}", "split": "test"}
    task = {"type": "image-classification", "name": "Species of an animal on a photo"}
    head = {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["animals", "wildlife", "litert", *sorted(f"photos-from-{n}" for n in named)[:10]],
        "metrics": sorted(_RESULTS.values()),
        "model-index": [
            {"name": "animal", "results": [{"task": task, "dataset": dataset, "metrics": results}]}
        ],
    }
    written = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(head, written)
    return f"---\n{written.getvalue()}---\n\n"


def _with_interval(name: str, intervals: dict) -> str:
    if name not in intervals:
        return name
    ends = intervals[name]
    return f"{name} ({intervals['level']:.0%} interval {ends['low']:.4f} to {ends['high']:.4f})"


def licences(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts how many photos come from where, under which licence."""
    named = manifest[["origin", "licence"]].astype(object).fillna("not stated")
    return named.value_counts().rename("photos").reset_index()


def _measures(test: dict, intervals: dict) -> pd.DataFrame:
    """Returns each measure with its interval, where it has one."""
    table = _two_columns("measure", "value", test)
    if not intervals:
        return table
    ends = [intervals.get(name) for name in test]
    shown = ["" if e is None else f"{e['low']:.3f} to {e['high']:.3f}" for e in ends]
    return table.assign(**{f"{intervals['level']:.0%} interval": shown})


def _two_columns(left: str, right: str, values: dict) -> pd.DataFrame:
    return pd.DataFrame({left: values.keys(), right: values.values()}, dtype=object)


def _cell(value: object) -> Markup:
    """Formats a value for a cell of a table."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return escape(text.replace("|", "\\|").replace("\n", " "))
