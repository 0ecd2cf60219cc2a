"""Files that are fetched from where they are kept."""

from __future__ import annotations

import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
_PATIENCE = 30.0  # seconds without a byte


def transfer(url: str, part: Path, progress: bool = True) -> None:
    """Append what is missing of a file, with a bar in a terminal.

    Raises OSError, of which URLError is one, where the address has no such file or not all of it
    comes; what has come stays, to be continued.
    """
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "argand"} | ({"Range": f"bytes={done}-"} if done else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        if done and error.code == 416:  # there is no more than what is there
            return
        raise
    with response:
        continues = done and getattr(response, "status", None) == 206
        done = done if continues else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with (
            open(part, "ab" if continues else "wb") as file,
            _bar(part, total, progress) as advance,
        ):
            advance(done)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                advance(len(chunk))
        if total is not None and part.stat().st_size < total:
            raise OSError(f"the connection ended after {part.stat().st_size} of {total} bytes")


@contextlib.contextmanager
def _bar(part: Path, total: int | None, wanted: bool) -> Iterator[Any]:
    """A bar in a terminal that what was read advances; nothing elsewhere."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda count: None
        return
    from rich import console, progress  # only where a bar is shown

    columns = (
        progress.TextColumn("[bold]{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
        task = bar.add_task(part.stem, total=total)
        yield lambda count: bar.update(task, advance=count)
