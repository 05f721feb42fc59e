#!/usr/bin/env python3
"""Makes copies of an ONNX export with one common mistake each. `docs/decoder.md` shows what each looks like in `trace`.

    VENV/bin/python tools/damage_onnx.py exports/base/f32 damaged

Undamaged files are symbolic links to the original. `swapped`: self-attention keys and values of the first layer are
exchanged between the first pass and the next, as if outputs were bound by position. `crossed`: the output named as the
self-attention value is the cross-attention key. `doubled`: the past is concatenated to caches that already contain it.
`transposed`: a weight of the encoder is transposed. `last`: eight values of the last decoder layer's bias are changed.
`shifted`: the vocabulary has one extra token before `<|translate|>`.
"""
import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

LAYER = "present.0"


def copy(source: pathlib.Path, target: pathlib.Path, name: str, model: onnx.ModelProto) -> None:
    """Links all files of `source` into `target`, except `name`, which is written from `model`."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        link = target / file.name
        link.unlink(missing_ok=True)
        if file.name != name:
            link.symlink_to(file.resolve())
    onnx.save(model, target / name)


def exchange(model: onnx.ModelProto, a: str, b: str) -> onnx.ModelProto:
    """Exchanges the names of two outputs."""
    names = {a: b, b: a}
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
    return model


def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Makes the first layer's cache `past + present`, although `present` already begins with the past."""
    present = f"{LAYER}.decoder.key"
    for node in model.graph.node:
        node.output[:] = ["whole" if value == present else value for value in node.output]
        node.input[:] = ["whole" if value == present else value for value in node.input]
    past = present.replace("present", "past_key_values")
    model.graph.node.append(helper.make_node("Concat", [past, "whole"], [present], axis=2))
    return model


def weight_of(model: onnx.ModelProto, fragment: str, op_type: str) -> onnx.TensorProto:
    """The weight of the first node of type `op_type` whose name contains `fragment`."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if fragment in node.name and node.op_type == op_type]
    return next(tensors[value] for node in nodes for value in node.input if value in tensors)


def alter(model: onnx.ModelProto, fragment: str, op_type: str, change) -> onnx.ModelProto:
    tensor = weight_of(model, fragment, op_type)
    values = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = map(pathlib.Path, sys.argv[1:])
    load = lambda name: onnx.load(source / name)
    first, cached, encoder = "decoder_model.onnx", "decoder_with_past_model.onnx", "encoder_model.onnx"
    layers = json.loads((source / "config.json").read_text())["decoder_layers"]
    key, value = f"{LAYER}.decoder.key", f"{LAYER}.decoder.value"
    copy(source, target / "swapped", first, exchange(load(first), key, value))
    copy(source, target / "crossed", first, exchange(load(first), value, f"{LAYER}.encoder.key"))
    copy(source, target / "doubled", cached, doubled(load(cached)))
    copy(source, target / "transposed", encoder, alter(load(encoder), "layers.0/self_attn/q_proj", "MatMul", lambda w: w.T))
    bias = alter(load(first), f"layers.{layers - 1}/fc2", "Add", lambda b: b + 5 * (np.arange(len(b)) < 8))
    copy(source, target / "last", first, bias)
    copy(source, target / "shifted", first, load(first))
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for token in tokenizer["added_tokens"]:
        token["id"] += token["id"] >= ids["<|translate|>"]
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary.update({text: id + 1 for text, id in vocabulary.items() if id >= ids["<|translate|>"]})
    (target / "shifted" / "tokenizer.json").unlink()
    (target / "shifted" / "tokenizer.json").write_text(json.dumps(tokenizer))


if __name__ == "__main__":
    main()
