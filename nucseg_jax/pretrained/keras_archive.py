"""Keras 3's `.keras`: a zip of the model's configuration, which names the layers, and `model.weights.h5`."""

import contextlib
import json
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator

import h5py

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.hdf5 import read_by_counter
from nucseg_jax.pretrained.keras_names import names_by_group
from nucseg_jax.pretrained.stored_array import WeightsFile

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
# The largest encoder with Adam's moments takes under 1 GB, its configuration under 2 MB.
_MOST_BYTES = {CONFIG: 64 << 20, WEIGHTS: 4 << 30}


@contextlib.contextmanager
def open_keras_archive(source: pathlib.Path) -> Iterator[WeightsFile]:
    """Opens a `.keras` file; raises what zipfile, json and h5py raise, and `UserError` for other content."""
    with zipfile.ZipFile(source) as archive, tempfile.TemporaryFile() as unpacked:
        for name, most_bytes in _MOST_BYTES.items():
            size_bytes = archive.getinfo(name).file_size
            if size_bytes > most_bytes:
                raise UserError(
                    f"{source} > {name} takes {size_bytes:,} bytes unpacked.",
                    expected=f"at most {most_bytes:,}",
                    advice="save the encoder alone with model.save('NAME.keras')",
                )
        config = json.loads(archive.read(CONFIG))
        if "class_name" in config and "layers" not in config["config"]:
            raise UserError(
                f"{source} holds a {config['class_name']} that does not list its layers.",
                expected="a functional model, such as those of keras.applications",
                advice="save the encoder alone with model.save('NAME.keras')",
            )
        with archive.open(WEIGHTS) as packed:
            shutil.copyfileobj(packed, unpacked)  # To the end, so that zipfile compares the checksum.
        with h5py.File(unpacked, "r") as file:
            if "layers" not in file:
                raise UserError(
                    f"{source} > {WEIGHTS} holds {', '.join(file)}, the layout of an early Keras.",
                    expected="its group 'layers', as Keras has it from 2.14 on",
                    advice="load the model and save it again with Keras 2.15 or 3",
                )
            also = ("optimizer",) if "optimizer" in file else ()
            yield WeightsFile(
                "Keras model (.keras)",
                read_by_counter(file, names_by_group(config)),
                config=config,
                also=also,
            )
