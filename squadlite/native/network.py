"""The whole forward pass of one window as one function."""

from functools import partial

from llvmlite import ir

from squadlite.native.arithmetic import ACTIVATIONS
from squadlite.native.attention import Attention
from squadlite.native.code import Code
from squadlite.native.layout import LEAST_ACTIVATION, Layout, LinearLayout
from squadlite.native.machine_code import FORWARD
from squadlite.native.operands import FLOAT, INDEX, INT, POINTER, Value
from squadlite.native.products import linear
from squadlite.native.rows import columns_of, normalise, quantize, quantize_above, total

_ROWS = {"frame": POINTER, "start": INDEX, "n_rows": INDEX}
_LAYER = {**_ROWS, "weights": POINTER, "turn": INDEX}


class Network:
    """
    Writes a model's kernels.

    Args:
        layout: of the model, for the processor to write for.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.module = ir.Module("squadlite")
        self.module.triple = layout.cpu.triple
        self._normalise = self._write_normalise()
        self._embed = self._write_embed()
        self._project = self._write_project()
        self._mix = self._write_mix()
        self._judge = self._write_judge()
        self._wait = self._write_wait()
        self._write_forward()

    def _code(self, name: str, parameters: dict[str, object]) -> Code:
        return Code(self.module, name, parameters, self.layout.cpu)

    def _hidden(self, code: Code, row: Value) -> Value:
        return code.slot("hidden") + row * (4 * self.layout.hidden)

    def _codes(self, code: Code, row: Value) -> Value:
        return code.slot("codes") + row * self.layout.hidden

    def _write_normalise(self) -> Code:
        # Norm of rows of `hidden`, in place, and their codes.
        layout = self.layout
        code = self._code("normalise", {**_ROWS, "weights": POINTER})
        with code, code.loop(code["start"], code["start"] + code["n_rows"]) as row:
            hidden = self._hidden(code, row)
            normalise(
                code,
                hidden,
                width=layout.hidden,
                weight=code["weights"],
                bias=code["weights"] + 4 * layout.hidden,
                epsilon=layout.config.layer_norm_eps,
            )
            self._quantize(code, hidden, row)
        return code

    def _quantize(self, code: Code, source: Value, row: Value) -> None:
        quantize(
            code,
            source,
            width=self.layout.hidden,
            codes=self._codes(code, row),
            scale=code.slot("code_scales") + row * 4,
        )

    def _write_embed(self) -> Code:
        # Embeddings -> `hidden`, and its codes.
        layout = self.layout
        code = self._code("embed", _ROWS)
        with code:
            start, n_rows = code["start"], code["n_rows"]
            norm = code.slot("ends") + layout.ends["norm"]
            if layout.projection is None:
                self._sum_tables(code, self._hidden(code, start))
                code.call(self._normalise, code["frame"], start, n_rows, norm)
            else:
                self._widen_embeddings(code, norm, layout.projection)
        return code

    def _sum_tables(self, code: Code, sums: Value) -> None:
        # Sums of embeddings -> `sums`, (rows, embedded).
        row_bytes = 4 * self.layout.embedded
        with code.loop(0, code["n_rows"]) as row:
            token = code["start"] + row
            tables = [code.slot("positions") + token * row_bytes]
            for ids, table in (("token_ids", "words"), ("token_types", "types")):
                number = code.load(code.slot(ids) + token * 4, INT).widen(INDEX)
                tables.append(code.slot(table) + number * row_bytes)
            with columns_of(code, self.layout.embedded) as columns:
                for column in columns:
                    parts = (code.load_floats(table + column * 4) for table in tables)
                    position, word, token_type = parts
                    place = sums + (row * row_bytes + column * 4)
                    code.store(place, word + position + token_type)

    def _widen_embeddings(self, code: Code, norm: Value, projection: LinearLayout) -> None:
        # Narrow embeddings -> `hidden`, and its codes.
        layout = self.layout
        start, n_rows, width = code["start"], code["n_rows"], layout.embedded
        sums, codes, scales = (
            code.slot("scratch") + layout.scratch[name]
            for name in ("products", "wide_codes", "wide_scales")
        )
        self._sum_tables(code, sums)
        with code.loop(0, n_rows) as row:
            embedded = sums + row * (4 * width)
            normalise(
                code,
                embedded,
                width=width,
                weight=norm,
                bias=norm + 4 * width,
                epsilon=layout.config.layer_norm_eps,
            )
            quantize(code, embedded, width=width, codes=codes + row * width, scale=scales + row * 4)
        hidden = self._hidden(code, start)
        linear(
            code,
            projection,
            left=codes,
            scales=scales,
            weights=code.slot("ends") + layout.ends["projection"],
            n_rows=n_rows,
            use=lambda row, column, values: code.store(
                hidden + (row * (4 * layout.hidden) + column * 4), values
            ),
        )
        with code.loop(start, start + n_rows) as row:
            self._quantize(code, self._hidden(code, row), row)

    def _write_project(self) -> Code:
        # Codes -> queries, keys and values.
        layout = self.layout
        code = self._code("project", _LAYER)
        with code:
            products = code.slot("scratch") + layout.scratch["products"]
            linear(
                code,
                layout.query_key_value,
                left=self._codes(code, code["start"]),
                scales=code.slot("code_scales") + code["start"] * 4,
                weights=code["weights"] + layout.layer["query_key_value"],
                n_rows=code["n_rows"],
                use=lambda row, column, values: code.store(
                    products + (row * (12 * layout.hidden) + column * 4), values
                ),
            )
            Attention(code, layout).keep(products, start=code["start"], n_rows=code["n_rows"])
        return code

    def _write_mix(self) -> Code:
        # A layer from where all keys and values are there.
        layout = self.layout
        code = self._code("mix", _LAYER)
        with code:
            start, n_rows, weights = code["start"], code["n_rows"], code["weights"]
            products = code.slot("scratch") + layout.scratch["products"]
            Attention(code, layout).attend(products, start=start, n_rows=n_rows)
            with code.loop(0, n_rows) as row:
                self._quantize(code, products + row * (4 * layout.hidden), start + row)
            self._add(code, "gather", *self._own_codes(code))
            code.call(
                self._normalise,
                code["frame"],
                start,
                n_rows,
                weights + layout.layer["attention_norm"],
            )
            self._add(code, "narrow", *self._widen(code, products))
            code.call(self._normalise, code["frame"], start, n_rows, weights + layout.layer["norm"])
        return code

    def _own_codes(self, code: Code) -> tuple[Value, Value]:
        return self._codes(code, code["start"]), code.slot("code_scales") + code["start"] * 4

    def _widen(self, code: Code, products: Value) -> tuple[Value, Value]:
        layout = self.layout
        activation = ACTIVATIONS[layout.config.hidden_act]
        left, scales = self._own_codes(code)
        linear(
            code,
            layout.widen,
            left=left,
            scales=scales,
            weights=code["weights"] + layout.layer["widen"],
            n_rows=code["n_rows"],
            use=lambda row, column, values: code.store(
                products + (row * (4 * layout.wide) + column * 4), activation(values)
            ),
        )
        wide_codes = code.slot("scratch") + layout.scratch["wide_codes"]
        wide_scales = code.slot("scratch") + layout.scratch["wide_scales"]
        with code.loop(0, code["n_rows"]) as row:
            quantize_above(
                code,
                products + row * (4 * layout.wide),
                width=layout.wide,
                lowest=LEAST_ACTIVATION[layout.config.hidden_act],
                codes=wide_codes + row * layout.wide,
                scale=wide_scales + row * 4,
            )
        return wide_codes, wide_scales

    def _add(self, code: Code, name: str, left: Value, scales: Value) -> None:
        # Adds a linear map of codes to `hidden`.
        layout = self.layout
        hidden = self._hidden(code, code["start"])

        def add(row: Value, column: Value, values: Value) -> None:
            place = hidden + (row * (4 * layout.hidden) + column * 4)
            code.store(place, code.load_floats(place) + values)

        linear(
            code,
            getattr(layout, name),
            left=left,
            scales=scales,
            weights=code["weights"] + layout.layer[name],
            n_rows=code["n_rows"],
            use=add,
        )

    def _write_judge(self) -> Code:
        # `hidden` -> logits.
        layout = self.layout
        code = self._code("judge", _ROWS)
        with code, code.loop(code["start"], code["start"] + code["n_rows"]) as row:
            hidden = self._hidden(code, row)
            for i, logits in enumerate(("start_logits", "end_logits")):
                weight = code.slot("ends") + (layout.ends["span_weight"] + 4 * layout.hidden * i)
                product = total(code, layout.hidden, partial(_product, code, hidden, weight))
                bias = code.load(code.slot("ends") + (layout.ends["span_bias"] + 4 * i), FLOAT)
                code.store(code.slot(logits) + row * 4, product + bias)
        return code

    def _write_wait(self) -> Code:
        # Returns when `target` blocks have been computed in all.
        code = self._code("wait", {"frame": POINTER, "target": INDEX})
        with (
            code,
            code.loop_while(lambda: code.load_atomically(code.slot("done")) < code["target"]),
        ):
            code.give_way()
        return code

    def _write_forward(self) -> None:
        # Each thread takes the next block until none is left. A block needs what all blocks of the
        # step before give; whoever has taken those is at work on them, or has computed them.
        code = self._code(FORWARD, {"frame": POINTER})
        with code:
            n_blocks, n_block_rows = code.slot("n_blocks"), code.slot("n_block_rows")
            in_all = n_blocks * (self.layout.config.num_layers + 1)
            ticket = code.variable(code.add_atomically(code.slot("taken"), 1))
            with code.loop_while(lambda: ticket.get() < in_all):
                step = ticket.get() // n_blocks
                start = ticket.get() % n_blocks * n_block_rows
                n_rows = (code.slot("n_rows") - start).min(n_block_rows)
                code.call(self._wait, code["frame"], step * n_blocks)
                self._step(code, step, (code["frame"], start, n_rows))
                code.add_atomically(code.slot("done"), 1)
                ticket.set(code.add_atomically(code.slot("taken"), 1))
            code.call(self._wait, code["frame"], in_all)

    def _step(self, code: Code, step: Value, rows: tuple[Value, Value, Value]) -> None:
        # A layer from its keys and values to those of the next; the first begins with embeddings,
        # the last ends with logits.
        num_layers = self.layout.config.num_layers
        with code.when(step < 1):
            code.call(self._embed, *rows)
        with code.when(code.index(0) < step):
            layer = step - 1
            code.call(self._mix, *rows, self._weights_of(code, layer), layer % 2)
        with code.when(step < num_layers):
            code.call(self._project, *rows, self._weights_of(code, step), step % 2)
        with code.when(code.index(num_layers - 1) < step):
            code.call(self._judge, *rows)

    def _weights_of(self, code: Code, layer: Value) -> Value:
        return code.load(code.slot("layers") + layer * 8, POINTER)


def _product(code: Code, first: Value, second: Value, column: Value) -> Value:
    return code.load_floats(first + column * 4) * code.load_floats(second + column * 4)
