"""`animal predict` on frames in bursts, against the bare work: decode, crop and LiteRT.

The bursts of a collection are written again and again, each frame with a time in its EXIF, until
there are as many frames as asked for. The bare peer decodes a frame once, resizes it for what moves
and for each view that the champion sees of it, and runs LiteRT on these, in processes that share
the bursts out, one a core; what moves and where views lie comes from the project's own functions,
as there are no others. Both in turn, in the same run. Then the command is killed half way, typed
again, and its file compared with the undisturbed one's; and its memory with that for a quarter of
the frames.

    dvc repro                                    # on photos with bursts, so that it sees views
    python bench/bursts.py /path/to/the/same/photos
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from ai_edge_litert.interpreter import Interpreter
from PIL import ExifTags, Image
from predict import bare_seconds, killed, ours_seconds

from pipeline.inference import motion
from pipeline.inference.crops import WHOLE, SubjectCrop
from pipeline.register import versions as registry

MANIFEST = Path("data/ingested/manifest.parquet")
APART = 600  # s from burst to burst


def bursts(photos: Path) -> list[list[Path]]:
    """Returns the frames of each burst in which what moves can be found."""
    manifest = pd.read_parquet(MANIFEST)
    sizes = manifest.groupby("event")["path"].transform("size")
    chosen = manifest[sizes >= motion.LEAST].sort_values(["event", "path"])
    return [[photos / path for path in paths] for _, paths in chosen.groupby("event")["path"]]


def film(found: list[list[Path]], folder: Path, count: int) -> list[list[Path]]:
    """Writes so many frames, burst after burst, and returns them by burst."""
    folder.mkdir()
    written: list[list[Path]] = []
    frames = 0
    while frames < count:
        burst, start = [], len(written) * APART
        for second, path in enumerate(found[len(written) % len(found)]):
            exif = Image.Exif()
            taken = pd.Timestamp("2020-01-01") + pd.Timedelta(seconds=start + second)
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken.strftime(
                "%Y:%m:%d %H:%M:%S"
            )
            segment, jpeg = exif.tobytes(), path.read_bytes()
            marker = b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2, "big")
            burst.append(folder / f"{frames:06d}.jpg")
            burst[-1].write_bytes(marker + segment + jpeg[2:])
            frames += 1
        written.append(burst)
    return written


def bare(recogniser: Path, found: list[list[Path]]) -> None:
    """The least that fast Pillow and LiteRT can do."""
    interpreter = Interpreter(str(recogniser / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    entry, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    size, crop = int(entry["shape"][1]), SubjectCrop.load(recogniser)
    for burst in found:
        frames = [Image.open(path).convert("RGB") for path in burst]
        share = motion.SIDE / max(frames[0].size)
        small = [
            f.resize([round(share * side) for side in f.size], Image.Resampling.BOX) for f in frames
        ]
        moving = motion.find([np.asarray(frame.convert("L")) for frame in small])
        for frame, boxes in zip(frames, moving, strict=True):
            for view in crop.around(boxes[0][:4], frame.size) if boxes else WHOLE:
                box = square(frame.size) if view is None else corners(view, frame.size)
                picture = frame.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=2)
                interpreter.set_tensor(entry["index"], np.asarray(picture, np.float32)[None])
                interpreter.invoke()
                interpreter.get_tensor(answer["index"])


def square(sides: tuple[int, int]) -> tuple[float, ...]:
    """The middle of a frame: left, upper, right, lower (px)."""
    side = min(sides)
    left, top = ((length - side) / 2 for length in sides)
    return left, top, left + side, top + side


def corners(view: list[float], sides: tuple[int, int]) -> tuple[float, ...]:
    """The same of a part, given as x, y, width and height in shares of the sides."""
    (x, y, width, height), (across, down) = view, sides
    return tuple(map(round, (x * across, y * down, (x + width) * across, (y + height) * down)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the photos that the project was trained on")
    parser.add_argument("--frames", type=int, default=10_000)
    arguments = parser.parse_args()
    recogniser = registry.locate("Production").recogniser
    crop = SubjectCrop.load(recogniser)
    if crop is None or not crop.views or crop.detector:
        parser.error("the champion does not see views of what moves")
    with tempfile.TemporaryDirectory() as temporary:
        folder, found = Path(temporary), bursts(arguments.source.resolve())
        film(found, folder / "quarter", arguments.frames // 4)
        written = film(found, folder / "all", arguments.frames)
        output, again = folder / "all.csv", folder / "again.csv"
        _, small = ours_seconds(folder / "quarter", folder / "quarter.csv")
        theirs = bare_seconds(bare, recogniser, written)
        ours, large = ours_seconds(folder / "all", output)
        done = killed(folder / "all", again)
        ours_seconds(folder / "all", again)
        same = again.read_bytes() == output.read_bytes()
    count = sum(map(len, written))
    print(f"{count} frames in {len(written)} bursts, {os.cpu_count()} cores")
    print(f"bare {theirs:.1f} s, {count / theirs:.1f} frames/s")
    print(f"animal predict {ours:.1f} s, {count / ours:.1f} frames/s, {theirs / ours:.2f} of bare")
    print(f"memory: {small:.0f} MB for a quarter, {large:.0f} MB for all")
    print(f"killed after {done}, then gone on: {'the same file' if same else 'ANOTHER FILE'}")


if __name__ == "__main__":
    main()
