"""Imports matplotlib where MPLBACKEND names a backend that is not there.

A notebook's shell sets it for all its processes, `module://matplotlib_inline.backend_inline`, and matplotlib cannot
be imported in an environment without that package. The report draws with Agg and needs none.
"""

import contextlib
import os
import sys

_VARIABLE = "MPLBACKEND"


def import_matplotlib() -> None:
    """Imports matplotlib; MPLBACKEND, where it is valid, means to this process what it would have meant."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop(_VARIABLE, None)
    try:
        import matplotlib as mpl
    finally:
        if backend is not None:
            os.environ[_VARIABLE] = backend
    if backend:
        with contextlib.suppress(ValueError):
            mpl.rcParams["backend"] = backend
