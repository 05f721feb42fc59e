"""Converts a CTranslate2 Whisper model to whisper.cpp's format, to test our reader and to compare with whisper.cpp.

    python ggml.py MODEL_DIRECTORY OUTPUT_DIRECTORY

Requires numpy and safetensors. The model must be float16. Writes OUTPUT/{f16,q8_0,q5_0,q5_1,q4_0,q4_1}/ggml-NAME.bin, which
contain the vocabulary. Then

    amanuensis transcribe --model OUTPUT_DIRECTORY/q8_0 RECORDING

transcribes with such a model. If the package pywhispercpp is installed, `python ggml.py --peer MODEL_FILE RECORDING...` prints
the transcripts of whisper.cpp.
"""

import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
from convert import hugging_face, read

RULES = [
    (r"^model\.", ""),
    (r"\.layers\.", ".blocks."),
    (r"self_attn_layer_norm", "attn_ln"),
    (r"encoder_attn_layer_norm", "cross_attn_ln"),
    (r"final_layer_norm", "mlp_ln"),
    (r"self_attn\.", "attn."),
    (r"encoder_attn\.", "cross_attn."),
    (r"q_proj", "query"),
    (r"k_proj", "key"),
    (r"v_proj", "value"),
    (r"out_proj", "out"),
    (r"fc1", "mlp.0"),
    (r"fc2", "mlp.2"),
    (r"encoder\.layer_norm", "encoder.ln_post"),
    (r"decoder\.layer_norm", "decoder.ln"),
    (r"embed_tokens", "token_embedding"),
    (r"embed_positions\.weight", "positional_embedding"),
]
# The numbers of tensor types in ggml's `enum ggml_type`. The number of a file type is that of its main tensor type (`enum
# ggml_ftype`); for quantised types it also contains the version of the block format, times 1000.
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
FILE_TYPES = {"f16": 1, "q8_0": 2007, "q5_0": 2008, "q5_1": 2009, "q4_0": 2002, "q4_1": 2003}


def alphabet():
    """Returns the byte that each character of GPT-2's byte alphabet represents."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def mel_filters(n_mels, n_fft=400, rate=16000):
    """Returns Slaney mel filters, (n_mels, n_fft / 2 + 1), equal to librosa's. whisper.cpp reads them from the file."""
    top = 15 + 27 * np.log(rate / 2 / 1000) / np.log(6.4)
    mels = np.linspace(0, top, n_mels + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    slopes = edges[:, None] - np.fft.rfftfreq(n_fft, 1 / rate)
    widths = np.diff(edges)[:, None]
    rise, fall = -slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]
    return (np.maximum(0, np.minimum(rise, fall)) * 2 / (edges[2:] - edges[:-2])[:, None]).astype(np.float32)


def quantised(value, kind):
    """Quantises to blocks of 32 values like ggml's `quantize_row_*_ref`. Returns (n_blocks, bytes)."""
    blocks = value.astype(np.float32).reshape(-1, 32)
    halves = lambda column: column.astype(np.float16).view(np.uint8).reshape(-1, 2)
    divided = lambda by: np.divide(blocks - least, by[:, None], out=np.zeros_like(blocks), where=by[:, None] != 0)
    least = np.float32(0)
    if kind == "q8_0":
        scale = np.abs(blocks).max(axis=1) / np.float32(127)
        scaled = divided(scale)
        rounded = (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(np.int8)
        return np.concatenate([halves(scale), rounded.view(np.uint8)], axis=1)
    levels = 32 if kind.startswith("q5") else 16
    if kind.endswith("_0"):
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], 1)[:, 0]
        scale, head = largest / np.float32(-levels // 2), []
        codes = divided(scale) + np.float32(levels // 2)
    else:
        least = blocks.min(axis=1)[:, None]
        scale = (blocks.max(axis=1) - least[:, 0]) / np.float32(levels - 1)
        head, codes = [halves(least)], divided(scale)
    codes = np.minimum(np.floor(codes + 0.5), levels - 1).astype(np.uint8)
    if levels == 32:
        head.append(np.packbits(codes >> 4, axis=1, bitorder="little"))
    return np.concatenate([halves(scale), *head, codes[:, :16] & 15 | (codes[:, 16:] & 15) << 4], axis=1)


def type_of(name, value, kind):
    """Returns the type that whisper.cpp expects for a tensor."""
    if value.ndim == 1 or name.endswith("positional_embedding"):
        return "f32"
    return kind if value.ndim == 2 else "f16"


def main(model, output):
    _, variables, _ = read(model / "model.bin")
    tensors = hugging_face(variables)
    tokens = (model / "vocabulary.txt").read_text().split("\n")
    tokens = tokens[: tokens.index("<|endoftext|>")]
    characters = alphabet()
    shape = {name.removeprefix("model."): value.shape for name, value in tensors.items()}
    layers = [sum(f"{network}.layers.{n}.fc1.bias" in shape for n in range(99)) for network in ["encoder", "decoder"]]
    heads = [int(variables[f"{network}/num_heads"]) for network in ["encoder", "decoder"]]
    n_mels = shape["encoder.conv1.weight"][1]
    for kind, file_type in FILE_TYPES.items():
        (output / kind).mkdir(parents=True, exist_ok=True)
        with (output / kind / f"ggml-{model.resolve().name}.bin").open("wb") as file:

            def write(*numbers):
                file.write(struct.pack(f"<{len(numbers)}I", *numbers))

            write(0x67676D6C, shape["decoder.embed_tokens.weight"][0])
            write(*shape["encoder.embed_positions.weight"], heads[0], layers[0])
            write(*shape["decoder.embed_positions.weight"], heads[1], layers[1])
            write(n_mels, file_type)
            filters = mel_filters(n_mels)
            write(*filters.shape)
            file.write(filters.tobytes())
            write(len(tokens))
            for token in tokens:
                write(len(token))
                file.write(bytes(characters[character] for character in token))
            for name, value in tensors.items():
                for pattern, replacement in RULES:
                    name = re.sub(pattern, replacement, name)
                tensor_type = type_of(name, value, kind)
                if re.search(r"conv\d\.bias", name):
                    value = value.reshape(-1, 1)
                write(value.ndim, len(name), TYPES[tensor_type], *reversed(value.shape))
                file.write(name.encode())
                floats = {"f32": np.float32, "f16": np.float16}.get(tensor_type)
                stored = value.astype(floats) if floats else quantised(value, tensor_type)
                file.write(stored.tobytes())


def peer(model, recordings):
    """Prints whisper.cpp's transcript of each recording as a line of JSON."""
    from pywhispercpp.model import Model

    whisper = Model(model, n_threads=2, print_progress=False, print_realtime=False)
    for recording in recordings:
        text = " ".join(segment.text.strip() for segment in whisper.transcribe(recording, language="auto"))
        print(json.dumps({"recording": recording, "text": text}, ensure_ascii=False))


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        peer(sys.argv[2], sys.argv[3:])
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
