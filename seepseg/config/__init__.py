"""The config: one schema for every recipe, read from YAML with overrides."""

from seepseg.config.data import Augment, ClassNode, DataNode, Sampling, Scaling, SeepData, Split, TgsData
from seepseg.config.loss import (
    LOSS_HEADS,
    BceLoss,
    CeLoss,
    DiceBceLoss,
    DiceCeLoss,
    DiceLoss,
    FocalTverskyLoss,
    LossNode,
)
from seepseg.config.network import AttentionUNetModel, BasicUNetModel, Head, ModelNode, SegResNetModel, UNetModel
from seepseg.config.read import dump, load, parse, plain
from seepseg.config.schema import Config, Predict, Runtime
from seepseg.config.training import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    Optim,
    PlateauSchedule,
    PolySchedule,
    ScheduleNode,
    StepSchedule,
)

__all__ = [
    "LOSS_HEADS",
    "AttentionUNetModel",
    "Augment",
    "BasicUNetModel",
    "BceLoss",
    "CeLoss",
    "ClassNode",
    "Config",
    "ConstantSchedule",
    "CosineSchedule",
    "DataNode",
    "DiceBceLoss",
    "DiceCeLoss",
    "DiceLoss",
    "FocalTverskyLoss",
    "Head",
    "LossNode",
    "ModelNode",
    "OneCycleSchedule",
    "Optim",
    "PlateauSchedule",
    "PolySchedule",
    "Predict",
    "Runtime",
    "Sampling",
    "Scaling",
    "ScheduleNode",
    "SeepData",
    "SegResNetModel",
    "Split",
    "StepSchedule",
    "TgsData",
    "UNetModel",
    "dump",
    "load",
    "parse",
    "plain",
]
