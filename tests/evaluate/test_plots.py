import matplotlib.figure
import pandas as pd
import pytest

from pipeline.evaluate import plots

LABELS = ("zebra", "ant", "owl")
COUNTS = {"zebra": (6, 3, 0), "ant": (0, 2, 0), "owl": (1, 0, 4)}  # taken for zebra, ant, owl


@pytest.fixture
def axes(tmp_path, monkeypatch):
    """What is drawn, kept when it is written."""
    drawn = []
    save = matplotlib.figure.Figure.savefig

    def savefig(figure, path, **options):
        drawn.append(figure.axes[0])
        save(figure, path, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
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
