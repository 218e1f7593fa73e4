"""Files under /run/pynetstrat, which only the caller's user can write."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from errno import EACCES, EFBIG, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS, ETIMEDOUT
from time import monotonic, sleep

from ..errors import KernelError, PermissionDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

RUN = "/run/pynetstrat"
# Bytes of a file: 64 networks with a hundred routes each fit, and 496 alternative names.
_MOST = 1 << 20


class RunFolder:
    """An open directory under /run/pynetstrat. It is a context manager.

    Parameters:
        name: the name of the directory.
        purpose: what it is for, for errors, such as "host-device keeps its records".

    Raises:
        PermissionDeniedError: the directory can't be created or opened, belongs to another user, or
            is writable by others.
        KernelError: it is a symbolic link or a file, or can't be opened for another reason.
    """

    _fd = -1

    def __init__(self, name: str, purpose: str) -> None:
        self._path = f"{RUN}/{name}"
        self._purpose = purpose
        run = self._open_folder(RUN, None, RUN)
        try:
            self._fd = self._open_folder(name, run, self._path)
        finally:
            close_descriptor(run)

    def shown(self, name: str) -> str:
        """Returns the path of a file, for errors."""
        return f"{self._path}/{name}"

    def lock(self, until: float) -> None:
        """Locks the directory until it is closed, so that one process at a time has the lock.

        Parameters:
            until: how long to wait, as a time of `time.monotonic()`.

        Raises:
            KernelError: another process holds the lock (ETIMEDOUT), or the kernel refuses it.
        """
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() >= until:
                    hint = "another process works with these files and did not finish in time"
                    raise KernelError(ETIMEDOUT, "flock", hint=hint, filename=self._path) from None
                sleep(0.002)
            except OSError as error:
                raise KernelError(error.errno or 0, "flock", filename=self._path) from error

    def close(self) -> None:
        """Unlocks and closes the directory. Closing it twice does no harm."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # a forked child may hold the descriptor, too
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_descriptor(fd)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_file(self, name: str, text: bytes) -> None:
        """Writes a file. It replaces an older one at once, or not at all."""
        if len(text) >= _MOST:  # read_file() would read a part of it
            hint = f"must be less than {_MOST} bytes, not {len(text)}: request fewer routes"
            raise KernelError(EFBIG, "write", hint=hint, filename=self.shown(name))
        aside = f"{name}.new"
        try:
            self._unlink(aside)  # of a process that was killed
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(aside, flags, 0o600, dir_fd=self._fd)
            try:
                while text:
                    text = text[os.write(file, text) :]
            finally:
                close_descriptor(file)
            os.rename(aside, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._unlink(aside)
            raise self._failure(error, "write", self.shown(name)) from error

    def read_file(self, name: str) -> bytes | None:
        """Reads a file. None if it does not exist.

        Raises:
            KernelError: it can't be read, or it is not the user's own regular file.
        """
        where = self.shown(name)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(name, flags, dir_fd=self._fd)
        except OSError as error:
            if error.errno == ENOENT:
                return None
            if error.errno == ELOOP:  # a symbolic link
                hint = "must be a regular file: delete it"
                raise KernelError(ELOOP, "open", hint=hint, filename=where) from error
            raise self._failure(error, "open", where) from error
        try:
            self._check_owner(file, where, stat.S_ISREG, "a regular file")
            return self._read_whole(file, where)
        finally:
            close_descriptor(file)

    def remove_file(self, name: str) -> None:
        """Removes a file, if it exists."""
        try:
            self._unlink(name)
        except OSError as error:
            raise self._failure(error, "unlink", self.shown(name)) from error

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)  # EROFS even if it is missing
            os.unlink(name, dir_fd=self._fd)

    def _read_whole(self, fd: int, shown: str) -> bytes:
        text = b""
        try:
            while len(text) < _MOST and (part := os.read(fd, _MOST)):
                text += part
        except OSError as error:
            raise self._failure(error, "read", shown) from error
        return text

    def _open_folder(self, name: str, at: int | None, shown: str) -> int:
        """Opens a directory that only the caller can write. It is created if it does not exist."""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=at)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=at)
        except OSError as error:
            raise self._failure(error, "open", shown) from error
        try:
            self._check_owner(fd, shown, stat.S_ISDIR, "a directory")
        except BaseException:
            close_descriptor(fd)
            raise
        return fd

    def _check_owner(self, fd: int, shown: str, is_kind: Any, kind: str) -> None:
        """Raises KernelError unless a file is of the kind and only the caller can write it."""
        try:
            found = os.fstat(fd)
        except OSError as error:
            raise self._failure(error, "fstat", shown) from error
        if not is_kind(found.st_mode):
            raise KernelError(EINVAL, "open", hint=f"must be {kind}", filename=shown)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            hint = f"must belong to user {os.geteuid()} and must not be writable by other users"
            raise PermissionDeniedError(EPERM, "open", hint=hint, filename=shown)

    def _failure(self, error: OSError, step: str, shown: str) -> KernelError:
        code = error.errno or 0
        kind = PermissionDeniedError if code in (EPERM, EACCES) else KernelError
        if code in (ELOOP, ENOTDIR):
            hint = "must be a directory, not a symbolic link or a file: remove it"
        elif code in (EACCES, EPERM, EROFS):
            hint = f"{self._purpose} in this directory: make it writable for this user"
        else:
            hint = ""
        return kind(code, step, hint=hint, filename=shown)


def close_descriptor(fd: int) -> None:
    """Closes a descriptor. Linux has closed it whatever close(2) returns."""
    with contextlib.suppress(OSError):
        os.close(fd)
