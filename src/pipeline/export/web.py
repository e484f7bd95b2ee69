"""Writes the page with a recogniser in it, as files that any web server can host."""

import shutil
from pathlib import Path

from pipeline.app import access, champion, field, server, web_runtime

_README = """# A page that names animals, without a server of its own

Host this folder with any web server, over https or on the machine itself:

    python -m http.server 8000

then open http://127.0.0.1:8000/. The recogniser runs in the browser (LiteRT.js, Apache-2.0), photos
go nowhere, and after the first visit the page works without a network; it can be installed. From a
USB stick, start the command above in this folder: browsers refuse WebAssembly from file: addresses.

Corrections need a server that keeps them: `animal app --feedback DIR`.
"""


def for_browsers(model: str, folder: Path) -> None:
    """Writes the page, LiteRT.js and a recogniser.

    Args:
        model: What `versions.locate` takes.
        folder: Where; made here.

    Raises:
        UserError: There is no such recogniser, or LiteRT.js cannot be fetched.
    """
    runtime = web_runtime.require()
    shutil.copytree(server.STATIC, folder / "static")
    shutil.copytree(runtime, folder / "static" / "litert")
    (folder / "static" / "sw.js").rename(folder / "sw.js")
    page = (folder / "static" / "index.html").read_text(encoding="utf-8")
    (folder / "static" / "index.html").unlink()
    # A web server of theirs may set no policy, so the page brings one.
    policy = f'<meta http-equiv="Content-Security-Policy" content="{access.PAGE_POLICY}">'
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
    (folder / "index.html").write_text(page, encoding="utf-8")
    field.write(champion.load(model), folder / "field")
    (folder / "README.md").write_text(_README, encoding="utf-8")
