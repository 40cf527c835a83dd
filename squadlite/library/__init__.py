"""Books: a reader per format, chapters, passages, the index. Standard library, numpy and lxml."""
