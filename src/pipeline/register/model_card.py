"""What a person must know of a recogniser before trusting it, on a page.

The headings follow Mitchell et al. 2019, Model Cards for Model Reporting; the text is
`model_card.md.j2`.
"""

from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

_FEW = 30  # test photos of a species; its numbers say little below


def write(
    metrics: dict,
    species: pd.DataFrame,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    settings: dict[str, str],
    made: dict[str, str],
) -> str:
    """Writes the card as Markdown, in which names from outside are no markup.

    Args:
        metrics: The content of `reports/metrics.json`.
        species: Precision, recall, F1 and support of each, as `metrics.per_species` returns them.
        manifest: Of the photos it was made from.
        split: Of the photos, as split wrote it.
        settings: How it was trained, by the names of `params.yaml`.
        made: Where, when and with what, by name.
    """
    test = metrics["test"]
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
    return pages.get_template("model_card.md.j2").render(
        species=species,
        learned=counts.get("train", 0) + counts.get("validation", 0),
        tested=counts.get("test", 0),
        licences=licences(manifest),
        test=test,
        measures=_two_columns("measure", "value", test),
        numbers=numbers,
        worst=worst,
        few=tested.loc[tested["support"] < _FEW, "species"].tolist(),
        drawn=metrics["drawn"],
        made=_two_columns("what", "is", made),
        settings=_two_columns("trained with", "value", settings),
    )


def licences(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts how many photos come from where, under which licence."""
    named = manifest[["origin", "licence"]].astype(object).fillna("not stated")
    return named.value_counts().rename("photos").reset_index()


def _two_columns(left: str, right: str, values: dict) -> pd.DataFrame:
    return pd.DataFrame({left: values.keys(), right: values.values()}, dtype=object)


def _cell(value: object) -> Markup:
    """Formats a value for a cell of a table."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return escape(text.replace("|", "\\|").replace("\n", " "))
