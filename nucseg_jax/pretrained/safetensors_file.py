"""`.safetensors`, as timm publishes weights; what network they are of stands in a `config.json` beside them."""

import contextlib
import functools
import json
import pathlib
from collections.abc import Iterator

import ml_dtypes  # noqa: F401 -- teaches NumPy, and so safetensors, the name bfloat16.
import safetensors

from nucseg_jax.core.strict_json import JsonObject
from nucseg_jax.pretrained.stored_array import StoredArray, WeightsFile

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
_CONFIG_LIMIT_BYTES = 1 << 20


@contextlib.contextmanager
def open_safetensors(source: pathlib.Path) -> Iterator[WeightsFile]:
    """Opens a `.safetensors` file; raises what safetensors raises."""
    with safetensors.safe_open(source, framework="numpy") as file:
        arrays = {}
        for name in file.keys():  # noqa: SIM118 -- it is no mapping.
            part = file.get_slice(name)
            dtype = part.get_dtype()
            arrays[name] = StoredArray(
                name,
                tuple(part.get_shape()),
                _DTYPES.get(dtype, dtype),
                functools.partial(file.get_tensor, name),
            )
        yield WeightsFile("safetensors", arrays)


def published_config(source: pathlib.Path) -> JsonObject:
    """The `config.json` beside a file as a Hugging Face repository has it; {} where there is none of that sort."""
    path = source.with_name("config.json")
    try:
        if path.stat().st_size > _CONFIG_LIMIT_BYTES:
            return {}
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) and "architecture" in config else {}
