"""`exporter --labels FILE`: further labels of containers, from a JSON file."""

from __future__ import annotations

import json
import os
import re
import stat
import time

from ..counting.naming import to_label
from ..errors import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._metrics import Labels
    from ..counting.naming import Container

    # The labels by the id, owner or name of a container.
    Table = dict[str, dict[str, str]]

_MAX_BYTES = 16 << 20
_SETTLED = 2.0  # seconds after which another change of a file has another time of modification
_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_TAKEN = ("container", "interface", "netns")
_FORM = "must be a JSON object of container ids, owners or names to objects of labels"


class LabelsFile:
    """A file with the further labels of containers, read again when it changes.

    A file that cannot be read or is not valid changes nothing: the labels stay those of its last
    valid content.

    Parameters:
        path: where the file is. It may be missing, and appear later.

    Attributes:
        error: why the file could not be used when it was last read; "" if it could.
    """

    def __init__(self, path: str) -> None:
        self.error = ""
        self._path = path
        self._table: Table = {}
        self._state: object = None  # of the file when it was last read; None: read it again

    def update(self) -> bool:
        """Reads the file if it has changed; returns whether any label has."""
        before = self._table
        try:
            state = _state(os.stat(self._path))  # noqa: PTH116  # no file system path
            if state is None or state != self._state:
                self._state = None
                text, self._state = _read(self._path)
                self._table = _parse(text)
                self.error = ""
        except OSError as error:
            self._state = None
            self.error = f"--labels {self._path}: {error.strerror}"
        except ValueError as error:
            self.error = f"--labels {self._path}: {error}"
        return self._table != before

    def find(self, container: Container) -> Mapping[str, str]:
        """Returns the labels of the first of these that the file contains.

        They are the container's ids, its owner, its name, and its label.
        """
        names = (*container.ids, container.owner, container.name, container.label)
        return next((self._table[name] for name in names if name in self._table), {})


def _state(status: os.stat_result) -> object:
    """Returns what differs if a file has changed; None if that may not show yet."""
    if time.time() - status.st_mtime < _SETTLED:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: str) -> tuple[bytes, object]:
    with open(path, "rb", opener=_open) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("must be a regular file")
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"must have at most {_MAX_BYTES >> 20} MiB")
    return text, _state(status)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # to open a named pipe would block otherwise


def _parse(text: bytes) -> Table:
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(f"{_FORM}, not nested this deep") from None
    except ValueError as error:  # also UnicodeDecodeError
        raise ValueError(f"must be JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{_FORM}, not {_kind(content)}")
    return {key: dict(_check(key, labels)) for key, labels in content.items()}


def _check(key: str, labels: object) -> Labels:
    """Returns the labels of one container, with printable values."""
    if not isinstance(labels, dict):
        raise ValueError(f"the labels of {quote(key)} must be an object, not {_kind(labels)}")
    for name, value in labels.items():
        where = f"label {quote(name)} of {quote(key)}"
        if not _NAME.fullmatch(name) or name.startswith("__"):
            rule = "have letters, digits and underscores, and begin with neither a digit nor __"
            raise ValueError(f"the name of {where} must {rule}")
        if name in _TAKEN:
            raise ValueError(f"{where} must have another name: every series has this label")
        if not isinstance(value, str):
            raise ValueError(f"{where} must be a string, not {_kind(value)}")
    return tuple((name, to_label(value)) for name, value in labels.items())


def _kind(value: object) -> str:
    """Names a type of JSON."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
