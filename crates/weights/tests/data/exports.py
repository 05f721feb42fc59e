"""Writes the directory `onnx`: a tiny Whisper model with random weights, as PyTorch saves it, and its ONNX exports.

    python3 -m venv VENV && VENV/bin/pip install 'optimum-onnx[onnxruntime]' torch
    VENV/bin/python crates/weights/tests/data/exports.py

There is one export for each kind that common tools produce. `nameless` is an export from which the names of nodes and of
factors of matrix products are removed, because old exporters did not keep them.
"""

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from optimum.exporters.onnx import main_export
from transformers import WhisperConfig, WhisperForConditionalGeneration

OUTPUT = Path(__file__).parent / "onnx"
PARTS = ["encoder_model", "decoder_model"]
N_AUDIO_CTX = 12


def model():
    torch.manual_seed(5)
    config = WhisperConfig(
        vocab_size=40, num_mel_bins=4, d_model=8, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=12, decoder_ffn_dim=12, max_source_positions=N_AUDIO_CTX,
        max_target_positions=24, decoder_start_token_id=27, bos_token_id=26, eos_token_id=26, pad_token_id=26,
        suppress_tokens=[], begin_suppress_tokens=[26], init_std=0.3)
    model = WhisperForConditionalGeneration(config).eval()
    # By default every bias is 0 and every norm weight is 1. A reader that confuses them would not be detected.
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


class Inputs(CalibrationDataReader):
    def __init__(self, part):
        rng = np.random.default_rng(1)
        floats = lambda *shape: rng.standard_normal(shape).astype(np.float32)
        self.rest = iter([{"input_features": floats(1, 4, 2 * N_AUDIO_CTX)} if part == "encoder_model" else
                          {"input_ids": np.array([[27, 3, 5]]), "encoder_hidden_states": floats(1, N_AUDIO_CTX, 8)}])

    def get_next(self):
        return next(self.rest, None)


def without_names(graph):
    renamed = {}
    for tensor in graph.graph.initializer:
        if re.match("onnx::", tensor.name):
            renamed[tensor.name] = tensor.name = str(1000 + len(renamed))
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}_{number}"
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    return graph


def write(exports):
    def into(form, part):
        (OUTPUT / form).mkdir(exist_ok=True)
        return exports / f"{part}.onnx", OUTPUT / form / f"{part}.onnx"

    for part in PARTS:
        shutil.copy(*into("f32", part))
        source, target = into("f16", part)
        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)
        # The default of exporters: uint8, one scale for each tensor.
        quantize_dynamic(*into("uint8", part), weight_type=QuantType.QUInt8)
        quantize_dynamic(*into("int8", part), weight_type=QuantType.QInt8, per_channel=True,
                         op_types_to_quantize=["MatMul", "Gather"], extra_options={"WeightSymmetric": True})
        quantize_static(*into("qdq", part), Inputs(part), quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8,
                        per_channel=True, op_types_to_quantize=["MatMul", "Conv"])
        source, target = into("nameless", part)
        onnx.save(without_names(onnx.load(source)), target)
        source, target = into("external", part)
        onnx.save(onnx.load(source), target, save_as_external_data=True, location=f"{part}.onnx_data", size_threshold=100)
    for part in ["encoder_model", "decoder_model_merged"]:
        shutil.copy(*into("merged", part))
        quantize_dynamic(*into("merged-int8", part), weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"],
                         extra_options={"EnableSubgraph": True})


def main():
    whisper = model()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        whisper.save_pretrained(directory / "torch")
        shutil.copy(directory / "torch" / "model.safetensors", OUTPUT)
        main_export(str(directory / "torch"), directory / "onnx", task="automatic-speech-recognition-with-past",
                    library_name="transformers", nb_max_frames=2 * N_AUDIO_CTX, do_validation=False)
        write(directory / "onnx")


if __name__ == "__main__":
    main()
