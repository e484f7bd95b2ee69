import matplotlib.figure
import pandas as pd
import pytest

from pipeline.evaluate import plots

LABELS = ("zebra", "ant", "owl")
COUNTS = {"zebra": (6, 3, 0), "ant": (0, 2, 0), "owl": (1, 0, 4)}  # taken for zebra, ant, owl


@pytest.fixture
def drawn(monkeypatch):
    """The axes of each plot, when it is written."""
    drawn = []
    save = matplotlib.figure.Figure.savefig

    def savefig(figure, path, **options):
        drawn.append(figure.axes[0])
        save(figure, path, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return drawn


@pytest.fixture
def axes(tmp_path, drawn):
    rows = [
        (actual, predicted)
        for actual, counts in COUNTS.items()
        for predicted, count in zip(LABELS, counts, strict=True)
        for _ in range(count)
    ]
    table = pd.DataFrame(rows, columns=["actual", "predicted"]).sample(frac=1, random_state=0)
    plots.confusion(table, LABELS, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes()[1:4] == b"PNG"
    return drawn[0]


def test_rows_are_what_photos_show_and_columns_what_they_were_taken_for(axes):
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("actual", "predicted")
    rows, columns = (
        {tick.get_text(): place for place, tick in zip(places, ticks, strict=True)}
        for places, ticks in (
            (axes.get_yticks(), axes.get_yticklabels()),
            (axes.get_xticks(), axes.get_xticklabels()),
        )
    )
    written = {text.get_position(): text.get_text() for text in axes.texts}
    for actual, counts in COUNTS.items():
        for predicted, count in zip(LABELS, counts, strict=True):
            at = columns[predicted], rows[actual]
            rate = f"{100 * count / sum(counts):.0f}%"
            assert written.get(at) == (f"{count}\n{rate}" if count else None), (actual, predicted)


def test_shades_are_shares_of_what_photos_show(axes):
    shades = axes.images[0].get_array()
    for row, (actual, counts) in enumerate(COUNTS.items()):
        expected = [count / sum(counts) for count in counts]
        assert shades[row].tolist() == pytest.approx(expected), actual


def test_of_many_species_the_most_confused_are_drawn(tmp_path, drawn):
    """Each second species is taken for the next one, more often the later it comes."""
    labels = tuple(f"species {i:03d}" for i in range(140))
    right = [(label, label) for label in labels]
    wrong = [(labels[i], labels[i + 1]) for i in range(0, 140, 2) for _ in range(1 + i // 2)]
    table = pd.DataFrame([*right, *wrong], columns=["actual", "predicted"])
    plots.confusion(table, labels, tmp_path / "confusion.png")
    (axes,) = drawn
    expected = list(labels[80:])
    for ticks in (axes.get_yticklabels(), axes.get_xticklabels()):
        assert [tick.get_text() for tick in ticks] == expected
    assert axes.get_title() == "the 60 of 140 species that are confused most"
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert (written[0, 0], written[1, 0]) == ("1", "41")
    assert axes.images[0].get_array()[0, 1] == pytest.approx(41 / 42)


@pytest.mark.parametrize(("count", "shown"), [(4, 4), (60, 60), (140, 60)])
def test_of_many_species_those_that_are_found_worst_are_drawn(tmp_path, drawn, count, shown):
    names = [f"species {i:03d}" for i in range(count)]
    recalls = [i / count for i in range(count)]
    table = pd.DataFrame({"species": names, "support": 5, "recall": recalls})
    table["precision"] = 0.5
    for name in ("recall", "precision"):
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.1, table[name] + 0.1
    table.loc[len(table)] = ["untested", 0, *[float("nan")] * (table.shape[1] - 2)]
    plots.per_species(table.sample(frac=1, random_state=0), tmp_path / "per_species.png")
    (axes,) = drawn
    assert [tick.get_text() for tick in axes.get_yticklabels()] == names[shown - 1 :: -1]
    some = f"the {shown} of {count} species that are found worst"
    assert axes.get_title() == (some if shown < count else "")


def test_dots_are_bins_and_the_larger_ones_have_more_photos(tmp_path, drawn):
    bins = [
        {"photos": 30, "probability": 0.95, "accuracy": 0.9},
        {"photos": 5, "probability": 0.4, "accuracy": 0.6},
    ]
    plots.reliability(bins, tmp_path / "reliability.png")
    (dots,) = drawn[0].collections
    assert dots.get_offsets().tolist() == [[0.95, 0.9], [0.4, 0.6]]
    assert dots.get_sizes()[0] > dots.get_sizes()[1]


def test_the_line_is_accuracy_over_the_share_that_is_answered(tmp_path, drawn):
    points = [{"answered": 0.5, "accuracy": 1.0}, {"answered": 1.0, "accuracy": 0.7}]
    plots.risk_coverage(points, tmp_path / "risk_coverage.png")
    (line,) = drawn[0].lines
    assert line.get_xydata().tolist() == [[0.5, 1.0], [1.0, 0.7]]


def test_bars_are_corruptions_and_strengths_beside_the_clean_accuracy(tmp_path, drawn):
    measured = {
        "clean_accuracy": 0.95,
        "corruptions": [
            {"corruption": "fog", "accuracy": 0.9},
            {"corruption": "blur", "accuracy": 0.7},
        ],
        "strengths": [{"strength": 1, "accuracy": 0.92}, {"strength": 5, "accuracy": 0.5}],
    }
    plots.robustness(measured, tmp_path / "robustness.png")
    names = [tick.get_text() for tick in drawn[0].get_yticklabels()]
    bars = dict(zip(names, (bar.get_width() for bar in drawn[0].patches), strict=True))
    assert bars == {"fog": 0.9, "blur": 0.7, "strength 1": 0.92, "strength 5": 0.5}
    assert drawn[0].lines[0].get_xdata()[0] == 0.95
