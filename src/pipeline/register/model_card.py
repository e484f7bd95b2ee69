"""What a person must know of a recogniser before trusting it, on a page.

The headings follow Mitchell et al. 2019, Model Cards for Model Reporting.
"""

import pandas as pd


def write(
    metrics: dict,
    species: pd.DataFrame,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    settings: dict[str, str],
    made: dict[str, str],
) -> str:
    """Writes the card as Markdown.

    Args:
        metrics: What evaluate found.
        species: Precision, recall, F1 and support of each, as `metrics.per_species` gives them.
        manifest: Of the photos it was made from.
        split: What split wrote.
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
    return "\n".join(
        [
            f"# animal: which of {len(species)} species a photo shows",
            "",
            "A photo goes in as a file; out come a species, its probability and the next probable "
            "ones. It looks at the whole photo and names one species.",
            "",
            "## Trained on",
            "",
            f"{counts.get('train', 0) + counts.get('validation', 0)} photos trained it or chose "
            f"between networks; {counts.get('test', 0)} others tested the one chosen.",
            "",
            _table(licences(manifest)),
            "",
            "## Tested",
            "",
            f"On {test['photos']} photos that nothing before had seen, none a near-duplicate of a "
            "photo that it was trained on:",
            "",
            _table(pd.DataFrame({"measure": test.keys(), "value": test.values()}, dtype=object)),
            "",
            _table(numbers),
            "",
            "## Limits",
            "",
            *[f"- {limit}" for limit in _limits(metrics, species)],
            "",
            "## Made",
            "",
            _table(pd.DataFrame({"what": made.keys(), "is": made.values()})),
            "",
            _table(pd.DataFrame({"trained with": settings.keys(), "value": settings.values()})),
            "",
        ]
    )


def _limits(metrics: dict, species: pd.DataFrame) -> list[str]:
    tested = species[species["support"] > 0]
    worst = tested.sort_values("recall", kind="stable").iloc[0]
    limits = [
        f"It knows {len(species)} species and nothing else: a photo of any other animal, or of "
        "none, is answered with one of them, at best as an unknown one.",
        f"It finds {worst['species']} worst: {worst['recall']:.0%} of {worst['support']} photos.",
        "The test photos come from the collection it was trained on. Other places, cameras and "
        "seasons can be harder; test it there before trusting it there.",
        "Its probabilities are off by "
        f"{metrics['test']['calibration_error']:.3f} on average (expected calibration error).",
    ]
    few = tested.loc[tested["support"] < 30, "species"].tolist()
    if few:
        limits.append(
            f"Fewer than 30 test photos stand behind the numbers of {', '.join(few[:10])}"
            f"{' and others' if len(few) > 10 else ''}."
        )
    if metrics["drawn"]:
        limits.append("Its pictures are drawn by code: this says nothing about real photos.")
    return limits


def licences(manifest: pd.DataFrame) -> pd.DataFrame:
    """How many photos come from where, under which licence."""
    named = manifest[["origin", "licence"]].astype(object).fillna("not said")
    return named.value_counts().rename("photos").reset_index()


def _table(frame: pd.DataFrame) -> str:
    cells = [frame.columns, *frame.itertuples(index=False)]
    lines = [" | ".join(map(_cell, row)) for row in cells]
    lines.insert(1, " | ".join(["---"] * len(frame.columns)))
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: object) -> str:
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return shown.replace("|", "\\|").replace("\n", " ")
