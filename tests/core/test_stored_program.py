import errno
import os
import pathlib

import jax
import numpy as np
import pytest

from nucseg_jax.core import stored_program as module
from nucseg_jax.core.stored_program import LoadingProgram, stored_program

DEVICES = tuple(jax.devices()[:1])
X = np.arange(4, dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path / "programs"
    jax.config.update("jax_compilation_cache_dir", before)


def place(**facts):
    return stored_program("square", facts, DEVICES)


def squares(traces):
    """A jitted, donating function that notes when it is traced."""

    def square(x):
        traces.append(x.shape)
        return x * x

    return jax.jit(square, donate_argnums=0)


def on_device(x=X):
    return jax.device_put(x, DEVICES[0])


def test_the_second_time_nothing_is_traced_and_the_result_is_the_same(folder):
    traces = []
    first, origin = LoadingProgram(place(a=1)).ready(squares(traces), on_device())
    assert (origin in ("compiler", "cache"), len(traces)) == (True, 1)
    second, origin = LoadingProgram(place(a=1)).ready(squares(traces), on_device())
    assert (origin, len(traces)) == ("store", 1)
    taken = on_device()
    np.testing.assert_array_equal(second(taken), first(on_device()))
    np.testing.assert_array_equal(second(on_device()), X * X)
    # Donation survives.
    assert taken.is_deleted()


def test_other_facts_shapes_dtypes_or_surroundings_are_other_programs(folder, monkeypatch):
    traces = []
    LoadingProgram(place(a=1)).ready(squares(traces), on_device())
    for facts, x in (({"a": 2}, X), ({"a": 1}, X[:2]), ({"a": 1}, X.astype(np.int32))):
        program, origin = LoadingProgram(place(**facts)).ready(squares(traces), on_device(x))
        assert origin != "store"
        np.testing.assert_array_equal(program(on_device(x)), x * x)
    known = place(a=1).path
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "") + " --xla_cpu_enable_fast_math=true")
    assert place(a=1).path != known
    monkeypatch.undo()
    jax.config.update("jax_numpy_rank_promotion", "warn")
    assert place(a=1).path != known
    jax.config.update("jax_numpy_rank_promotion", "allow")
    assert place(a=1).path == known
    monkeypatch.setattr(module, "_source_digest", lambda: "an edited package")
    assert place(a=1).path != known


@pytest.mark.parametrize("spoil", [lambda body: body[:-100], lambda body: body[:40] + b"x" + body[41:]])
def test_a_damaged_file_is_compiled_anew_and_replaced(folder, spoil):
    LoadingProgram(place()).ready(squares([]), on_device())
    whole = place().path.read_bytes()
    place().path.write_bytes(spoil(whole))
    program, origin = LoadingProgram(place()).ready(squares([]), on_device())
    assert origin != "store"
    np.testing.assert_array_equal(program(on_device()), X * X)
    assert LoadingProgram(place()).ready(squares([]), on_device())[1] == "store"


def test_what_jaxs_cache_gave_is_not_stored(folder, monkeypatch):
    """XLA's CPU backend writes such a program without its functions: it would load, and fail at its first run."""
    threshold = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    try:
        assert LoadingProgram(place(a=1)).ready(squares([]), on_device())[1] == "compiler"
        jax.clear_caches()
        program, origin = LoadingProgram(place(a=2)).ready(squares([]), on_device())
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", threshold)
    assert origin == "cache"
    np.testing.assert_array_equal(program(on_device()), X * X)
    assert place(a=1).path.exists()
    assert not place(a=2).path.exists()


def test_a_place_that_cannot_be_written_or_that_is_cleared_meanwhile_is_no_error(folder, monkeypatch):
    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    place().save(jax.jit(squares([])).lower(X).compile())
    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "touch", refuse)
        assert place().load() is not None
        # Another process prunes it between the two looks.
        stored, read = place(), pathlib.Path.read_bytes
        patched.setattr(
            pathlib.Path, "read_bytes", lambda path: refuse(path) if path == stored.path else read(path)
        )
        assert stored.load() is None


def test_somebody_elses_file_is_not_loaded(folder, monkeypatch):
    LoadingProgram(place()).ready(squares([]), on_device())
    monkeypatch.setattr(os, "getuid", lambda: os.stat("/").st_uid + 4711)
    assert place().load() is None


def test_only_the_programs_used_last_are_kept(folder, monkeypatch):
    monkeypatch.setattr(module, "PROGRAMS_KEPT", 2)
    for number in range(4):
        LoadingProgram(place(number=number)).ready(squares([]), on_device())
        os.utime(place(number=number).path, (number, number))
    assert not place(number=0).path.exists()
    assert place(number=3).path.exists()
    assert len(list(folder.iterdir())) == 2


def test_without_a_compilation_cache_nothing_is_kept(folder):
    jax.config.update("jax_compilation_cache_dir", None)
    assert place().path is None
    program, origin = LoadingProgram(place()).ready(squares([]), on_device())
    assert origin == "compiler"
    np.testing.assert_array_equal(program(on_device()), X * X)
    assert not folder.exists()
