"""Every picture: arrays fit for TensorBoard (`pictures`), PNG files of tiles (`sheets`) and of numbers (`plots`)."""
