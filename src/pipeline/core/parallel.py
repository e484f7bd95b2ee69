"""One way to spread work: over the cores of this machine, or over a Dask cluster."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import joblib

from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
R = TypeVar("R")
_SECONDS_TO_ANSWER = 10


def chunks(items: Sequence[T], length: int) -> list[Sequence[T]]:
    """Cuts `items` into sequences of `length`; the last may be shorter."""
    return [items[i : i + length] for i in range(0, len(items), length)]


def map_ordered(function: Callable[[T], R], items: Iterable[T], jobs: int = 1) -> Iterator[R]:
    """Yields `function(item)` for each item, in the order of the items.

    Args:
        function: A module-level function, or a `functools.partial` of one.
        items: The arguments, drawn as the work goes. Make each worth some milliseconds.
        jobs: Processes to use; -1 uses every core. Defaults to 1, which starts none. A cluster
            (`use_backend`) uses all its workers, whatever this is.

    Yields:
        The results.
    """
    # One item a task, results in order and as they come.
    pool: Any = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator")  # pyright: ignore[reportArgumentType] (joblib's default is a text, and it takes numbers)
    yield from pool(joblib.delayed(function)(item) for item in items)


@contextmanager
def use_backend(backend: Literal["local", "dask"], address: str | None) -> Iterator[None]:
    """Sets where `map_ordered` runs its functions while the block lasts.

    A task of a worker that is lost is done again by another, so tasks must do the same when done
    twice. They see the files of this machine only if the workers share them, at the same paths.

    Args:
        backend: `local` (this machine) or `dask` (all workers of a cluster).
        address: The address of the cluster's scheduler; None for this machine.

    Raises:
        UserError: Dask is not installed, there is no such cluster, or its workers do not see this
            project.
    """
    if backend == "local":
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "parallel.backend is dask, which is not installed; run `pip install -e '.[cluster]'`"
        ) from None
    try:
        client = Client(address, timeout=_SECONDS_TO_ANSWER)
    except (OSError, ValueError):
        raise UserError(
            f"no Dask scheduler answers at {address} (parallel.address); start one with "
            "`dask scheduler`, or set parallel.backend to local"
        ) from None
    with client:
        _require_workers(client, address)
        with joblib.parallel_config(backend="dask"):
            yield


def _require_workers(client: "Client", address: str | None) -> None:
    here = str(Path.cwd())
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
        workers: Any = client.run(_seen, here)
    except TimeoutError:
        raise UserError(
            f"the Dask cluster at {address} has no workers; start some with `dask worker {address}`"
        ) from None
    except Exception:  # whatever a worker raised that has not this module, or not this function
        workers = {"some": (True, "")}
    if blind := [worker for worker, (shared, _) in workers.items() if not shared]:
        raise UserError(
            f"Dask workers do not see {here}: {', '.join(blind)}; they must share this folder, "
            "and that of the photos, at the same paths"
        )
    if other := [worker for worker, (_, code) in workers.items() if code != _seen(here)[1]]:
        raise UserError(
            f"Dask workers do not run this project's code: {', '.join(other)}; start them in an "
            "environment where it is installed as it is here"
        )


def _seen(folder: str) -> tuple[bool, str]:
    """Returns whether a process sees a folder, and a digest of the code that it runs."""
    code = [path.read_bytes() for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    return Path(folder).is_dir(), hashlib.sha256(b"".join(code)).hexdigest()
