"""The compressor: training code, never needed at run time."""
