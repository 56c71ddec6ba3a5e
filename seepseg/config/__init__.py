"""The config: one schema for every recipe, read from YAML with overrides."""

from seepseg.config.data import DataNode, NnunetData, ScenesData, SeepData, TgsData, TileFolders, TilesData
from seepseg.config.loss import (
    LOSS_HEADS,
    BceLoss,
    CeLoss,
    DiceBceLoss,
    DiceCeLoss,
    DiceLoss,
    FocalTverskyLoss,
    LossNode,
    LovaszHingeLoss,
    LovaszSoftmaxLoss,
    TwoHeadLoss,
    wrong_head,
)
from seepseg.config.network import (
    AttentionUNetModel,
    BasicUNetModel,
    DeepLabV3PlusModel,
    EfficientUNetScSEModel,
    Encoder,
    Head,
    ModelNode,
    NetworkInput,
    PreActResUNetModel,
    PretrainedModel,
    ResUNetScSEModel,
    SegResNetModel,
    UNetModel,
    XceptionResUNetModel,
)
from seepseg.config.preparation import Augment, Sampling, Scaling, Split
from seepseg.config.read import as_yaml, dump, load, parse, parse_node, plain
from seepseg.config.recipes import find_config, purpose, recipes
from seepseg.config.schema import Config, Predict, Runtime
from seepseg.config.training import (
    ConstantSchedule,
    CosineSchedule,
    Objects,
    OneCycleSchedule,
    Optim,
    PlateauSchedule,
    ScheduleNode,
    Stage,
    StepSchedule,
)
from seepseg.config.values import ClassNode
