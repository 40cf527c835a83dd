"""Codes and steps chosen by what they do to a model's answers."""
