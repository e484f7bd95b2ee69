"""A recogniser with a version, a count of its answers and a log."""

import time
from typing import Any

import numpy as np
import prometheus_client

from pipeline.inference.query import Query, QueryError, answer_rows
from pipeline.inference.recogniser import Recogniser
from pipeline.serve.request_log import MEASURES, RequestLog


class InstrumentedModel:
    """Answers batches, counts the answers and logs them. Safe to call from several threads.

    Args:
        recogniser: Answers; each photo is decoded once.
        version: Named in each answer.
        registry: Where the counts go.
        log: What is written of each photo.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        version: str,
        registry: prometheus_client.CollectorRegistry,
        log: RequestLog,
    ):
        self.version, self._recogniser, self._log = version, recogniser, log
        self._answers = prometheus_client.Counter(
            "animal_answers", "Photos answered", ["species", "kind"], registry=registry
        )

    def predict(self, images: list[Any], params: dict[str, Any]) -> list[dict[str, Any]]:
        """Answers photos.

        Args:
            images: Bytes of photo files, or the same in base64.
            params: Of the request, as in `query.Query`.

        Raises:
            QueryError: The request cannot be answered; a line of the log says so.
        """
        started = time.perf_counter()
        try:
            query = Query.of(params)
            query.require_rows(len(images))
            rows = answer_rows(self._recogniser, images, query, self.version, self._log.active)
        except QueryError:
            if self._log.active:
                self._log.write([{}], [None], started, 400)
            raise
        for row in rows:
            if row.get("species") is not None:
                self._answers.labels(row["species"], row["kind"]).inc()
        if self._log.active:
            self._log.write(rows, images, started)
            rows = [{k: v for k, v in row.items() if k not in MEASURES} for row in rows]
        return rows

    def require_ready(self) -> None:
        """Runs the network on a grey picture, and raises whatever goes wrong."""
        size = self._recogniser.network.size
        self._recogniser.network.one(np.full((size, size, 3), 128, np.uint8))
