"""Made-up Sentinel-1 GRD products of known backscatter: manifest, annotation, tables and measurement, as ESA has them.

The tables are bilinear in line and pixel, so that interpolating between their vectors brings them back exactly.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

from seepseg.io.raster import copy_raster, create_raster

Field = NDArray[np.float64]
SPACING = 10.0
LINE_TIME = 0.0015
"""Metres between lines and between pixels, and seconds between lines, as in IW GRDH."""
START = datetime(2021, 4, 1, 5, 26, 23, 794457, UTC)
CORNER, HEADING = (-91.0, 28.0), 194.0
"""Longitude and latitude of the first pixel, over the northern Gulf of Mexico, and where a descending pass goes."""
ORBIT, TAKE = 26269, 205463
"""Absolute orbit and data take at `START`; a cycle of 12 days has 175 orbits."""


def gain(line: Field, pixel: Field, scale: float = 500.0) -> Field:
    """A in σ0 = (DN² − η) / A², of the made-up calibration."""
    return scale * (1 - 5e-6 * pixel) * (1 + 2e-6 * line)


def noise(line: Field, pixel: Field, schema: str, width: int, scale: float = 500.0) -> Field:
    """η, in squared DN: −25 dB at the left; in the schema "azimuth", the right half is scalloped along lines too.

    In the schema "removed" there is none.
    """
    if schema == "removed":
        return np.zeros(np.broadcast(line, pixel).shape)
    eta = (scale**2 * 10**-2.5) * (1 + 1e-4 * pixel + 1e-5 * line)
    return eta * np.where(pixel >= width // 2, 1 + 1e-5 * line, 1.0) if schema == "azimuth" else eta


def ground(line: Field, pixel: Field) -> tuple[Field, Field]:
    """Longitude and latitude of the middles of pixels: across from the flight line, on the ellipsoid."""
    geod, start = Geod(ellps="WGS84"), np.ones(np.broadcast(line, pixel).shape)
    lon, lat, back = geod.fwd(CORNER[0] * start, CORNER[1] * start, HEADING * start, line * SPACING * start)
    return geod.fwd(lon, lat, back - 90, pixel * SPACING * start)[:2]


def write_product(
    folder: Path, sigma0: Mapping[str, Field], *, schema: str = "azimuth", ipf: str = "003.31", scale: float = 500.0,
    packed: bool = False, cog: bool = False, start: datetime = START,
) -> Path:  # fmt: skip
    """Write a product below a folder, and return its path; incidence angles are 30 to 45 degrees from left to right.

    Args:
        folder: what it is written to.
        sigma0: linear backscatter (H, W) by polarisation ("vv"); NaN is no data.
        schema: of the noise: "azimuth" (since IPF 2.90), "range" (one list of vectors), or "removed" by the processor.
        ipf: version of the processor.
        scale: of A; a large one makes rounding to digital numbers negligible.
        packed: as ZIP.
        cog: the measurement as a COG, and files named as in such products.
        start: of the acquisition.
    """
    height, width = next(iter(sigma0.values())).shape
    stop = start + timedelta(seconds=height * LINE_TIME)
    channels = ("S" if len(sigma0) == 1 else "D") + next(iter(sigma0))[0].upper()
    orbit = ORBIT + round((start - START) / timedelta(days=12) * 175)
    times = f"{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}"
    name = f"S1B_IW_GRDH_1S{channels}_{times}_{orbit:06}_{TAKE:06X}_ECC8{'_COG' * cog}.SAFE"
    root, files = folder / name, []
    (root / "annotation" / "calibration").mkdir(parents=True)
    (root / "measurement").mkdir()
    for number, (polarisation, backscatter) in enumerate(sigma0.items(), 1):
        stem = f"s1b-iw-grd-{polarisation}-{times.lower().replace('_', '-')}-{orbit:06}-{TAKE:06x}-{number:03}"
        stem += "-cog" * cog
        header = _header(polarisation, start, stop, number, orbit)
        contents = {
            f"annotation/{stem}.xml": _annotation(header, height, width, denoised=schema == "removed"),
            f"annotation/calibration/calibration-{stem}.xml": _calibration(header, start, height, width, scale),
            f"annotation/calibration/noise-{stem}.xml": _noise(header, start, height, width, schema, scale),
        }
        for path, text in contents.items():
            (root / path).write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')
        _measurement(root / "measurement" / f"{stem}.tiff", backscatter, schema, scale, cog)
        files.append([*contents, f"measurement/{stem}.tiff"])
    (root / "manifest.safe").write_text(_manifest(list(sigma0), files, (height, width), start, stop, orbit, ipf))
    if not packed:
        return root
    archive = shutil.make_archive(str(folder / name.removesuffix(".SAFE")), "zip", folder, name)
    shutil.rmtree(root)
    return Path(archive)


def _measurement(path: Path, backscatter: Field, schema: str, scale: float, cog: bool) -> None:
    """Digital numbers in strips, so that products may be as large as real ones."""
    from rasterio.control import GroundControlPoint
    from rasterio.windows import Window

    height, width = backscatter.shape
    lines, pixels = (v.ravel() for v in np.meshgrid(_places(height, 10), _places(width, 21), indexing="ij"))
    points = zip(lines, pixels, *ground(lines, pixels), strict=True)
    gcps = [GroundControlPoint(row=r, col=c, x=x, y=y, z=0) for r, c, x, y in points]
    options = {"height": height, "width": width, "count": 1, "dtype": "uint16", "blockysize": 1}
    options |= {"nodata": 0} if cog else {}
    strips = path.with_suffix(".strips") if cog else path
    with create_raster(strips, gcps=gcps, crs="EPSG:4326", **options) as raster:
        for top in range(0, height, 128):
            sea = backscatter[top : top + 128]
            line, pixel = np.mgrid[top : top + len(sea), :width].astype(np.float64)
            power = sea * gain(line, pixel, scale) ** 2 + noise(line, pixel, schema, width, scale)
            numbers = np.where(np.isnan(power), 0, np.clip(np.rint(np.sqrt(power)), 1, 65535)).astype(np.uint16)
            raster.write(numbers, 1, window=Window(0, top, width, len(sea)))
    if cog:
        # As the Copernicus Data Space makes them, which keeps the original header behind the image.
        form = {"blocksize": 1024, "compress": "zstd", "overview_count": 6, "overview_resampling": "rms"}
        copy_raster(strips, path, **form)
        strips.unlink()
        with path.open("ab") as stream:
            stream.write(gzip.compress(b"II*", mtime=0))


def _header(polarisation: str, start: datetime, stop: datetime, number: int, orbit: int) -> str:
    return (
        "<adsHeader><missionId>S1B</missionId><productType>GRD</productType>"
        f"<polarisation>{polarisation.upper()}</polarisation><mode>IW</mode><swath>IW</swath>"
        f"<startTime>{_time(start)}</startTime><stopTime>{_time(stop)}</stopTime>"
        f"<absoluteOrbitNumber>{orbit}</absoluteOrbitNumber><missionDataTakeId>{TAKE}</missionDataTakeId>"
        f"<imageNumber>{number:03}</imageNumber></adsHeader>"
    )


def _annotation(header: str, height: int, width: int, *, denoised: bool) -> str:
    points = []
    for line in _places(height, 10):
        for pixel in _places(width, 21):
            lon, lat = ground(line, pixel)
            points.append(
                f"<geolocationGridPoint><line>{line:.0f}</line><pixel>{pixel:.0f}</pixel><latitude>{lat:.15e}</latitude>"
                f"<longitude>{lon:.15e}</longitude><height>0</height>"
                f"<incidenceAngle>{30 + 15 * pixel / (width - 1):.15e}</incidenceAngle></geolocationGridPoint>"
            )
    return (
        f"<product>{header}<imageAnnotation><imageInformation><rangePixelSpacing>{SPACING}</rangePixelSpacing>"
        f"<azimuthPixelSpacing>{SPACING}</azimuthPixelSpacing><numberOfSamples>{width}</numberOfSamples>"
        f"<numberOfLines>{height}</numberOfLines></imageInformation><processingInformation>"
        f"<thermalNoiseCorrectionPerformed>{str(denoised).lower()}</thermalNoiseCorrectionPerformed>"
        "</processingInformation>"
        f"</imageAnnotation><geolocationGrid><geolocationGridPointList>{''.join(points)}"
        "</geolocationGridPointList></geolocationGrid></product>"
    )


def _calibration(header: str, start: datetime, height: int, width: int, scale: float) -> str:
    """Vectors that begin before the image and end short of its last line."""
    pixels = _places(width, 8)
    vectors = [
        f"<calibrationVector>{_line(start, line)}{_list('pixel', pixels, '.0f')}"
        f"{_list('sigmaNought', gain(line, pixels, scale))}</calibrationVector>"
        for line in _places(height, 6) - height // 7
    ]
    return f"<calibration>{header}<calibrationVectorList>{''.join(vectors)}</calibrationVectorList></calibration>"


def _noise(header: str, start: datetime, height: int, width: int, schema: str, scale: float) -> str:
    """Vectors that end short of the last line, of which each has pixels of its own."""
    name = ("noiseVector", "noiseLut") if schema == "range" else ("noiseRangeVector", "noiseRangeLut")
    vectors = []
    for number, line in enumerate(_places(height, 4) - height // 7):
        pixels = _places(width, 5 + number)
        values = _list(name[1], noise(line, pixels, "range" if schema == "azimuth" else schema, width, scale))
        vectors.append(f"<{name[0]}>{_line(start, line)}{_list('pixel', pixels, '.0f')}{values}</{name[0]}>")
    text = f"<{name[0]}List>{''.join(vectors)}</{name[0]}List>"
    if schema == "azimuth":
        lines, blocks = _places(height, 9), [("IW1", 0, width // 2 - 1), ("IW2", width // 2, width - 1)]
        text += "<noiseAzimuthVectorList>" + "".join(
            f"<noiseAzimuthVector><swath>{swath}</swath><firstAzimuthLine>0</firstAzimuthLine>"
            f"<firstRangeSample>{first}</firstRangeSample><lastAzimuthLine>{height - 1}</lastAzimuthLine>"
            f"<lastRangeSample>{last}</lastRangeSample>{_list('line', lines, '.0f')}"
            f"{_list('noiseAzimuthLut', 1 + (1e-5 * lines if first else 0 * lines))}</noiseAzimuthVector>"
            for swath, first, last in blocks
        ) + "</noiseAzimuthVectorList>"  # fmt: skip
    return f"<noise>{header}{text}</noise>"


def _manifest(
    polarisations: list[str], files: list[list[str]], shape: tuple[int, int], start: datetime, stop: datetime,
    orbit: int, ipf: str,
) -> str:  # fmt: skip
    kinds = ("Product", "Calibration", "Noise", "Measurement")
    units, described, objects = list[str](), list[str](), list[str]()
    for polarisation, paths in zip(polarisations, files, strict=True):
        names = [f"{k.lower()}{polarisation}" for k in kinds]
        references = " ".join(f"{n}Annotation" for n in names[:3])
        units.append(
            f'<xfdu:contentUnit repID="s1Level1MeasurementSchema" dmdID="{references} ">'
            f'<dataObjectPointer dataObjectID="{names[3]}"/></xfdu:contentUnit>'
        )
        described += [
            f'<metadataObject ID="{n}Annotation"><dataObjectPointer dataObjectID="{n}"/></metadataObject>'
            for n in names[:3]
        ]
        objects += [
            f'<dataObject ID="{n}" repID="s1Level1{k}Schema"><byteStream><fileLocation locatorType="URL" href="./{p}"/>'
            "</byteStream></dataObject>"
            for n, k, p in zip(names, kinds, paths, strict=True)
        ]
    height, width = shape
    lon, lat = ground((height - 1) * np.array([1.0, 1, 0, 0]), (width - 1) * np.array([0.0, 1, 1, 0]))
    footprint = " ".join(f"{y:.6f},{x:.6f}" for x, y in zip(lon, lat, strict=True))
    modes = "".join(
        f"<s1sarl1:transmitterReceiverPolarisation>{p.upper()}</s1sarl1:transmitterReceiverPolarisation>"
        for p in polarisations
    )
    safe = "esa/safe/sentinel-1.0"
    spaces = " ".join(f'xmlns:{name}="urn:{name}"' for name in ("xfdu", "safe", "s1", "s1sarl1", "gml"))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<xfdu:XFDU {spaces} version="{safe}/sentinel-1/sar/level-1/grd">'
        f"<informationPackageMap><xfdu:contentUnit>{''.join(units)}</xfdu:contentUnit></informationPackageMap>"
        f'<metadataSection>{"".join(described)}<safe:software name="Sentinel-1 IPF" version="{ipf}"/>'
        "<safe:familyName>SENTINEL-1</safe:familyName><safe:number>B</safe:number><s1sarl1:mode>IW</s1sarl1:mode>"
        f'<safe:orbitNumber type="start">{orbit}</safe:orbitNumber>'
        '<safe:relativeOrbitNumber type="start">168</safe:relativeOrbitNumber><s1:pass>DESCENDING</s1:pass>'
        f"{modes}<s1sarl1:productType>GRD</s1sarl1:productType><safe:startTime>{_time(start)}</safe:startTime>"
        f"<safe:stopTime>{_time(stop)}</safe:stopTime><gml:coordinates>{footprint}</gml:coordinates>"
        f"</metadataSection><dataObjectSection>{''.join(objects)}</dataObjectSection></xfdu:XFDU>\n"
    )


def _places(size: int, count: int) -> Field:
    return np.unique(np.rint(np.linspace(0, size - 1, count)))


def _line(start: datetime, line: float) -> str:
    moment = start + timedelta(seconds=line * LINE_TIME)
    return f"<azimuthTime>{_time(moment)}</azimuthTime><line>{line:.0f}</line>"


def _list(name: str, values: Field, form: str = ".9e") -> str:
    return f'<{name} count="{len(values)}">{" ".join(format(v, form) for v in values.tolist())}</{name}>'


def _time(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")
