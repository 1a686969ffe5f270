"""tifffile's warnings come out with the image that they are about, once each, and nobody else's are taken."""

import logging
import struct
import threading

import numpy as np
import pytest
import tifffile

from nucseg_jax.images.open_source import open_source, refused
from nucseg_jax.images.reader_warnings import take_warnings


@pytest.fixture
def odd_tiff(tmp_path):
    """A readable TIFF whose Software tag points outside of the file."""
    path = tmp_path / "odd.tif"
    tifffile.imwrite(
        path, np.full((64, 64, 3), 200, np.uint8), photometric="rgb", software="a program of old"
    )
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.tags["Software"].offset
    content = bytearray(path.read_bytes())
    content[offset + 8 : offset + 12] = struct.pack("<I", 1 << 30)
    path.write_bytes(content)
    return path


def test_a_warning_is_kept_for_its_image_once_however_often_it_is_opened(odd_tiff, caplog):
    for _ in range(3):
        source = open_source(odd_tiff)
        with refused(odd_tiff):
            assert source.read(0, 0, 2, 2).shape == (2, 2, 3)
        source.close()
    (warning,) = take_warnings(odd_tiff)
    assert "305" in warning
    assert take_warnings(odd_tiff) == []
    assert not caplog.records


def test_threads_do_not_mix_images_and_other_users_of_tifffile_keep_theirs(tmp_path, caplog):
    paths = [tmp_path / name for name in "abc"]
    barrier = threading.Barrier(len(paths))

    def work(path):
        with refused(path):
            barrier.wait()
            for number in range(20):
                tifffile.tifffile.logger().warning("%s is odd, %d", path.name, number % 8)
            barrier.wait()

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path in paths:
        assert take_warnings(path) == [f"{path.name} is odd, {number}" for number in range(5)]
    with caplog.at_level(logging.WARNING):
        tifffile.tifffile.logger().warning("not of an image")
    assert "not of an image" in caplog.text
