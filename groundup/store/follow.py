"""Following a JSON-lines file while it grows, as `tail -F` does: also when `rewind` puts another in its place."""

import os
from pathlib import Path
from typing import Any, BinaryIO

from groundup.errors import GroundupError
from groundup.store.files import LARGEST_LINE, Missing, Unreadable, open_regular, row_of

MOST = 4 * LARGEST_LINE  # bytes read in one look


class Follower:
    """Gives the rows of a file in the order in which they come. It takes no lock, so it is in no writer's way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None  # held open, so that no other file can get its number
        self._line = 0

    def look(self) -> tuple[list[dict[str, Any]], bool]:
        """(rows that have come since the last look, whether they begin the file anew).

        Anew: the file was replaced or cut, as by a run that goes on from an earlier step, and rows given before count
        no more. A half-written line is left for the next look, and after very many rows the rest is.
        Raises GroundupError `run-damaged`.
        """
        anew = self._begin()
        if self._file is None:
            return [], anew
        start, raw = self._file.tell(), self._file.read(MOST)
        *lines, rest = raw.split(b"\n")
        if len(rest) > LARGEST_LINE:
            raise GroundupError("run-damaged", f"{self.path} has a line without an end", "remove it, or the run")
        self._file.seek(start + len(raw) - len(rest))
        rows = [row_of(self.path, self._line + number, line + b"\n") for number, line in enumerate(lines, 1)]
        self._line += len(rows)
        return rows, anew

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> bool:
        """Open the file that bears the name now, if it is another; returns whether one was read before."""
        try:
            now = self.path.stat()
        except OSError:
            return False  # not begun, or gone: it may come back
        if self._file is not None:
            held = os.fstat(self._file.fileno())
            if (held.st_dev, held.st_ino) == (now.st_dev, now.st_ino) and now.st_size >= self._file.tell():
                return False
        before = self._file is not None
        self.close()
        try:
            self._file, self._line = open_regular(self.path), 0
        except Missing:
            pass  # removed just now
        except Unreadable as error:
            raise GroundupError("run-damaged", f"{self.path} {error}", "remove it, or the run") from None
        return before
