"""Books: one reader per format, chapters, passages, the index. Standard library and lxml only."""
