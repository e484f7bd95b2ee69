"""Exports a recogniser: `animal export`."""

import argparse
from pathlib import Path

from pipeline.cli.parser import Commands


def add(commands: Commands) -> None:
    export = commands.add_parser(
        "export",
        help="write a recogniser for phones, ONNX or Docker",
        example="export phone --float --onnx",
    )
    export.add_argument(
        "folder", type=Path, help="where to; only what this command wrote itself is replaced"
    )
    export.add_model()
    export.add_argument(
        "--float",
        action="store_true",
        help="no int8, which is calibrated on training pictures of data/resized",
    )
    export.add_argument("--onnx", action="store_true", help="also model.onnx, proved to agree")
    export.add_argument("--image", action="store_true", help="also image/, for docker build")
    export.add_argument(
        "--web",
        action="store_true",
        help="also web/, the page with the recogniser in it, for any web server",
    )


def run(arguments: argparse.Namespace) -> None:
    from pipeline.core import atomic, workspace
    from pipeline.export import docker, mobile, onnx, precision, web
    from pipeline.register import versions

    workspace.require_target_outside(arguments.folder)
    atomic.require_own(arguments.folder)
    if arguments.onnx:
        onnx.require_installed()
    recogniser = versions.locate(arguments.model).recogniser
    if not arguments.float:
        print("preparing the networks; making int8 takes about a minute", flush=True)
    names = ("float",) if arguments.float else ("float", "int8")
    networks = {name: precision.network(recogniser, name) for name in names}
    with atomic.own_folder(arguments.folder) as partial:
        partial.mkdir()
        mobile.for_phones(recogniser, partial, networks)
        if arguments.onnx:
            _write_onnx(recogniser, partial, networks["float"])
        if arguments.image:
            docker.image_context(recogniser, partial / "image")
        if arguments.web:
            web.for_browsers(arguments.model, partial / "web")
    written = sorted(path.name for path in arguments.folder.iterdir() if path.name != atomic.MARKER)
    print(f"{arguments.folder}: {', '.join(written)}")


def _write_onnx(recogniser: Path, folder: Path, float_network: bytes) -> None:
    import json
    from dataclasses import asdict

    from pipeline.export import onnx

    agreement = onnx.to_onnx(recogniser, folder / "model.onnx", float_network)
    (folder / "onnx.json").write_text(f"{json.dumps(asdict(agreement), indent=2)}\n")
    print(
        f"ONNX Runtime and LiteRT: the same label on {agreement.same_label} of "
        f"{agreement.pictures} pictures, probabilities up to "
        f"{agreement.largest_difference:.1g} apart"
    )
