"""Made-up seep scenes and salt tiles in the layouts of the public sets, Sentinel-1 products, cases of nnU-Net.

One seed gives the same bytes.

They are for tests and the demo: easy enough for a small network to learn in minutes, and no measure of how it does on
real data.
"""

from seepseg.synthetic.nnunet import write_nnunet
from seepseg.synthetic.products import write_products
from seepseg.synthetic.salt import salt_tile, write_salt
from seepseg.synthetic.sar import SATURATED, seep_scene, speckle, write_scene, write_seep
from seepseg.synthetic.slicks import SLICKS

__all__ = [
    "SATURATED", "SLICKS", "salt_tile", "seep_scene", "speckle", "write_nnunet", "write_products", "write_salt",
    "write_scene", "write_seep",
]  # fmt: skip
