"""The sections of the report; importing any of them imports matplotlib, whatever the shell says of it."""

from nucseg_jax.reporting.matplotlib_import import import_matplotlib

import_matplotlib()
