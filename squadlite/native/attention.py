"""
Softmax attention over codes.

Queries and keys are 8-bit codes with a scale for each token and head. Attention weights are 12-bit
codes, and values 9 bits and a sign, times a power of two for each token and head. That power is
added to the token's scores, so that what multiplies a value's code is weight and scale in one.
See `values` for how they are multiplied.
"""

from squadlite.native.arithmetic import MANTISSA_BITS, power_of_2, whole_scaled
from squadlite.native.code import Code
from squadlite.native.layout import KEY_VECTORS, MAX_TOKENS, NEVER, TINY, TOP_CODE, Layout
from squadlite.native.operands import BYTE, FLOAT, INT, Value
from squadlite.native.products import Multiply, multiplier
from squadlite.native.rows import joined, magnitude
from squadlite.native.values import values_of

# With at most 512 tokens sums stay below 2^(12 + 9 + 9).
_WEIGHT_BITS = 12
_VALUE_BITS = 9
_SMALLEST_VALUE = 2.0**-40  # what is below counts as 0
_EXPONENT_BIAS = 127  # of floats


class Attention:
    """
    Writes attention into a kernel.

    Args:
        code: the kernel; its "turn" says which of two places keys and values have in this layer.
        layout: the model's.
    """

    def __init__(self, code: Code, layout: Layout) -> None:
        self._code, self._layout = code, layout
        self._values = values_of(code, layout)

    def keep(self, products: Value, *, start: Value, n_rows: Value) -> None:
        """
        Keep tokens' queries, keys and values where `attend` finds them.

        Args:
            products: (rows, 3, heads, width) float32.
            start: the first row's number in the window.
            n_rows: a multiple of a tile's.
        """
        code, layout, tokens = self._code, self._layout, self._values.tokens
        row_bytes, head_bytes = 4 * layout.hidden, 4 * layout.width
        with code.loop(0, n_rows, tokens) as row, code.loop(0, layout.heads) as head:
            values = []
            for i in range(tokens):
                token = start + row + i
                query = products + ((row + i) * (3 * row_bytes) + head * head_bytes)
                self._keep_query(query, token, head)
                self._keep_key(query + row_bytes, token, head)
                values.append(self._keep_octave(query + 2 * row_bytes, token, head))
            self._values.keep(self._values_of(head), start + row, values)

    def attend(self, gathered: Value, *, start: Value, n_rows: Value) -> None:
        """
        Let tokens gather from all of their window.

        Args:
            gathered: (rows, heads, width) float32, written.
            start: the first row's number in the window.
            n_rows: a multiple of a tile's.
        """
        code, layout = self._code, self._layout
        scores = code.slot("scratch") + layout.scratch["scores"]
        weights = code.slot("scratch") + layout.scratch["weights"]
        with (
            multiplier(code, layout.attention_turn) as multiply,
            code.loop(0, layout.heads) as head,
            code.loop(0, n_rows, code.cpu.tile_rows) as row,
        ):
            best = self._score(multiply, scores, start + row, head)
            totals = self._weigh(scores, weights, best, head)
            out = gathered + (row * (4 * layout.hidden) + head * (4 * layout.width))
            self._gather(multiply, weights, totals, out, head)

    def _of_head(self, slot: str, head: Value, offset: Value) -> Value:
        # An address in a head's part of this turn's keys or values.
        token_bytes = {"key_codes": 1, "value_codes": 2}
        width = token_bytes[slot] * self._layout.width if slot in token_bytes else 4
        place = self._code["turn"] * self._layout.heads + head
        return self._code.slot(slot) + (place * (width * MAX_TOKENS) + offset)

    def _values_of(self, head: Value) -> Value:
        return self._of_head("value_codes", head, self._code.index(0))

    def _codes(self, floats: Value, top: Value, top_code: int) -> list[Value]:
        # Vectors of whole numbers, the largest magnitude being `top_code`.
        code = self._code
        steps = (top.like(top_code) / top).spread(code.lanes)
        places = range(0, 4 * self._layout.width, 4 * code.lanes)
        return [whole_scaled(code.load_floats(floats + place), steps) for place in places]

    def _keep_query(self, query: Value, token: Value, head: Value) -> None:
        code, layout = self._code, self._layout
        top = magnitude(code, query, layout.width).max(TINY)
        target = code.slot("query_codes") + (token * layout.hidden + head * layout.width)
        for vector, codes in enumerate(self._codes(query, top, TOP_CODE)):
            code.store(target + vector * code.lanes, (codes + code.cpu.zero_code).low_bits(BYTE))
        scale = top * (layout.score_scale / TOP_CODE)
        code.store(code.slot("query_scales") + (token * layout.heads + head) * 4, scale)

    def _keep_key(self, key: Value, token: Value, head: Value) -> None:
        code, layout = self._code, self._layout
        top = magnitude(code, key, layout.width).max(TINY)
        vectors = self._codes(key, top, code.cpu.top_weight)
        # A step of a panel is so many codes of each token.
        step_inputs = code.cpu.step_inputs
        panel, lane = token // layout.panel_keys, token % layout.panel_keys
        place = panel * (layout.panel_keys * layout.width) + lane * step_inputs
        target = self._of_head("key_codes", head, place)
        fours = [
            bytes_of_4.lane(i)
            for bytes_of_4 in (codes.low_bits(BYTE).bits_as(INT) for codes in vectors)
            for i in range(bytes_of_4.lanes)
        ]
        for i, four in enumerate(fours):
            step, within = divmod(4 * i, step_inputs)
            code.store(target + (step * step_inputs * layout.panel_keys + within), four)
        # Query codes are too large by what stands for 0.
        correction = joined(vectors, lambda a, b: a + b).sum() * -code.cpu.zero_code
        code.store(self._of_head("key_corrections", head, token * 4), correction)
        code.store(self._of_head("key_scales", head, token * 4), top * (1 / code.cpu.top_weight))

    def _keep_octave(self, value: Value, token: Value, head: Value) -> list[Value]:
        # Keeps the power of two; returns a value's codes, vectors of whole numbers.
        code, layout = self._code, self._layout
        top = magnitude(code, value, layout.width).max(_SMALLEST_VALUE)
        # `top` lies below 2^octave, and not below half of that.
        octave = (top.bits_as(INT) >> MANTISSA_BITS) - (_EXPONENT_BIAS - 1)
        exponent = octave - _VALUE_BITS
        unit = ((exponent * -1 + _EXPONENT_BIAS) << MANTISSA_BITS).bits_as(FLOAT)
        is_token = token < code.slot("n_tokens")
        for slot, kept in (
            ("value_exponents", is_token.choose(exponent.to_float(), NEVER)),
            ("value_units", is_token.choose(unit, 0)),
        ):
            code.store(self._of_head(slot, head, token * 4), kept)
        units = unit.spread(code.lanes)
        places = range(0, 4 * layout.width, 4 * code.lanes)
        return [whole_scaled(code.load_floats(value + place), units) for place in places]

    def _score(self, multiply: Multiply, scores: Value, token: Value, head: Value) -> list[Value]:
        # Writes a tile of rows of scores, exponents of two; returns each row's largest.
        code, layout = self._code, self._layout
        rows = range(code.cpu.tile_rows)
        vector_bytes = 4 * code.lanes
        queries = code.slot("query_codes") + (token * layout.hidden + head * layout.width)
        scales = code.slot("query_scales") + (token * layout.heads + head) * 4
        best = [code.variable(code.floats(NEVER)) for _ in rows]
        biases = None
        if layout.has_biases:
            first = head * (2 * MAX_TOKENS) + MAX_TOKENS - token  # the first row's, of key 0
            biases = code.slot("biases") + first * 4
        with code.loop(0, code.slot("n_keys"), layout.panel_keys) as key:
            corrections, key_scales, exponents = (
                [
                    code.load(self._of_head(slot, head, key * 4) + place, element, code.lanes)
                    for place in range(0, KEY_VECTORS * vector_bytes, vector_bytes)
                ]
                for slot, element in (
                    ("key_corrections", INT),
                    ("key_scales", FLOAT),
                    ("value_exponents", FLOAT),
                )
            )
            sums = multiply(
                left=queries,
                row_bytes=layout.hidden,
                right=self._of_head("key_codes", head, key * layout.width),
                right_bytes=layout.panel_keys * code.cpu.step_inputs,
                inputs=layout.width,
                first=corrections,
                row_tiles=1,
            )
            for i in rows:
                scale = code.load(scales + i * 4 * layout.heads, FLOAT).spread(code.lanes)
                for vector in range(KEY_VECTORS):
                    scaled = sums(i, vector).to_float() * key_scales[vector]
                    score = scaled.fma(scale, exponents[vector])
                    if biases is not None:
                        of_keys = biases + (key * 4 + (vector * vector_bytes - i * 4))
                        score = score + code.load_floats(of_keys)
                    place = i * 4 * MAX_TOKENS + vector * vector_bytes
                    code.store(scores + (key * 4 + place), score)
                    best[i].set(best[i].get().max(score))
        return [largest.get().largest() for largest in best]

    def _weigh(self, scores: Value, weights: Value, best: list[Value], head: Value) -> list[Value]:
        # Scores -> codes of weights; returns what divides each row's sums.
        code = self._code
        totals = [code.variable(code.floats(0)) for _ in best]
        shifts = [(row_best * -1 + _WEIGHT_BITS).spread(code.lanes) for row_best in best]
        with code.loop(0, code.slot("n_keys"), code.lanes) as key:
            unit = code.load_floats(self._of_head("value_units", head, key * 4))
            for i, (total, shift) in enumerate(zip(totals, shifts, strict=True)):
                score = code.load_floats(scores + (key * 4 + i * 4 * MAX_TOKENS))
                weight = power_of_2(score + shift)
                total.set(weight.fma(unit, total.get()))
                self._values.keep_weights(weights, i, key, weight)
        return [total.get().sum() for total in totals]

    def _gather(
        self, multiply: Multiply, weights: Value, totals: list[Value], out: Value, head: Value
    ) -> None:
        code, layout = self._code, self._layout
        factors = [(total.like(1.0) / total).spread(code.lanes) for total in totals]
        for row, vector, sums in self._values.gathered(multiply, weights, self._values_of(head)):
            place = row * 4 * layout.hidden + vector * 4 * code.lanes
            code.store(out + place, sums.to_float() * factors[row])
