"""One file of a hub repository: from a mirror directory, from a mirror URL, or from the hub, whole or not at all."""

import errno
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from filelock import FileLock

from groundup.console import progress, say
from groundup.errors import GroundupError
from groundup.store.files import sha256

NO_INTERNET = "without internet, lay the file out as MIRROR/{place} and set data.mirror (or $GROUNDUP_MIRROR) to MIRROR"


def fetch(repository: str, revision: str, file: dict[str, Any], mirror: str | None, downloads: Path) -> Path:
    """The local path of a file, downloading it into `downloads` if it is not there.

    `file` has a name, a size in bytes and a SHA-256. A mirror is laid out as REPOSITORY/FILE.
    Raises GroundupError `download-failed`, `wrong-hash`.
    """
    name = file["name"]
    place = f"{repository}/{name}"
    fix = NO_INTERNET.format(place=place)
    if mirror and not mirror.startswith(("http://", "https://")):
        path = Path(mirror).expanduser() / place
        if not path.is_file():
            raise GroundupError("download-failed", f"the mirror has no {path}", fix)
        _verify(path, file)
        return path
    path = downloads / repository / revision / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if not path.is_file():
            say(f"download: {place} from {mirror or 'the hub'}")
            _get(repository, revision, name, mirror, path, downloads / repository / revision)
        try:
            _verify(path, file)
        except GroundupError:
            path.rename(path.with_name(path.name + ".wrong"))  # kept for a look, never used
            raise
    return path


def _get(repository: str, revision: str, name: str, mirror: str | None, path: Path, folder: Path) -> None:
    place = f"{repository}/{name}"
    fix = NO_INTERNET.format(place=place)
    try:
        if mirror:
            _download(f"{mirror.rstrip('/')}/{urllib.parse.quote(place)}", path)
        else:
            from huggingface_hub import hf_hub_download

            hf_hub_download(repository, name, repo_type="dataset", revision=revision, local_dir=folder)
    except OSError as error:  # urllib's and huggingface_hub's errors are OSErrors, and so is a full disk
        if error.errno == errno.ENOSPC:
            raise
        raise GroundupError("download-failed", f"{place}: {' '.join(str(error).split())}", fix) from None
    except Exception as error:  # huggingface_hub passes on whatever its HTTP client raises
        raise GroundupError("download-failed", f"{place}: {type(error).__name__}: {error}", fix) from None


def _verify(path: Path, file: dict[str, Any]) -> None:
    size = path.stat().st_size
    if size != file["bytes"]:
        what = f"{path} has {size:,} bytes, not the {file['bytes']:,} on record"
    elif sha256(path) != file["sha256"]:
        what = f"{path} does not have the SHA-256 on record"
    else:
        return
    raise GroundupError(
        "wrong-hash", what, "fetch the file again; a file of your own goes under `path`, without `corpus`"
    )


def _download(url: str, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    with urllib.request.urlopen(url, timeout=30) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        with part.open("wb") as file, progress(path.name, total or None, "B") as advance:
            while block := answer.read(1 << 20):
                file.write(block)
                advance(len(block))
    if total and part.stat().st_size != total:
        raise OSError(f"{part.stat().st_size:,} of {total:,} bytes arrived")
    shutil.move(part, path)
