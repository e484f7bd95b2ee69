"""`animal backbones`: lists the networks that `model.backbone` may name."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.parser import Commands

if TYPE_CHECKING:
    from pipeline.networks.backbones.backbone import Backbone

_MEASURED = Path(".cache/backbones.json")
_PICTURES = 32
_WEIGHTS = {True: "installed", False: "downloaded at first use", None: "none: trained from scratch"}


def add(commands: Commands) -> None:
    listed = commands.add_parser(
        "backbones",
        help="list networks for model.backbone: size, input, speed, weights",
        example="backbones efficientnet_lite0 mobilenet_v2 --measure",
    )
    listed.add_argument("name", nargs="*", help="only these; all if none is named")
    listed.add_argument(
        "--measure",
        action="store_true",
        help="build each and time it on this machine: some 10 s a network, remembered in .cache/",
    )
    listed.add_argument("--json", action="store_true", help="print it for a script")


def run(arguments: argparse.Namespace) -> None:
    from pipeline.core import atomic
    from pipeline.core.progress import track
    from pipeline.networks import backbones

    measured = json.loads(_MEASURED.read_text()) if _MEASURED.exists() else {}
    chosen = [backbones.get(name) for name in arguments.name or backbones.names()]
    if arguments.measure:
        for backbone in track(chosen, len(chosen), "measure", "networks"):
            measured[backbone.name] = _measure(backbone)
            with atomic.atomic_write(_MEASURED) as partial:
                partial.write_text(json.dumps(measured, indent=2) + "\n")
    if arguments.json:
        print(json.dumps([_row(backbone, measured) for backbone in chosen], indent=2))
        return
    print(f"{'backbone':<20} {'input':>6} {'parameters':>11} {'pictures/s':>11}  weights")
    for backbone in chosen:
        row = _row(backbone, measured)
        millions = f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "?"
        rate = f"{row['rate']:.0f}" if row["rate"] else "?"
        size, weights = f"{row['size']:>3} px", row["weights"]
        print(f"{row['backbone']:<20} {size} {millions:>11} {rate:>11}  {weights}")
    if any(backbone.name not in measured for backbone in chosen):
        print("\n? was not measured yet: run `animal backbones NAME ... --measure`")


def _row(backbone: "Backbone", measured: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Returns what is known of a backbone; `rate` is in pictures a second."""
    speed = measured.get(backbone.name, {})
    return {
        "backbone": backbone.name,
        "size": backbone.size,
        "parameters": speed.get("parameters"),
        "rate": speed.get("rate"),
        "weights": _WEIGHTS[backbone.weights_at_hand()],
    }


def _measure(backbone: "Backbone") -> dict[str, float]:
    """Returns its number of parameters, and pictures per second in LiteRT on all cores."""
    import numpy as np

    from pipeline.inference.litert import Network
    from pipeline.networks import keras_setup, litert_export

    keras_setup.keras().backend.clear_session()
    network = backbone.network(backbone.size)
    run = Network(litert_export.to_litert(network))
    shape = (_PICTURES, backbone.size, backbone.size, 3)
    pictures = list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    run(pictures[:4])  # the first ones pay for memory
    times = []
    for _ in range(3):
        started = time.perf_counter()
        run(pictures)
        times.append(time.perf_counter() - started)
    return {"parameters": network.count_params(), "rate": _PICTURES / sorted(times)[1]}
