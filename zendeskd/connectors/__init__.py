"""The systems that records come from. `base` is the protocol each fulfils."""
