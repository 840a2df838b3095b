"""What a training takes before its forward passes: reading and encoding samples.

For each sample and epoch:

    data reads        a byte for each input, from a memory of the whole training set;
                      for event data an address for each spike
    augmentation      a pixel is written for each input. A map by whole pixels reads one
                      for it; any other map reads four and blends them: 12
                      multiplications, 19 additions, floors included
    encoding          of an image that is white everywhere, an upper bound

Augmentation follows the kernel (`training.kernels.augment`), in which the origin of a
pixel takes 8 additions and 4 multiplications, the blend the others. The random numbers
of an image's map are not counted.
"""

from collections.abc import Iterator

import numpy as np

from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.operations import (
    PIXEL_BITS,
    OperationCounts,
    Words,
    address_bits,
    block,
    encoding_terms,
)
from spikejoule.energy.training.products import Counts
from spikejoule.energy.training.record import Augmented, TrainingRecord

AUGMENTATION = "augmentation"

_WHITE = 255
_MULTIPLICATIONS_PER_PIXEL = 12
_ADDITIONS_PER_PIXEL = 19
_NEIGHBOURS = 4


def data(record: TrainingRecord) -> Iterator[OperationCounts]:
    """Count reading, augmenting and encoding the samples of a spiking network."""
    samples = record.activity.samples_of_row[:, None]
    node = record.network.input
    encoder = record.encoder
    if encoder is not None and encoder.takes == "events":
        spikes = record.activity.spikes_of(node.name)[:, None]
        # A row is an epoch, or all of them.
        n_stored = int(spikes.sum()) // record.n_epochs
        address = Words(address_bits(node.n_out), n_stored)
        yield block("data_read", [node.name], spikes, address)
        return
    yield from images_read(record, samples)
    if encoder is not None:
        yield from _encoding(encoder, node.name, node.n_out, samples)


def images_read(record: TrainingRecord, samples: Counts) -> Iterator[OperationCounts]:
    """Count reading and augmenting images, of any network that trains on them.

    Args:
        record: the spiking training, which sees the same images.
        samples: images of each epoch, [E, 1].
    """
    node = record.network.input
    n_pixels = node.n_out
    data_set = Words(PIXEL_BITS, n_pixels * record.set_size)
    yield block("data_read", [node.name], samples * n_pixels, data_set)
    yield from _augmentation(record.augmented, n_pixels, samples)


def _augmentation(
    augmented: Augmented, n_pixels: int, samples: Counts
) -> Iterator[OperationCounts]:
    """Count the map of each image; nothing if images stay as they are."""
    if augmented == "no":
        return
    is_shift = augmented == "shifted"
    place = [AUGMENTATION]
    pixels = samples * n_pixels
    image = Words(PIXEL_BITS, n_pixels)
    yield block("pixel_read", place, pixels * (1 if is_shift else _NEIGHBOURS), image)
    if not is_shift:
        multiplications = pixels * _MULTIPLICATIONS_PER_PIXEL
        yield block("augmentation_multiplication", place, multiplications)
        yield block("augmentation_addition", place, pixels * _ADDITIONS_PER_PIXEL)
    yield block("activation_write", place, pixels, image)


def _encoding(
    encoder: Encoder, place: str, n_pixels: int, samples: Counts
) -> Iterator[OperationCounts]:
    """Count encoding images that are white everywhere."""
    white = np.full((1, n_pixels), _WHITE, dtype=np.uint8)
    operations = encoder.operations(white)
    if operations is None:
        return
    yield block("pixel_read", [place], samples * n_pixels, Words(PIXEL_BITS, n_pixels))
    for term, per_image in encoding_terms(operations).items():
        yield block(term, [place], samples * per_image)
