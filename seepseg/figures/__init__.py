"""Every picture: arrays fit for TensorBoard (`pictures`), PNG files of tiles (`sheets`) and of numbers (`plots`)."""

from seepseg.figures.pictures import (
    ERROR_BACKGROUND,
    ERROR_COLORS,
    beside,
    colorize,
    error_map,
    jpeg,
    overlay,
    panel,
    rgb,
    stretch,
    thinned,
)
from seepseg.figures.plots import (
    confusion_picture,
    save_class_balance,
    save_confusion,
    save_differences,
    save_intensity,
    save_rate_curve,
    save_threshold,
    save_training,
)
from seepseg.figures.sheets import QuickLook, save_gallery

__all__ = [
    "ERROR_BACKGROUND",
    "ERROR_COLORS",
    "QuickLook",
    "beside",
    "colorize",
    "confusion_picture",
    "error_map",
    "jpeg",
    "overlay",
    "panel",
    "rgb",
    "save_class_balance",
    "save_confusion",
    "save_differences",
    "save_gallery",
    "save_intensity",
    "save_rate_curve",
    "save_threshold",
    "save_training",
    "stretch",
    "thinned",
]
