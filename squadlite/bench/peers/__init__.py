"""
What people would use in squadlite's place, each on the very weights that squadlite runs.

    weights         a .sqz file or a checkpoint folder, decoded for the others
    hugging         transformers on torch, and torch's dynamic int8
    onnx_runtime    ONNX Runtime on the graph that `squadlite export` writes, f32 and dynamic int8
    open_vino       OpenVINO, f32, of its own choice, and int8 in two ways
    ctranslate      CTranslate2, f32, bf16 and int8

One module per library, which it imports inside its functions. Each offers `KINDS`, a tuple of
`RuntimeKind`, and has a line in `squadlite.bench.runtimes`. A peer is set up as those who know it
would: of the settings that we measured, the fastest that still gives the same answers.
"""
