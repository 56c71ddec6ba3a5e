"""The machine: device, cores, threads, signals, work ahead, executors."""
