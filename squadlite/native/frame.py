"""What every kernel is given: the address of a frame, which holds one of each of these."""

SLOTS = (
    "token_ids",  # int32 (rows,)
    "token_types",  # int32 (rows,)
    "n_tokens",  # the window's
    "n_rows",  # the window's tokens, rounded up to whole tiles
    "n_keys",  # the same, rounded up to whole panels of keys
    "words",  # float32 (vocab, embedded)
    "positions",  # float32 (positions, embedded)
    "types",  # float32 (token types, embedded)
    "biases",  # float32 (heads, 2 MAX_TOKENS): of scores; MAX_TOKENS on is a query's own place
    "ends",  # the norm of embeddings, their projection and the span head: `Layout.ends`
    "layers",  # addresses of each executed layer's block: `Layout.layer`
    "hidden",  # float32 (rows, hidden)
    "codes",  # bytes (rows, hidden): rows to multiply next
    "code_scales",  # float32 (rows,)
    "query_codes",  # bytes (rows, hidden)
    "query_scales",  # float32 (rows, heads)
    # Of these there are two, for layers in turn: one is written while other threads read the other.
    "key_codes",  # int8 (2, heads, key panels, steps of the width, keys of a panel, a step's codes)
    "key_scales",  # float32 (2, heads, keys)
    "key_corrections",  # int32 (2, heads, keys): what scores begin with
    "value_codes",  # (2, heads, 2 bytes for each key and column): see `values`
    "value_exponents",  # float32 (2, heads, keys): values are codes times 2 to these
    "value_units",  # float32 (2, heads, keys): 2 to minus these; 0 where there is no token
    "scratch",  # a thread's own: `Layout.scratch`
    "start_logits",  # float32 (rows,)
    "end_logits",  # float32 (rows,)
    "n_blocks",  # of rows, which threads take one after another in each step
    "n_block_rows",  # rows in each but the last
    "taken",  # the address of an int64: blocks taken so far, over all steps
    "done",  # the same: blocks computed
)
