"""Files of weights of every kind, damaged or with hostile descriptions: converted whole, or refused."""

import io
import json
import pathlib
import struct
import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucseg_jax.core.errors import UserError
from nucseg_jax.pretrained.checkpoint import read_checkpoint
from nucseg_jax.pretrained.convert import convert
from nucseg_jax.pretrained.source import open_weights
from nucseg_jax.pretrained.target import Target
from tests.fuzz.cases import ends_well, fuzzed
from tests.fuzz.damage import JSON, NUMBERS, altered, damaged
from tests.pretrained.small_encoders import Net, make_net

WRITERS = {
    "Keras .h5": Net.write_legacy_h5,
    "Keras .weights.h5": Net.write_weights_h5,
    "Keras .keras": Net.write_keras,
    "NumPy .npz": Net.write_npz,
    "timm .safetensors": Net.write_safetensors,
}
# What is read of an array that says to be larger; `convert` compares shapes first, and reads none of these.
LARGEST_VALUES = 1 << 20


@pytest.fixture(scope="module")
def net() -> Net:
    return make_net("resnet50")


@pytest.fixture(scope="module")
def torch_target() -> Target:
    return make_net("resnet50_v1_5").target


@pytest.fixture(scope="module")
def contents(net, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("weights")
    for number, write in enumerate(WRITERS.values()):
        if write is Net.write_safetensors:
            write(make_net("resnet50_v1_5"), folder / str(number))
        else:
            with (folder / str(number)).open("w+b") as file:
                write(net, file)
    return {kind: (folder / str(number)).read_bytes() for number, kind in enumerate(WRITERS)}


def read_arrays(path: pathlib.Path) -> int:
    with open_weights(path) as file:
        small = [
            array for array in file.arrays.values() if np.prod(array.shape, dtype=float) <= LARGEST_VALUES
        ]
        return sum(array.read().size for array in small)


def read_file(content: bytes, name: str) -> int | UserError:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weights"
        path.write_bytes(content)
        return ends_well(name, lambda: read_arrays(path), folder=path.parent)


@pytest.mark.parametrize("kind", WRITERS)
@fuzzed(cases=30)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(contents, kind, data):
    read_file(data.draw(damaged(contents[kind])), f"damaged weights, {kind}")


@pytest.mark.parametrize("kind", WRITERS)
@fuzzed(cases=5)
@given(data=st.data())
def test_a_damaged_file_is_converted_whole_or_nothing_is_written(net, torch_target, contents, kind, data):
    # Torch's layers are of the form whose strides lie in the 3 x 3 convolutions.
    target = torch_target if kind == "timm .safetensors" else net.target
    with tempfile.TemporaryDirectory() as folder:
        source, out = pathlib.Path(folder) / "weights", pathlib.Path(folder) / "out"
        source.write_bytes(data.draw(damaged(contents[kind])))
        outcome = ends_well(f"conversions, {kind}", lambda: convert(target, source, out), folder=out.parent)
        if isinstance(outcome, UserError):
            assert [path.name for path in out.parent.iterdir()] == ["weights"]
        else:
            _, report = read_checkpoint(out)
            assert report == outcome


@fuzzed(cases=40)
@given(
    header=st.one_of(
        st.dictionaries(
            st.text(max_size=5),
            st.one_of(
                st.fixed_dictionaries(
                    {
                        "dtype": st.sampled_from(["F32", "BF16", "F64", "I64", "F8_E4M3", "X", ""]),
                        "shape": st.lists(st.one_of(st.integers(0, 4), NUMBERS), max_size=4),
                        "data_offsets": st.lists(
                            st.one_of(st.integers(0, 64), NUMBERS), min_size=1, max_size=3
                        ),
                    }
                ),
                JSON,
            ),
            max_size=4,
        ),
        JSON,
    ),
    data=st.binary(max_size=64),
    error=st.integers(-20, 20),
)
def test_hostile_safetensors_are_read_or_refused(header, data, error):
    text = json.dumps(header).encode()
    content = struct.pack("<Q", max(0, len(text) + error)) + text + data
    read_file(content, "hostile headers, safetensors")


@fuzzed(cases=25)
@given(data=st.data())
def test_hostile_configs_in_a_keras_archive_are_read_or_refused(net, contents, data):
    """The configuration names the layers, so it steers what is read."""
    config = data.draw(st.one_of(JSON, altered(net.config())))
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(contents["Keras .keras"])) as whole,
        zipfile.ZipFile(stream, "w") as archive,
    ):
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", whole.read("model.weights.h5"))
    read_file(stream.getvalue(), "hostile configs, .keras")


@fuzzed(cases=30)
@given(
    names=st.lists(
        st.sampled_from(["__builtin__ eval", "os system", "posix system", "builtins exec", "a b"]), max_size=3
    ),
    tail=st.binary(max_size=30),
    protocol=st.integers(0, 9),
)
def test_pickles_are_never_run(names, tail, protocol):
    """With PyTorch its loader of weights alone decides; without it nothing is looked at."""
    calls = b"".join(b"c%s\n%s\n(S'true'\ntR" % tuple(name.encode().split()) for name in names)
    outcome = read_file(b"\x80" + bytes([protocol]) + calls + tail + b".", "pickles")
    assert isinstance(outcome, UserError)
