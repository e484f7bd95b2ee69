"""Draws the report as one HTML page that needs no other file, no network and no script."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

# Sections of `metrics.json` that the template has a place for; any other is shown as it is.
_KNOWN = ("test", "intervals", "species", "confusion", "confused_pairs", "slices", "mistakes")
_KNOWN += ("label_errors", "drawn")
_MADE = ("chosen", "run_id", "validation", "precision", "keras_and_litert")
_PLOTS = ("confusion", "mistakes", "per_species")
_LINKS = {
    "Data card": ("ingest/index.html",),
    "Model card": ("model_card.md",),
    "Split": ("split/counts.csv", "split/balance.csv", "split/leaks.csv", "split/left_out.csv"),
    "Tuning": tuple(f"tune/{name}.png" for name in ("history", "cost", "importance", "parallel")),
    "Numbers": ("metrics.json", "registration.json", "predictions.csv", "label_errors.csv"),
}


def draw(reports: Path, changed: Mapping[str, bytes] | None = None) -> str:
    """Draws the page from what the stages wrote.

    Args:
        reports: The folder with `metrics.json` and `plots/`; `registration.json` may be absent.
        changed: JPEGs of photos that the comparison with the champion names. Defaults to none.

    Returns:
        The page. Every name is escaped.
    """
    metrics = json.loads((reports / "metrics.json").read_text())
    decision = reports / "registration.json"
    folder = reports / "plots"
    plots = {path.stem: _coded(path.read_bytes(), "png") for path in sorted(folder.glob("*.png"))}
    more = {k: v for k, v in metrics.items() if k not in (*_KNOWN, *_MADE)}
    left = [name for name in plots if not name.startswith((*_PLOTS, *more))]
    return (
        _environment()
        .get_template("report_page.html.j2")
        .render(
            registration=json.loads(decision.read_text()) if decision.exists() else None,
            links=_links(reports),
            plots=plots,
            own_plots=_PLOTS,
            more_plots=left,
            more={name: _tables(value) for name, value in more.items()},
            made=_tables({name: metrics[name] for name in _MADE if name in metrics}),
            pictures={
                int(path.stem): _coded(path.read_bytes(), "jpeg")
                for path in folder.glob("photos/*.jpg")
            },
            changed={photo: _coded(data, "jpeg") for photo, data in (changed or {}).items()},
            **{name: metrics.get(name, {}) for name in _KNOWN},
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "signed": lambda value: f"{value:+.4f}",
        "words": _words,
    }
    return environment


def _tables(value: Any, title: str = "") -> list[tuple[str, list[dict[str, Any]]]]:
    """Returns what a section holds as tables with their titles, however deep it lies."""
    if not isinstance(value, dict):
        rows = value if isinstance(value, list) else [value]
        return [(title, [row if isinstance(row, dict) else {"value": row} for row in rows])]
    inner = {name: part for name, part in value.items() if isinstance(part, dict | list) and part}
    flat = [{"": _words(k), "value": v} for k, v in value.items() if k not in inner and v != {}]
    alike = {tuple(part) for part in inner.values() if _is_row(part)}
    if inner and not flat and len(alike) == 1 and all(map(_is_row, inner.values())):
        return [(title, [{"": _words(name), **part} for name, part in inner.items()])]
    below = [table for name, part in inner.items() for table in _tables(part, name)]
    return ([(title, flat)] if flat else []) + below


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(v, dict | list) for v in value.values())


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: Any) -> str:
    """Formats a value for a person: three decimals, or two digits where that leaves nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"
    return str(value)


def _links(reports: Path) -> dict[str, dict[str, str]]:
    """Returns the other reports that are there, by heading: their name by their file."""
    there = {
        title: {
            file: Path(file).stem.replace("_", " ") for file in files if (reports / file).exists()
        }
        for title, files in _LINKS.items()
    }
    return {title: files for title, files in there.items() if files}


def _coded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
