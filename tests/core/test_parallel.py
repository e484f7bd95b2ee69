import builtins
import signal
from pathlib import Path

import pytest
from listed import list_files

from pipeline.augment import copies, transforms
from pipeline.core import parallel
from pipeline.core.errors import UserError
from pipeline.dataset import shards
from pipeline.ingest import inspection_cache
from pipeline.ingest import manifest as manifests
from pipeline.resize import shard_writer


def square(number):
    return number * number


def fail(number):
    raise UserError(f"not {number}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(jobs):
    assert list(parallel.map_ordered(square, iter(range(40)), jobs)) == [n * n for n in range(40)]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_mistakes_come_through(jobs):
    with pytest.raises(UserError, match="not 3"):
        list(parallel.map_ordered(fail, [3], jobs))


def test_cluster_that_is_not_there(monkeypatch):
    monkeypatch.setattr(parallel, "_SECONDS_TO_ANSWER", 0.5)
    with (
        pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 .*"),
        parallel.use_backend("dask", "tcp://127.0.0.1:9"),
    ):
        pass


def test_address_that_is_none():
    with (
        pytest.raises(UserError, match="answers at nonsense://"),
        parallel.use_backend("dask", "nonsense://"),
    ):
        pass


def test_dask_that_is_not_installed(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(UserError, match=r"pip install -e '\.\[cluster\]'"),
        parallel.use_backend("dask", "tcp://127.0.0.1:9"),
    ):
        pass


def made(collection, folder):
    """All bytes that ingest, resize and augment make of a collection."""
    found = list_files(collection)
    inspected = manifests.inspect(collection, found, 10**7, 2, folder / "looks")
    manifest, _ = manifests.screen(inspected, 32, 6)
    manifest.to_parquet(folder / "manifest.parquet")
    resized, augmented = folder / "resized", folder / "augmented"
    squares = shard_writer.Squares(collection, 64, "crop", 10**7)
    shard_writer.write(resized, squares, manifest, 2, folder / "squares")
    rows = copies.expand(shards.Shards(resized).index, 1, 1)
    ranges = transforms.Ranges(**dict.fromkeys(transforms.Ranges.__dataclass_fields__, 0.1))
    copies.write(augmented, resized, rows, ranges, 0, 2)
    files = [folder / "manifest.parquet", *resized.iterdir(), *augmented.iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_cluster_gives_the_bytes_of_one_machine_even_if_a_worker_is_killed(
    cluster, collection, tmp_path, monkeypatch
):
    for module, name in ((inspection_cache, "_FILES_A_JOB"), (shards, "_PICTURES_A_JOB")):
        monkeypatch.setattr(module, name, 1)
    cluster.work(2)
    folders = {name: tmp_path / name for name in ("local", "dask", "killed")}
    for folder in folders.values():
        folder.mkdir()
    local = made(collection, folders["local"])
    assert len(local) == 5
    with parallel.use_backend("dask", cluster.address):
        assert made(collection, folders["dask"]) == local

        def kill(items, *arguments, **named):
            for i, item in enumerate(real(items, *arguments, **named)):
                if i == 12:
                    cluster.workers[0].send_signal(signal.SIGKILL)
                yield item

        real = shard_writer.track
        monkeypatch.setattr(shard_writer, "track", kill)
        assert made(collection, folders["killed"]) == local
    assert cluster.workers[0].wait() == -signal.SIGKILL
    with parallel.use_backend("dask", cluster.address), pytest.raises(UserError, match="not 3"):
        list(parallel.map_ordered(fail, [3], 1))


@pytest.mark.slow
def test_workers_that_cannot_help(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(parallel, "_SECONDS_TO_ANSWER", 1)
    with (
        pytest.raises(UserError, match="has no workers"),
        parallel.use_backend("dask", cluster.address),
    ):
        pass
    monkeypatch.setattr(parallel, "_SECONDS_TO_ANSWER", 20)
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    cluster.work(1, path=str(tmp_path))
    unknown = pytest.raises(UserError, match="do not run this project's code")
    with unknown, parallel.use_backend("dask", cluster.address):
        pass


def test_workers_that_see_other_things():
    class Client:
        def wait_for_workers(self, count, timeout):
            pass

        def run(self, function, folder):
            return self.answers

    here, code = str(Path.cwd()), parallel._seen(".")[1]
    client = Client()
    client.answers = {"tcp://a": (True, code), "tcp://b": (True, code)}
    parallel._require_workers(client, "tcp://s")
    client.answers["tcp://b"] = (False, code)
    with pytest.raises(UserError, match=f"do not see {here}: tcp://b; they must share"):
        parallel._require_workers(client, "tcp://s")
    client.answers["tcp://b"] = (True, "older")
    with pytest.raises(UserError, match="do not run this project's code: tcp://b"):
        parallel._require_workers(client, "tcp://s")
