"""Features of the photos of a collection, a folder a species, computed once and kept in a cache."""

import argparse
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.parallel import map_ordered
from pipeline.dataset import near_duplicates
from pipeline.inference import decoding
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export

SIZE, FIT, BITS = 260, "crop", 6  # as in params.yaml
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Collection:
    """The photos of a folder that can be read.

    Attributes:
        folder: The folder.
        files: Paths below it, in order.
        cache: Folder for features and exported networks.
    """

    folder: Path
    files: list[Path]
    cache: Path

    @classmethod
    def of(cls, folder: Path, cache: Path) -> "Collection":
        """Finds the photos of a folder."""
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
        return cls(folder, [path.relative_to(folder) for path in found], cache)

    @cached_property
    def species(self) -> np.ndarray:
        """The name of the uppermost folder of each photo, (n,)."""
        return np.array([path.parts[0] for path in self.files])

    @cached_property
    def pictures(self) -> np.ndarray:
        """What a network sees of each photo, uint8 (n, size, size, 3)."""
        files = [self.folder / path for path in self.files]
        return np.stack(list(map_ordered(_picture, files, -1)))

    @cached_property
    def groups(self) -> np.ndarray:
        """A number for each photo, which near-duplicates share, int (n,)."""
        hashes = [near_duplicates.phash(Image.fromarray(picture)) for picture in self.pictures]
        return near_duplicates.groups(np.array(hashes, dtype=np.uint64), BITS)

    def features(self, backbone: str) -> np.ndarray:
        """Returns the features of each photo, float32 (n, channels)."""
        if "+" in backbone:
            return np.concatenate([self.features(name) for name in backbone.split("+")], axis=1)
        key = hashlib.sha256(repr((backbone, SIZE, FIT, self.files)).encode()).hexdigest()[:16]
        file = self.cache / f"{self.folder.name}-{backbone}-{key}.npy"
        if not file.exists():
            network = backbones.get(backbone).build(SIZE).whole
            run = Network(litert_export.cached(network, self.cache))
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, run(self.pictures))
        return np.load(file)


def _picture(file: Path) -> np.ndarray:
    return decoding.square(file.read_bytes(), SIZE, FIT, 10**9)


def parser(doc: str) -> argparse.ArgumentParser:
    """Returns what reads the command line of a script about collections."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of the collections")
    parser.add_argument("--cache", type=Path, required=True, help="folder for features")
    return parser
