"""The model as MLflow loads it, asked through the code that its scoring server runs."""

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

RED, BLUE = (220, 30, 30), (30, 30, 220)


def png(colour) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 50), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def post(served_model):
    """Status and answer of a JSON body, as the scoring server finds them."""
    from mlflow.pyfunc import scoring_server

    def post(body: dict) -> tuple[int, list[dict] | str]:
        schema = served_model.metadata.get_input_schema()
        try:
            answer = scoring_server.invocations(
                json.dumps(body).encode(), "application/json", served_model, schema
            )
        except MlflowException as error:
            return error.get_http_status_code(), error.message
        return answer.status, json.loads(answer.response, parse_constant=pytest.fail)["predictions"]

    return post


def split(*images, **params) -> dict:
    images = [base64.b64encode(i).decode() if isinstance(i, bytes) else i for i in images]
    body = {"dataframe_split": {"columns": ["image"], "data": [[image] for image in images]}}
    return body | ({"params": params} if params else {})


def test_an_answer_holds_what_the_signature_promises(served_model, post):
    status, (answer,) = post(split(png(RED)))
    assert status == 200
    schema = served_model.metadata.get_output_schema()
    assert list(answer) == schema.required_input_names()
    assert set(schema.optional_input_names()) == {
        "looks_like",
        "rank",
        "taxon",
        "taxon_probability",
    }, "networks without ImageNet's"
    assert answer["species"] == "red"
    assert 0.5 < answer["probability"] < 1
    assert answer["top"][0] == {"species": "red", "probability": answer["probability"]}
    assert [one["species"] for one in answer["top"]] == ["red", "blue & co"]
    assert answer["unknown"] is False
    assert answer["prediction_set"] == ["red"]
    assert answer["version"] == "m-0"


def test_probabilities_are_calibrated(served_model, recogniser):
    from pipeline.inference.litert import Network

    grey = png((128, 128, 110))
    (row,) = served_model.predict(pd.DataFrame({"image": [grey]})).to_dict("records")
    picture = np.tile(np.uint8([128, 128, 110]), (32, 32, 1))
    raw = Network((recogniser / "model.tflite").read_bytes()).one(picture)
    assert row["probability"] == pytest.approx(raw.max() ** 2 / (raw**2).sum())  # temperature 0.5
    assert raw.max() < row["probability"] < 0.7
    assert row["unknown"]
    assert list(row["prediction_set"]) == ["red", "blue & co"]  # the more probable one first


@pytest.mark.parametrize("form", ["split", "records", "inputs", "instances"])
def test_every_form_of_json_gets_the_same_answer(post, form):
    image = base64.b64encode(png(BLUE)).decode()
    body = {
        "split": split(png(BLUE)),
        "records": {"dataframe_records": [{"image": image}]},
        "inputs": {"inputs": {"image": [image]}},
        "instances": {"instances": [{"image": image}]},
    }[form]
    status, (answer,) = post(body)
    assert (status, answer["species"]) == (200, "blue & co")


def test_bytes_and_base64_with_line_breaks_get_the_same_answer(served_model):
    images = [png(RED), bytearray(png(RED)), base64.encodebytes(png(RED)).decode()]
    answers = served_model.predict(pd.DataFrame({"image": images}))
    assert answers["species"].tolist() == ["red"] * 3
    assert answers["probability"].nunique() == 1


def test_each_row_of_a_batch_gets_its_own_answer(served_model, post):
    """Of 59 rows, every one of another colour, in an order that is no order."""
    shades = [s for s in np.random.default_rng(3).permutation(60) if s != 35]
    images = [png((100 + int(s), 60, 170 - int(s))) for s in shades]
    status, answers = post(split(*images))
    assert status == 200
    redder = np.array(
        [2 * 0.01 * 2 * (2 * s - 70) for s in shades]
    )  # logits apart, temperature 0.5
    red = 1 / (1 + np.exp(-redder))
    assert [answer["species"] for answer in answers] == [
        "red" if p > 0.5 else "blue & co" for p in red
    ]
    found = [answer["probability"] for answer in answers]
    assert found == pytest.approx(np.maximum(red, 1 - red), abs=1e-4)
    assert [answer["unknown"] for answer in answers] == [bool(p < 0.7) for p in found]
    for answer in answers:
        assert answer["top"][0]["probability"] == answer["probability"]
        assert sum(one["probability"] for one in answer["top"]) == pytest.approx(1)


def test_params_of_a_call(post):
    _, (answer,) = post(split(png(RED), top_k=1, threshold=1.0))
    assert len(answer["top"]) == 1
    assert answer["unknown"] is True
    _, (answer,) = post(split(png(RED), top_k=50))
    assert len(answer["top"]) == 2


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"top_k": 0}, "top_k is 0; it must be 1 or more"),
        ({"threshold": 1.5}, "threshold is 1.5; it must be 0 to 1"),
        ({"threshold": float("nan")}, "threshold is nan; it must be 0 to 1"),
        ({"on_error": "skip"}, "on_error is 'skip'; it must be `fail` or `row`"),
    ],
)
def test_a_param_out_of_range_is_a_400_that_says_so(post, params, sentence):
    assert post(split(png(RED), **params)) == (400, sentence)


@pytest.mark.parametrize("params", [{"top_k": "many"}, {"explain": "perhaps"}, {"threshold": []}])
def test_a_param_of_another_type_is_a_400(post, params):
    assert post(split(png(RED), **params))[0] == 400


def test_a_heat_map_is_a_png_of_the_size_that_the_network_sees(post):
    _, (answer,) = post(split(png(RED), explain=True))
    image = Image.open(io.BytesIO(base64.b64decode(answer["explanation"])))
    assert (image.format, image.size) == ("PNG", (32, 32))
    status, sentence = post(split(*[png(RED)] * 17, explain=True))
    assert (status, sentence) == (400, "there are 17 rows; at most 16 can be explained")


BAD = [b"hello", b"", b"\xff\xd8\xff\xe0 no more", "no base64!", "abcde", None, 3, {"a": 1}, [1, 2]]


@pytest.mark.parametrize("bad", BAD)
def test_a_row_that_is_no_photo_is_a_400_that_names_the_row(post, bad):
    status, sentence = post(split(png(RED), bad, png(BLUE)))
    assert status == 400
    assert sentence.startswith("row 1 of `image` is not a photo that can be read: ")
    assert "\n" not in sentence


@pytest.mark.parametrize("bad", BAD)
def test_a_row_that_is_no_photo_does_not_spoil_its_neighbours_if_that_is_asked(post, bad):
    status, answers = post(split(png(RED), bad, png(BLUE), on_error="row", explain=True))
    assert status == 200
    assert [answer["species"] for answer in answers] == ["red", None, "blue & co"]
    assert [answer["error"] is None for answer in answers] == [True, False, True]
    assert answers[1].pop("error").startswith("row 1 of `image` is not a photo")
    assert answers[1].pop("version") == "m-0"
    assert set(answers[1].values()) == {None}


def test_a_call_without_good_rows_and_one_without_rows_are_answered(post):
    assert post(split(b"", on_error="row"))[1][0]["version"] == "m-0"
    assert post(split()) == (200, [])


def test_a_server_refuses_more_rows_than_it_answers_in_seconds(served_model, monkeypatch):
    rows = pd.DataFrame({"image": [b""] * 1001})
    assert len(served_model.predict(rows, params={"on_error": "row"})) == 1001
    monkeypatch.setattr(served_model.unwrap_python_model(), "serving", True)
    with pytest.raises(MlflowException, match="1,001 rows; at most 1,000 can be sent at once"):
        served_model.predict(rows)


def test_a_server_gets_a_list_and_others_a_frame(served_model, monkeypatch):
    rows = pd.DataFrame({"image": [png(RED), png(BLUE)]})
    frame = served_model.predict(rows)
    assert isinstance(frame, pd.DataFrame)
    monkeypatch.setattr(served_model.unwrap_python_model(), "serving", True)
    assert served_model.predict(rows) == frame.to_dict("records")


def test_a_photo_with_too_many_bytes_is_refused(served_model):
    with pytest.raises(MlflowException, match=r"row 0 .* it has 67,108,865 bytes, over 67,108,864"):
        served_model.predict(pd.DataFrame({"image": [bytes(2**26 + 1)]}))


def test_the_number_in_the_registry_is_the_version_where_there_is_one(
    served_model, recogniser, tmp_path
):
    from pipeline.inference import mlflow_model

    (tmp_path / "MLmodel").write_text("model_id: m-1\n")
    assert mlflow_model._version(tmp_path) == "m-1"
    (tmp_path / "registered_model_meta").write_text("model_name: animal\nmodel_version: '7'\n")
    assert mlflow_model._version(tmp_path) == "7"
