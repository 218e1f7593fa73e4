"""Builds the extension. Everything else about the package is in pyproject.toml."""

import gzip
import os
import sysconfig
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist

# One abi3 wheel serves every CPython from 3.10 on; free-threaded builds have no stable ABI.
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")


class ReproducibleSdist(sdist):
    """With SOURCE_DATE_EPOCH, an sdist whose bytes depend on nothing else than its files."""

    def make_archive(self, base_name, format, *args, **options):
        """Makes the archive BASE_NAME.FORMAT of the folder `base_dir`."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar":
            return super().make_archive(base_name, format, *args, **options)

        def normalize(member):
            member.mtime = int(epoch)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        path = f"{base_name}.tar.gz"
        with (
            Path(path).open("wb") as file,
            gzip.GzipFile("", "wb", 9, file, mtime=int(epoch)) as compressed,
            tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(options["base_dir"], filter=normalize)  # sorted
        return path


setup(
    cffi_modules=["csrc/cffi_build.py:ffibuilder"],
    cmdclass={"sdist": ReproducibleSdist},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if ABI3 else {},
)
