"""Brings LiteRT.js, which runs a recogniser in a browser, from npm into the cache.

Its WebAssembly has 19 MB, too much for a repository. npm fetches the packages; each must have the
sha512 that it had when it was tried, or nothing of it is used.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.atomic import atomic_write
from pipeline.core.errors import UserError

VERSION = "2.5.3"
FOLDER = Path(".cache/web-runtime") / VERSION


@dataclass(frozen=True)
class Package:
    """A package of npm, of which some files are taken.

    Attributes:
        name: In npm.
        sha512: Of its archive.
        files: Where each goes, by its path in the archive.
    """

    name: str
    sha512: str
    files: dict[str, str]


_BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal")  # the second: no relaxed SIMD
PACKAGES = (
    Package(
        "@litertjs/core",
        "3e51a66cc3aaf568ad5fb14ed2385b749c3d1ad85ab6ccae0905e34edff0259a"
        "3414b6b0e3cab8b73f08c2a82a08892f8981abf4e1432f59029cde27cd6a3225",
        {"dist/index.js": "index.js"}
        | {
            f"wasm/{name}.{kind}": f"wasm/{name}.{kind}"
            for name in _BUILDS
            for kind in ("js", "wasm")
        },
    ),
    Package(
        "@litertjs/wasm-utils",
        "e1f262c3ab4142722cfb48c7fce435ea760e89297cffecd99e7e61dae97c6932"
        "878b4e6c56a656e7cd139a4efca42da44f7f40f4e60155d15ac2d799fec23591",
        {"dist/index.js": "wasm-utils.js"},
    ),
)
_IMPORT = (b'"@litertjs/wasm-utils"', b'"./wasm-utils.js"')  # a browser resolves no bare name


def require(folder: Path = FOLDER) -> Path:
    """Returns the folder with the runtime, and fetches it if it is not there yet.

    Args:
        folder: Holds the runtime. Defaults to one in the cache.

    Raises:
        UserError: npm is missing or fails, or gave another file than the one that was tried.
    """
    if not (folder / "index.js").exists():
        with atomic_write(folder) as partial:
            partial.mkdir()
            for package in PACKAGES:
                _fetch(package, partial)
    return folder


def _fetch(package: Package, into: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("npm is needed once, to fetch LiteRT.js: install Node.js")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", f"{package.name}@{VERSION}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise UserError(f"npm could not fetch {package.name}: {done.stderr.strip()[-500:]}")
        extract(package, archives[0], into)


def extract(package: Package, archive: Path, into: Path) -> None:
    """Takes a package's files out of its archive.

    Args:
        package: Which.
        archive: As npm gave it.
        into: Where its files go.

    Raises:
        UserError: It has another sha512.
    """
    if hashlib.sha512(archive.read_bytes()).hexdigest() != package.sha512:
        raise UserError(f"{package.name} {VERSION} has another sha512 than the one that was tried")
    with tarfile.open(archive) as opened:
        for inner, name in package.files.items():
            content = opened.extractfile(f"package/{inner}").read().replace(*_IMPORT)
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes(content)
