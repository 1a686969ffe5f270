"""The sections of the report; importing any of them imports matplotlib, whatever MPLBACKEND is."""

from nucseg_jax.reporting.matplotlib_import import import_matplotlib

import_matplotlib()
