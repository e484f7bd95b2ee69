import pytest

from pipeline.inference.query import Query, QueryError


def test_whole_numbers_may_be_written_as_floats():
    query = Query.of({"top_k": 2.0, "boxes": [0, 0, 1, 0.5]})
    assert type(query.top_k) is int, "a list is cut by it"
    assert (query.top_k, query.box(0)) == (2, [0, 0, 1, 0.5])
    assert Query.of({"top_k": 1e308}).top_k == int(1e308)


@pytest.mark.parametrize("number", [10**400, float("nan"), float("inf"), 7])
def test_a_box_of_any_other_number_is_refused_in_a_sentence(number):
    with pytest.raises(QueryError, match=r"^boxes is|^the box of row 0 is"):
        Query.of({"boxes": [0, 0, number, 1]}).require_rows(1)
