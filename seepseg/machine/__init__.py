"""The machine: device, threads, work ahead, executors; nothing of the science."""
