"""Nothing but regular files and folders is opened, whatever names or hides the others."""

import os
import pathlib
import socket
import threading

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from nucseg_jax.images.open_source import files_of, open_source
from nucseg_jax.images.regular_files import files_below
from nucseg_jax.images.source import RefusedImage


def reason(path: pathlib.Path) -> str:
    """The reason for which an image is refused; a reader that waits for a pipe fails instead of hanging."""
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(open_source(path))
        except RefusedImage as error:
            outcome.append(str(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert outcome, f"the reader of {path.name} waits"
    assert isinstance(outcome[0], str), "it was read"
    return outcome[0]


def ome_tiff_with_a_plane_in(path: pathlib.Path, other: str) -> None:
    planes = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z:032d}</UUID></TiffData>'
        for z, name in enumerate((other, path.name))
    )
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
        f' UUID="urn:uuid:{1:032d}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8"'
        ' SizeX="64" SizeY="64" SizeC="3" SizeZ="2" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="3"/>'
        f"{planes}</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb", description=xml, metadata=None)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.svs", "x.zarr", "x.mrxs"])
def test_a_pipe_is_named_and_not_opened_also_behind_links(name, tmp_path):
    os.mkfifo(tmp_path / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to(tmp_path / name)
    assert "a pipe, which is never opened" in reason(tmp_path / name)
    assert "a pipe, which is never opened" in reason(tmp_path / "folder" / name)


def test_sockets_devices_circles_and_links_to_nothing_are_named(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.png"))
        assert "a socket" in reason(tmp_path / "s.png")
    for name, target in (("d.png", "/dev/zero"), ("c.png", "c.png"), ("n.png", "gone.png")):
        (tmp_path / name).symlink_to(target)
    assert "a device" in reason(tmp_path / "d.png")
    assert "in a circle" in reason(tmp_path / "c.png")
    assert "gone.png, which does not exist" in reason(tmp_path / "n.png")
    (tmp_path / "f.png").mkdir()
    assert "it is a folder" in reason(tmp_path / "f.png")


@pytest.mark.parametrize("inside", ["zarr.json", "0/zarr.json", "0/c/0/0"])
def test_a_pipe_inside_of_an_image_that_is_a_folder_is_not_opened(inside, tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", data=np.ones((32, 32), np.uint8), chunks=(16, 16))
    file = tmp_path / "a.zarr" / inside
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    assert "a pipe" in reason(tmp_path / "a.zarr")


def test_files_that_an_image_names_are_looked_at_before_its_reader_opens_them(tmp_path):
    pytest.importorskip("openslide")
    os.mkfifo(tmp_path / "pipe.ome.tif")
    ome_tiff_with_a_plane_in(tmp_path / "a.ome.tif", "pipe.ome.tif")
    assert "other parts lie in 'pipe.ome.tif'" in reason(tmp_path / "a.ome.tif")
    parts = "".join(
        f"{key}=pipe.ome.tif\n" for key in ("ImageFile", "MapFile", "OptimisationFile", "MacroImage")
    )
    index = f"[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\n{parts}"
    for name in ("v.vms", "v.svs"):
        (tmp_path / name).write_text(index)
        assert "a pipe, pipe.ome.tif" in reason(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "v.vms").write_text(index.replace("pipe.ome", "../pipe.ome"))
    assert "names ../pipe.ome.tif" in reason(tmp_path / "elsewhere" / "v.vms")
    # A slide in one file does not mind its neighbours.
    with tifffile.TiffWriter(tmp_path / "good.svs") as writer:
        pixels = np.full((256, 256, 3), 200, np.uint8)
        writer.write(pixels, tile=(64, 64), photometric="rgb", description="Aperio Image Library\n|MPP = 0.5")
    open_source(tmp_path / "good.svs").close()


def test_files_below_a_folder_are_listed_once_whatever_links_lead_in_circles(tmp_path):
    (tmp_path / "a.zarr" / "b").mkdir(parents=True)
    for name in ("b/1", "0", ".DS_Store", "._0"):
        (tmp_path / "a.zarr" / name).write_bytes(b"x")
    for name in ("one", "two", "b/up"):
        (tmp_path / "a.zarr" / name).symlink_to(tmp_path / "a.zarr", target_is_directory=True)
    (tmp_path / "a.zarr" / "b" / "self").symlink_to(tmp_path / "a.zarr" / "b", target_is_directory=True)
    names = [os.fspath(file.relative_to(tmp_path / "a.zarr")) for file in files_below(tmp_path / "a.zarr")]
    assert names == ["0", "b/1"]
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert files_of(tmp_path / "a.png") == [tmp_path / "a.png"]
    (tmp_path / "a.zarr" / "gone").symlink_to("nowhere")
    with pytest.raises(RefusedImage, match="nowhere, which does not exist"):
        files_of(tmp_path / "a.zarr")
