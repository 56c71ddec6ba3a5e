"""The machine: device, threads, work ahead, executors."""
