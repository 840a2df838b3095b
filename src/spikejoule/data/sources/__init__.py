"""Sources of images, a file each; `data.source` chooses one, or names a directory."""

from spikejoule.data.source import Source
from spikejoule.foundation.sections import Kinds

SOURCES: Kinds[Source] = Kinds("source", Source, __name__)
