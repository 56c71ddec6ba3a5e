"""nnU-Net's raw form: cases in imagesTr and labelsTr, their channels in files of their own, classes in dataset.json."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seepseg.config import NnunetData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.tiles import TilesSource
from seepseg.errors import DataError
from seepseg.scenes.channels import channel, channels_of


@dataclass(frozen=True)
class NnunetSource(TilesSource):
    """The `Source` of such a data set: tiles in folders, named by their cases."""

    data: NnunetData

    def catalog(self) -> Catalog:
        """The cases under `data.root`, each with the files of its channels; errors as `TilesSource.catalog`.

        Raises:
            DataError: a channel of a case is not there.
        """
        catalog = super().catalog()
        if not any(channels_of(self.data, tile.image) for tile in catalog.tiles):
            return catalog
        return replace(catalog, tiles=tuple(map(self._with_channels, catalog.tiles)))

    def _with_channels(self, tile: Tile) -> Tile:
        numbers = [band - 1 for band in self.data.bands or (1,) if isinstance(band, int)]
        files = [file for number in numbers if (file := channel(tile.image, number))]
        for file in files:
            if not file.is_file():
                what = f"case {tile.id} has no channel {file.name}"
                raise DataError(what, file.parent, "add the file, or remove the case from both folders")
        return replace(tile, channels=tuple(file for file in files if file != tile.image))
