"""`animal backbones`: lists the networks that `model.backbone` may name."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.networks.backbones.backbone import Backbone

_MEASURED = Path(".cache/backbones.json")
_PICTURES = 32
_WEIGHTS = {True: "installed", False: "downloaded at first use", None: "none: trained from scratch"}


def add(commands: argparse._SubParsersAction) -> None:
    listed = commands.add_parser(
        "backbones", help="networks for model.backbone: size, input, speed, weights"
    )
    listed.add_argument("name", nargs="*", help="only these; all if none is named")
    listed.add_argument(
        "--measure",
        action="store_true",
        help="build each and time it on this machine: some 10 s a network, remembered in .cache/",
    )
    listed.set_defaults(run=_backbones)


def _backbones(arguments: argparse.Namespace) -> None:
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
    print(f"{'backbone':<20} {'input':>6} {'parameters':>11} {'pictures/s':>11}  weights")
    for backbone in chosen:
        speed = measured.get(backbone.name)
        millions = f"{speed['parameters'] / 1e6:.1f} M" if speed else "?"
        rate = f"{speed['rate']:.0f}" if speed else "?"
        weights = _WEIGHTS[backbone.weights_at_hand()]
        print(f"{backbone.name:<20} {backbone.size:>3} px {millions:>11} {rate:>11}  {weights}")
    if any(backbone.name not in measured for backbone in chosen):
        print("\n? was not measured yet: run `animal backbones NAME ... --measure`")


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
