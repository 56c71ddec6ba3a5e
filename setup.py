"""What setup.cfg cannot say: configs/ is a package beside those below seepseg/, so that recipes are installed too."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["seepseg*"]), "seepseg.recipes"],
    package_dir={"seepseg.recipes": "configs"},
)
