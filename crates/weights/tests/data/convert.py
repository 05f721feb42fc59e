"""Converts a CTranslate2 Whisper model to other types and to safetensors, to test the readers with real weights.

    python convert.py MODEL_DIRECTORY OUTPUT_DIRECTORY

Requires numpy and safetensors. Writes OUTPUT/{float32,bfloat16,int16,int8}/model.bin with the model's other files, so that
CTranslate2 can load them, and OUTPUT/hf/model.safetensors and OUTPUT/sharded/. Quantisation is that of CTranslate2's
model_spec.py. Then

    cargo run --release -p amanuensis-weights --example compare -- MODEL_DIRECTORY OUTPUT_DIRECTORY/int8

compares any two of them.
"""

import json
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

TYPES = ["float32", "int8", "int16", "int32", "float16", "bfloat16"]


def read(path):
    """Returns the header (version, specification, revision), the variables by name, and pairs (alias, target)."""
    data, at = path.read_bytes(), 0

    def unpack(code):
        nonlocal at
        (value,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize(code)
        return value

    def string():
        return unpack(f"{unpack('H')}s")[:-1].decode()

    header = unpack("I"), string(), unpack("I")
    variables = {}
    for _ in range(unpack("I")):
        name = string()
        shape = [unpack("I") for _ in range(unpack("B"))]
        dtype, size = TYPES[unpack("B")], unpack("I")
        variables[name] = np.frombuffer(data, dtype, size // np.dtype(dtype).itemsize, at).reshape(shape)
        at += size
    aliases = [(string(), string()) for _ in range(unpack("I"))]
    assert at == len(data)
    return header, variables, aliases


def bfloat16(value):
    """Rounds to bfloat16, ties to even, and returns the bits as uint16."""
    bits = value.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def quantised(variables, kind):
    """Yields (name, type code, array) for each variable, converted to the type `kind`."""
    for name, value in variables.items():
        if value.dtype != np.float16:
            yield name, TYPES.index(value.dtype.name), value
            continue
        value = value.astype(np.float32)
        if kind == "bfloat16":
            yield name, TYPES.index("bfloat16"), bfloat16(value)
            continue
        if name.endswith("/weight") and kind == "int8":
            absmax = np.abs(value.reshape(len(value), -1)).max(axis=1)
            scale = np.float32(127) / np.where(absmax == 0, np.float32(127), absmax)
            yield name + "_scale", 0, scale.astype(np.float32)
            value = np.rint(value * scale.reshape(-1, *[1] * (value.ndim - 1))).astype(np.int8)
        elif name.endswith("/weight") and kind == "int16":
            scale = np.float32(2**10 / np.abs(value).max())
            yield name + "_scale", 0, np.array(scale)
            value = np.rint(value * scale).astype(np.int16)
        yield name, TYPES.index(value.dtype.name), value


def write(path, header, variables, aliases):
    def string(value):
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    variables = sorted(variables)
    with path.open("wb") as file:
        file.write(struct.pack("<I", header[0]) + string(header[1]) + struct.pack("<II", header[2], len(variables)))
        for name, code, value in variables:
            file.write(string(name) + struct.pack(f"<B{value.ndim}IBI", value.ndim, *value.shape, code, value.nbytes))
            file.write(value.tobytes())
        file.write(struct.pack("<I", len(aliases)) + b"".join(string(a) + string(b) for a, b in aliases))


def hugging_face(variables):
    """Returns the tensors of transformers' WhisperForConditionalGeneration, given the variables of a CTranslate2 model."""
    rules = [
        (r"layer_(\d+)/", r"layers.\1."),
        (r"self_attention/layer_norm", "self_attn_layer_norm"),
        (r"self_attention/linear_0", "self_attn.q_proj+self_attn.k_proj+self_attn.v_proj"),
        (r"self_attention/linear_1", "self_attn.out_proj"),
        (r"attention/layer_norm", "encoder_attn_layer_norm"),
        (r"attention/linear_0", "encoder_attn.q_proj"),
        (r"attention/linear_1", "encoder_attn.k_proj+encoder_attn.v_proj"),
        (r"attention/linear_2", "encoder_attn.out_proj"),
        (r"ffn/layer_norm", "final_layer_norm"),
        (r"ffn/linear_0", "fc1"),
        (r"ffn/linear_1", "fc2"),
        (r"position_encodings/encodings", "embed_positions.weight"),
        (r"decoder/embeddings", "decoder.embed_tokens"),
        (r"gamma$", "weight"),
        (r"beta$", "bias"),
    ]
    tensors = {}
    for name, value in variables.items():
        if value.ndim == 0:
            continue
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        scope, modules, parameter = re.fullmatch(r"(encoder\W|decoder\W)(layers\.\d+\.)?(.*)[./](weight|bias)", name).group(
            1, 3, 4
        )
        layer = re.search(r"layers\.\d+\.", name)
        modules = modules.split("+")
        for module, part in zip(modules, np.split(value, len(modules))):
            if not (module.endswith("k_proj") and parameter == "bias"):
                full = f"model.{scope[:-1]}.{layer.group() if layer else ''}{module}.{parameter}"
                tensors[full] = np.ascontiguousarray(part)
    return tensors


def main(model, output):
    header, variables, aliases = read(model / "model.bin")
    for kind in ["float32", "bfloat16", "int16", "int8"]:
        directory = output / kind
        directory.mkdir(parents=True, exist_ok=True)
        write(directory / "model.bin", header, quantised(variables, kind), aliases)
        for file in model.iterdir():
            if file.name != "model.bin":
                shutil.copy(file, directory)

    tensors = hugging_face(variables)
    (output / "hf").mkdir(exist_ok=True)
    save_file(tensors, output / "hf" / "model.safetensors", metadata={"format": "pt"})

    (output / "sharded").mkdir(exist_ok=True)
    weight_map = {}
    for i in range(3):
        name = f"model-{i + 1:05}-of-00003.safetensors"
        shard = {key: value for n, (key, value) in enumerate(sorted(tensors.items())) if n % 3 == i}
        save_file(shard, output / "sharded" / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, name)
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": weight_map}
    (output / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
