"""PanNuke from its release to arrays.

The way of a patch, one file a step: the archives, fetched or given -> `release` (finds the arrays) -> `npy`
(streams their rows) -> `patches` (checks them) -> `labels` (masks to maps) -> `builder` (to records on disk, with
its `audit`) -> `reader` (back to arrays). `synthetic` draws a release, so that everything after it is the same
program.
"""
