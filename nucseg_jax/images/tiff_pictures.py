"""All pictures of a TIFF: directories, their SubIFDs, and images that OME-XML puts together from several."""

import dataclasses

import numpy as np
import tifffile

from nucseg_jax.core.counted import counted
from nucseg_jax.images.main_picture import Picture
from nucseg_jax.images.ome_xml import OmeImage, ome_images
from nucseg_jax.images.source import RefusedImage

# Directories of one file, and levels of one picture; a slide has a dozen.
_MOST_DIRECTORIES = 1000
_MOST_LEVELS = 64
# Photometric interpretations: 0 white, 0 black.
_GREY = (0, 1)
_COMPANIONS = ("label ", "macro ", "thumbnail ")
# Bits of NewSubfileType; the second is of mixed raster content.
_TRANSPARENCY, _MIXED = 0b100, 0b1000
# Stacks of microscopes, whose directories are not what their tags state.
_STACKS = ("stk", "lsm", "fluoview", "scanimage", "ndtiff", "mdgel", "eer", "nih")

Pages = tuple[tifffile.TiffPage, ...]


@dataclasses.dataclass(frozen=True)
class TiffPicture:
    """A picture of a TIFF.

    Attributes:
      pages: one, or one for each channel; empty for a stack described by OME-XML.
      shown: its size and marks.
      ome: its description by OME-XML, None = there is none.
    """

    pages: Pages
    shown: Picture
    ome: OmeImage | None = None


def tiff_pictures(file: tifffile.TiffFile, name: str) -> list[TiffPicture]:
    """Lists all pictures of a file, in order; no other file is opened.

    Args:
      file: opened with `_multifile=False`.
      name: of the file.

    Raises:
      RefusedImage: a stack, OME-XML that places all images or a part of one elsewhere, or that fits no directories.
    """
    directories: list[tifffile.TiffPage] = []
    for page in file.pages:
        directories.append(page)
        if len(directories) > _MOST_DIRECTORIES:
            raise RefusedImage(
                f"the TIFF is a stack of over {_MOST_DIRECTORIES:,} pictures", expected="one picture"
            )
    _check_kind(file, directories)
    found: list[TiffPicture] = []
    used: set[int] = set()
    for image in _own_images(file, name, int(directories[0].samplesperpixel)):
        if max(image.planes, default=0) >= len(directories):
            raise RefusedImage("the OME-XML names planes that are not in the file")
        pages = tuple(directories[index] for index in image.planes)
        used.update(image.planes)
        shown = Picture(
            image.height,
            image.width,
            is_companion=image.is_companion,
            is_grey=_is_grey(pages) if pages else None,
        )
        found += [TiffPicture(pages, shown, image), *_sub_pictures(pages, shown)]
    for index, page in enumerate(directories):
        if index not in used:
            shown = _shown((page,))
            found += [TiffPicture((page,), shown), *_sub_pictures((page,), shown)]
    return found


def _check_kind(file: tifffile.TiffFile, directories: list[tifffile.TiffPage]) -> None:
    """Raises RefusedImage for a file whose metadata tell of more images than its directories show."""
    if not directories:
        raise RefusedImage("the file holds no image")
    if file.is_bif:
        raise RefusedImage(
            "the TIFF is a slide of Ventana's, whose tiles overlap",
            advice="rename it to .bif: OpenSlide reads it and joins the tiles",
        )
    kind = next((kind for kind in _STACKS if getattr(file, f"is_{kind}", False)), "")
    images = 1
    if file.is_imagej:
        images = int((file.imagej_metadata or {}).get("images", 1))
    elif file.is_shaped:
        size = max(1, int(np.prod(directories[0].shape, dtype=np.int64)))
        shape = (file.shaped_metadata or [{}])[0].get("shape", directories[0].shape)
        stated = float(np.prod(shape, dtype=float)) / size
        images = int(stated) if stated > len(directories) else 1
    if kind or images > 1:
        raise RefusedImage(
            f"the TIFF is a stack ({kind.upper() if kind else counted(images, 'image')})",
            expected="one picture, rows, columns and colours",
            advice="save it as RGB",
        )


def _own_images(file: tifffile.TiffFile, name: str, samples: int) -> list[OmeImage]:
    if not file.ome_metadata:
        return []
    images = ome_images(file.ome_metadata, name, samples)
    own = [image for image in images if not image.elsewhere]
    if images and not own:
        raise RefusedImage(
            f"the OME-XML of the file places its image in {images[0].elsewhere}",
            advice="give the file the name that it was written under, or save the image as one file",
        )
    return own


def _sub_pictures(pages: Pages, parent: Picture) -> list[TiffPicture]:
    """The pictures in the SubIFDs of the planes of one; smaller ones are its copies, marked or not."""
    counts = {len(page.subifds or ()) for page in pages}
    if counts <= {0}:
        return []
    if len(counts) > 1 or max(counts) > _MOST_LEVELS:
        raise RefusedImage(
            f"the directories of the TIFF have {sorted(counts)} SubIFDs", expected="levels of one pyramid"
        )
    found = []
    for level in range(counts.pop()):
        each: list[tifffile.TiffPage] = []
        for page in pages:
            page.parent.filehandle.seek(page.subifds[level])
            each.append(tifffile.TiffPage(page.parent, (page.index, level)))
        shown = _shown(tuple(each))
        if not parent.is_reduced and shown.height < parent.height and shown.width < parent.width:
            shown = shown._replace(is_reduced=True)
        found.append(TiffPicture(tuple(each), shown))
    return found


def is_mask(page: tifffile.TiffPage) -> bool:
    """Returns True for a mask of the transparent pixels of another picture."""
    return bool(int(page.subfiletype) & _TRANSPARENCY)


def _is_grey(pages: Pages) -> bool:
    colours = pages[0].samplesperpixel - len(pages[0].extrasamples or ())
    return len(pages) == 1 and colours == 1 and int(pages[0].photometric) in _GREY


def _shown(pages: Pages) -> Picture:
    page = pages[0]
    kind = int(page.subfiletype)
    lines = page.description.lower().splitlines() if page.is_svs else []
    is_companion = is_mask(page) or bool(kind & _MIXED) or any(line.startswith(_COMPANIONS) for line in lines)
    padding_px = max(page.tilelength, page.tilewidth) if page.is_philips else 0
    return Picture(
        page.imagelength, page.imagewidth, bool(kind & 1), is_companion, padding_px, _is_grey(pages)
    )
