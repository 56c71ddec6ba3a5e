"""Every picture: arrays for TensorBoard (`pictures`), PNG files of tiles (`sheets`) and of numbers (`plots`)."""
