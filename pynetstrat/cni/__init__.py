"""A CNI plugin (containernetworking/cni, SPEC.md), versions 0.3.0 to 1.1.0: docs/runtimes.md."""
