"""
Two model files side by side.

    files        what they hold: configuration, vocabulary, metadata, tensors, sizes
    predictions  what they answer, and how far their span distributions lie apart
"""
