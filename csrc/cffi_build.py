"""Builds the extension pynetstrat._core with cffi, from the declarations in netstrat.h."""

import sysconfig
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = (HERE / "sources").read_text().split()

_declarations = (HERE / "netstrat.h").read_text()
_declarations = _declarations.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]
_declarations = _declarations.replace("NETSTRAT_API ", "")

ffibuilder = FFI()
ffibuilder.cdef(_declarations)
# The core calls it when a signal interrupts a wait, so that Python's signal handlers run: see
# pynetstrat/_native/__init__.py.
ffibuilder.cdef('extern "Python" int pynetstrat_interrupted(void *context);')
ffibuilder.cdef("int prctl(int option, ...);")  # man 2 prctl
ffibuilder.set_source(
    "pynetstrat._core",
    '#include "netstrat.h"\n#include <sys/prctl.h>',
    include_dirs=["csrc"],
    sources=[f"csrc/{source}" for source in SOURCES],
    depends=["csrc/netstrat.h", "csrc/internal.h"],
    define_macros=[("_GNU_SOURCE", None)],
    extra_compile_args=["-std=c11", "-fvisibility=hidden"],
    libraries=["pthread"],
    py_limited_api=not sysconfig.get_config_var("Py_GIL_DISABLED"),  # as in setup.py
)
