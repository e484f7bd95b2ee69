"""The champion where there is neither this project nor its server."""

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow
ANIMAL = [sys.executable, "-c", "from pipeline.cli import main; main()"]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_an_image_holds_a_model_that_answers_with_its_own_code(project, tmp_path):
    project.run(*ANIMAL, "export", str(tmp_path / "out"), "--float", "--image")
    image = tmp_path / "out" / "image"
    dockerfile = (image / "Dockerfile").read_text()
    (copied,) = re.findall(r"COPY (\S+) /opt/ml/model", dockerfile)
    assert "_serve('local')" in dockerfile
    needs = (image / copied / "requirements.txt").read_text()
    assert "ai-edge-litert==" in needs
    assert "tensorflow" not in needs
    predictions = pd.read_csv(project.folder / "reports/predictions.csv")
    answered = project.python(
        f"""
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model({str(image / copied)!r})
rows = pd.read_csv("reports/predictions.csv")[:8]
images = [open("data/ingested/files/" + path, "rb").read() for path in rows["path"]]
said = model.predict(pd.DataFrame({{"image": images}}))
from pipeline.inference import recogniser
print(json.dumps([said["species"].tolist(), recogniser.__file__, "tensorflow" in sys.modules]))
"""
    )
    species, code, tensorflow = json.loads(answered)
    assert species == predictions["predicted"][:8].tolist()
    assert Path(code).is_relative_to(image)
    assert not tensorflow


def test_the_example_for_spark_says_what_predict_says(project, tmp_path):
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark wants Java")
    photos = project.folder / "data/ingested/files/owl"
    page = (DOCS / "predict.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = code.replace('load("photos")', f"load({str(photos)!r})")
    code = code.replace('parquet("answers")', f"parquet({str(tmp_path / 'answers')!r})")
    project.run(sys.executable, "-c", code)
    project.run(*ANIMAL, "predict", str(photos), "--output", str(tmp_path / "all.parquet"))
    spark = pd.read_parquet(tmp_path / "answers")
    spark = spark.assign(path=spark["path"].str.removeprefix("file:")).sort_values("path")
    ours = pd.read_parquet(tmp_path / "all.parquet").sort_values("path")
    assert spark["path"].tolist() == ours["path"].tolist()
    assert spark["species"].tolist() == ours["species"].tolist()
    assert spark["probability"].to_numpy() == pytest.approx(
        ours["probability"].to_numpy(), abs=1e-6
    )
