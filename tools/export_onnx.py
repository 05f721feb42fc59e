#!/usr/bin/env python3
"""Makes ONNX exports, as Hugging Face's tools write them, of an installed CTranslate2 model or of random weights.

    python3 -m venv VENV && VENV/bin/pip install 'optimum-onnx[onnxruntime]' torch
    VENV/bin/python tools/export_onnx.py "$(amanuensis models path base)" exports/base
    VENV/bin/python tools/export_onnx.py --random crates/engine/tests/data/onnx

The first command writes exports/base/{f32,f16,int8}, each with `encoder_model.onnx`, `decoder_model.onnx`,
`decoder_with_past_model.onnx`, `decoder_model_merged.onnx` and the JSON files of a repository on the hub. The weights are
those of the CTranslate2 model, so the texts can be compared. `int8` is dynamically quantised (MatMulInteger, DynamicQuantizeLinear).

The second command writes a tiny model with random weights in the same number formats (for f16 and int8 only the merged
decoder); `torch`, the same model as saved by PyTorch's tools; and `expected.json` with PyTorch's results: the encoder
states, and the logits after each token.
"""
import argparse
import json
import pathlib
import shutil
import struct
import tempfile

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from optimum.exporters.onnx import main_export
from optimum.onnx.graph_transformations import merge_decoders
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

GRAPHS = ["encoder_model", "decoder_model", "decoder_with_past_model", "decoder_model_merged"]
MULTILINGUAL_SIZE = 51865
# Each CTranslate2 module, and the PyTorch modules whose rows it stacks.
MODULES = {
    "conv1": ["conv1"],
    "conv2": ["conv2"],
    "position_encodings": ["embed_positions"],
    "embeddings": ["embed_tokens"],
    "layer_norm": ["layer_norm"],
    "self_attention/layer_norm": ["self_attn_layer_norm"],
    "self_attention/linear_0": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "self_attention/linear_1": ["self_attn.out_proj"],
    "attention/layer_norm": ["encoder_attn_layer_norm"],
    "attention/linear_0": ["encoder_attn.q_proj"],
    "attention/linear_1": ["encoder_attn.k_proj", "encoder_attn.v_proj"],
    "attention/linear_2": ["encoder_attn.out_proj"],
    "ffn/layer_norm": ["final_layer_norm"],
    "ffn/linear_0": ["fc1"],
    "ffn/linear_1": ["fc2"],
}
PARAMETERS = {"weight": "weight", "gamma": "weight", "encodings": "weight", "bias": "bias", "beta": "bias"}


def read_variables(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables of a `model.bin`, whose layout `crates/weights/src/ctranslate2.rs` describes."""
    data, at = path.read_bytes(), 0

    def take(form: str) -> tuple:
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    def name() -> str:
        (length,) = take("H")
        return take(f"{length}s")[0][:-1].decode()

    take("I"), name()
    _, count = take("II")
    types = [np.float32, np.int8, np.int16, np.int32, np.float16]
    variables = {}
    for _ in range(count):
        key = name()
        (rank,) = take("B")
        shape = take(f"{rank}I")
        dtype, length = take("BI")
        variables[key] = np.frombuffer(data, types[dtype], length // np.dtype(types[dtype]).itemsize, at).reshape(shape)
        at += length
    return variables


def state_dict(variables: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The same weights by the names of PyTorch, in float32."""
    tensors = {}
    for key, array in variables.items():
        path, _, parameter = key.rpartition("/")
        network, _, module = path.partition("/")
        layer = ""
        if module.startswith("layer_") and "/" in module:
            index, _, module = module.removeprefix("layer_").partition("/")
            layer = f"layers.{index}."
        if parameter not in PARAMETERS or module not in MODULES:
            continue
        values = array.astype(np.float32)
        if array.dtype in (np.int8, np.int16):
            scale = variables[key + "_scale"].astype(np.float32)
            values = values / scale.reshape(-1, *[1] * (values.ndim - 1))
        names = MODULES[module]
        for part, part_name in zip(np.split(values, len(names)), names):
            tensors[f"model.{network}.{layer}{part_name}.{PARAMETERS[parameter]}"] = torch.tensor(part)
    tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"]
    # Keys have no bias; CTranslate2 fills its place with zeros.
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("k_proj.bias")}


def model_of(directory: pathlib.Path) -> WhisperForConditionalGeneration:
    """The installed model as one of PyTorch."""
    variables = read_variables(directory / "model.bin")
    tensors = state_dict(variables)
    ids = {token["content"]: token["id"] for token in json.loads((directory / "tokenizer.json").read_text())["added_tokens"]}
    ids |= {token: id for id, token in enumerate((directory / "vocabulary.txt").read_text().split("\n")) if token.startswith("<|")}
    listed = json.loads((directory / "config.json").read_text())
    sizes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    layers = {network: 1 + max(int(name.split(".")[3]) for name in tensors if name.startswith(f"model.{network}.layers."))
              for network in ("encoder", "decoder")}
    vocab_size, d_model = sizes["proj_out.weight"]
    eot = ids["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=vocab_size, num_mel_bins=sizes["model.encoder.conv1.weight"][1], d_model=d_model,
        encoder_layers=layers["encoder"], decoder_layers=layers["decoder"],
        encoder_attention_heads=int(variables["encoder/num_heads"]), decoder_attention_heads=int(variables["decoder/num_heads"]),
        encoder_ffn_dim=sizes["model.encoder.layers.0.fc1.weight"][0],
        decoder_ffn_dim=sizes["model.decoder.layers.0.fc1.weight"][0],
        max_source_positions=sizes["model.encoder.embed_positions.weight"][0],
        max_target_positions=sizes["model.decoder.embed_positions.weight"][0],
        decoder_start_token_id=ids["<|startoftranscript|>"], bos_token_id=eot, eos_token_id=eot, pad_token_id=eot,
        suppress_tokens=listed["suppress_ids"], begin_suppress_tokens=listed["suppress_ids_begin"])
    model = WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    generation = dict(
        max_length=config.max_target_positions, decoder_start_token_id=config.decoder_start_token_id, bos_token_id=eot,
        eos_token_id=eot, pad_token_id=eot, suppress_tokens=listed["suppress_ids"],
        begin_suppress_tokens=listed["suppress_ids_begin"], alignment_heads=listed["alignment_heads"],
        is_multilingual=vocab_size >= MULTILINGUAL_SIZE, no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"])
    if generation["is_multilingual"]:
        between = [name for name, id in ids.items() if ids["<|startoftranscript|>"] < id < ids["<|translate|>"]]
        generation |= {"lang_to_id": {name: ids[name] for name in between},
                       "task_to_id": {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}}
    model.generation_config = GenerationConfig(**generation)
    return model.eval()


def random_model() -> tuple[WhisperForConditionalGeneration, list[str]]:
    """A model of random weights and its tokens: small enough to lie in a repository."""
    torch.manual_seed(5)
    tokens = ["\u0120" + chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens += [f"<|{name}|>" for name in ["endoftext", "startoftranscript", "en", "translate", "transcribe",
                                         "startofprev", "nospeech", "notimestamps"]]
    # A second of timestamps: a row of the embedding each is all that is large in such a model.
    n_timestamps = 51
    id_of = {token: id for id, token in enumerate(tokens)}
    eot = id_of["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(tokens) + n_timestamps, num_mel_bins=80, d_model=8, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        max_source_positions=1500, max_target_positions=24, decoder_start_token_id=id_of["<|startoftranscript|>"],
        bos_token_id=eot, eos_token_id=eot, pad_token_id=eot, suppress_tokens=[], begin_suppress_tokens=[eot],
        init_std=0.3)
    model = WhisperForConditionalGeneration(config)
    # Or every bias would be 0 and every norm 1, and a graph that mixed them up would pass.
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.generation_config = GenerationConfig(max_length=24, decoder_start_token_id=config.decoder_start_token_id,
                                               bos_token_id=eot, eos_token_id=eot, pad_token_id=eot)
    return model.eval(), tokens


def expected(model: WhisperForConditionalGeneration) -> dict[str, list]:
    """What PyTorch computes of a window whose value at (frame, bin) is `(7919 * (80 * frame + bin)) % 1009 / 500 - 1`: the
    first 20 of the encoder's states, (20, d_model); the decoder's logits after each of `tokens`, (n_tokens, n_vocab)."""
    config = model.config
    shape = (2 * config.max_source_positions, config.num_mel_bins)
    mel = (7919 * np.arange(np.prod(shape)) % 1009 / 500 - 1).astype(np.float32).reshape(shape)
    mel = torch.tensor(mel.T[None])
    tokens = torch.tensor([[config.decoder_start_token_id, 33, 3, 14, 15, 9, 2, 6]])
    with torch.no_grad():
        states = model.model.encoder(mel).last_hidden_state
        logits = model(input_features=mel, decoder_input_ids=tokens).logits
    return {"tokens": tokens[0].tolist(), "states": states[0, :20].tolist(), "logits": logits[0].tolist()}


def export(model: WhisperForConditionalGeneration, files: list[pathlib.Path], output: pathlib.Path) -> None:
    """Writes `output`/{f32,f16,int8}, each with its graphs and a copy of `files`."""
    forms = {form: output / form for form in ("f32", "f16", "int8")}
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        model.save_pretrained(directory / "torch")
        main_export(
            str(directory / "torch"), directory / "onnx", task="automatic-speech-recognition-with-past",
            library_name="transformers", nb_max_frames=2 * model.config.max_source_positions)
        for form, to in forms.items():
            to.mkdir(parents=True, exist_ok=True)
            for name in GRAPHS:
                write(form, directory / "onnx" / f"{name}.onnx", to / f"{name}.onnx")
            for file in files + [directory / "torch" / name for name in ("config.json", "generation_config.json")]:
                shutil.copy(file, to)


def write(form: str, source: pathlib.Path, target: pathlib.Path) -> None:
    """Writes a graph in one of the forms."""
    if form == "f32":
        shutil.copy(source, target)
    elif form == "f16" and source.stem == "decoder_model_merged":
        # The converter damages subgraphs; the two graphs of the folder are in half precision already.
        merge_decoders(target.with_stem("decoder_model"), target.with_stem("decoder_with_past_model"), strict=False,
                       save_path=target)
    elif form == "f16":
        half = OnnxModel(convert_float_to_float16(onnx.load(source), keep_io_types=True))
        half.topological_sort()
        onnx.save(half.model, target)
    else:
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"],
                         extra_options={"EnableSubgraph": True})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=pathlib.Path, nargs="?", help="directory of an installed CTranslate2 model")
    arguments.add_argument("output", type=pathlib.Path, help="directory to write to")
    arguments.add_argument("--random", action="store_true", help="a tiny model of random weights")
    args = arguments.parse_args()
    if args.random == (args.model is not None):
        arguments.error("name a model, or --random")
    if not args.random:
        export(model_of(args.model), [args.model / "tokenizer.json"], args.output)
        return
    model, tokens = random_model()
    with tempfile.TemporaryDirectory() as directory:
        vocabulary = pathlib.Path(directory) / "vocabulary.txt"
        vocabulary.write_text("".join(token + "\n" for token in tokens))
        export(model, [vocabulary], args.output)
        model.save_pretrained(args.output / "torch")
        shutil.copy(vocabulary, args.output / "torch")
    # Of the other forms, a merged decoder holds both.
    for form in ("f16", "int8"):
        for name in ("decoder_model", "decoder_with_past_model"):
            (args.output / form / f"{name}.onnx").unlink()
    (args.output / "expected.json").write_text(json.dumps(expected(model)) + "\n")


if __name__ == "__main__":
    main()
