"""Sources of images, a file each; `data.source` chooses one, or names a directory."""

from spikejoule.core.parameters import Kinds
from spikejoule.data.source import Source

SOURCES: Kinds[Source] = Kinds("source", Source, __name__)
