"""Builds the extension. Everything else about the package stands in pyproject.toml."""

import sysconfig

from setuptools import setup

# One abi3 wheel serves every CPython from 3.10 on; free-threaded builds have no stable ABI.
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["csrc/cffi_build.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if ABI3 else {},
)
