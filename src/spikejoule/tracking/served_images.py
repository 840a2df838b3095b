"""Images as a model is given them: arrays, lists of numbers, or base64, all judged alike."""

import binascii
from collections.abc import Sequence
from itertools import chain
from numbers import Integral
from operator import countOf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError
from spikejoule.core.parameter_problems import shown

_HINT = " (multiply intensities from 0 to 1 by 255 and round them)"


def read_images(images: NDArray[Any] | Sequence[Any], n_pixels: int) -> NDArray[np.uint8]:
    """The images as bytes, [N, pixels].

    Args:
        images: an array of whole numbers from 0 to 255, [N, height, width] or [N, pixels]; or a
            list (or array of objects) with an image per element: `height` lists of `width` such
            numbers, one list of them, or their bytes as base64. Width runs fastest in both.
        n_pixels: of one image.

    Raises:
        DataError: the images are of another form; the sentence says what is allowed.
    """
    if not isinstance(images, np.ndarray):
        return _from_list(images, n_pixels)
    if images.dtype.kind in "OU":
        return _from_list(np.atleast_1d(images).tolist(), n_pixels)
    return _from_numbers(images, n_pixels)


def _from_list(images: Sequence[Any], n_pixels: int) -> NDArray[np.uint8]:
    if len(images) == 0:
        raise DataError("there is no image; allowed is at least 1.")
    pixels = bytearray()
    for position, image in enumerate(images):
        try:
            pixels += _bytes_of(image, n_pixels)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"image {position} {error}; allowed are {n_pixels} whole numbers from 0 to 255, as "
                "one list, as a list of rows of one length, or as bytes in base64."
            ) from None
    return np.frombuffer(pixels, np.uint8).reshape(len(images), n_pixels)


def _bytes_of(image: Any, n_pixels: int) -> bytes:
    """One image; TypeError or ValueError goes on where "image 7" ends."""
    if isinstance(image, str):
        try:
            pixels = binascii.a2b_base64(image, strict_mode=True)
        except ValueError as error:
            raise ValueError(f"is not base64 ({error})") from None
    elif isinstance(image, list):
        pixels = _bytes_of_numbers(image)
    else:
        raise TypeError(f"is {shown(image)}")
    if len(pixels) != n_pixels:
        raise ValueError(f"has {len(pixels)} pixels")
    return pixels


def _bytes_of_numbers(image: list[Any]) -> bytes:
    nested = len(image) > 0 and isinstance(image[0], list)
    if nested and countOf(map(type, image), list) == len(image):
        if len(set(map(len, image))) > 1:
            raise ValueError("has rows of several lengths")
        image = list(chain.from_iterable(image))
    # `bytes` would take true for 1. Counting types is the quickest look at every pixel.
    if countOf(map(type, image), int) != len(image):
        for pixel in image:
            if isinstance(pixel, bool) or not isinstance(pixel, Integral):
                hint = _HINT if isinstance(pixel, float) else ""
                raise TypeError(f"has the pixel {shown(pixel)}{hint}")
    try:
        return bytes(image)
    except ValueError:
        wrong = next(pixel for pixel in image if not 0 <= pixel <= 255)
        raise ValueError(f"has the pixel {shown(wrong)}") from None


def _from_numbers(images: NDArray[Any], n_pixels: int) -> NDArray[np.uint8]:
    shape = images.shape
    if images.ndim not in (2, 3) or shape[0] == 0 or np.prod(shape[1:], dtype=object) != n_pixels:
        side = int(n_pixels**0.5)
        square = f"[N, {side}, {side}] or " if side * side == n_pixels else ""
        raise DataError(
            f"the images have the shape {list(shape)}; allowed are {square}[N, {n_pixels}] with N "
            "of at least 1."
        )
    if images.dtype.kind not in "iu":
        raise DataError(
            f"the pixels are of the type {images.dtype}; allowed are whole numbers from 0 to 255"
            f"{_HINT}."
        )
    if images.min() < 0 or images.max() > 255:
        raise DataError(
            f"the pixels run from {images.min()} to {images.max()}; allowed are whole numbers from "
            "0 to 255."
        )
    return images.reshape(shape[0], n_pixels).astype(np.uint8)
