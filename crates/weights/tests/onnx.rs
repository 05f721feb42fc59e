//! Every form of export that the tools write (made by `data/exports.py`) has the same weights that `PyTorch` saved.

use std::fs;
use std::path::{Path, PathBuf};

use amanuensis_weights::{Checkpoint, DType, Dimension, Error, Interface};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

fn expected() -> Checkpoint {
    Checkpoint::open(&data("model.safetensors")).unwrap()
}

/// Asserts that an export has all tensors that `PyTorch` saved. Each value may differ by `tolerance` times the
/// largest magnitude in its tensor.
fn assert_holds(export: &Checkpoint, tolerance: f32) {
    let expected = expected();
    assert_eq!(export.format(), "ONNX");
    assert_eq!((export.encoder_heads(), export.decoder_heads()), (Some(2), Some(2)), "{export:?}");
    let mut names: Vec<&str> = expected.names().chain(["proj_out.weight"]).collect();
    names.sort_unstable();
    assert_eq!(export.names().collect::<Vec<_>>(), names);
    for name in names {
        // Exports store the output projection as a tensor of its own, although it equals the embedding.
        let saved = if name == "proj_out.weight" { "decoder.embed_tokens.weight" } else { name };
        let saved = expected.tensor(saved).unwrap();
        let values = export.tensor(name).unwrap().with_shape(saved.shape()).unwrap().to_f32();
        let saved = saved.to_f32();
        let peak = saved.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        for (x, y) in values.iter().zip(&saved) {
            assert!((x - y).abs() <= tolerance * peak, "{name} in {export:?}: {x} is not {y}");
        }
    }
}

#[test]
fn every_form_of_export_has_the_same_weights() {
    let half_step = 0.501 / 127.0;
    for (form, dtype, tolerance) in [
        ("f32", DType::F32, 0.0),
        ("f16", DType::F16, 0.5 / 1024.0),
        ("nameless", DType::F32, 0.0),
        ("external", DType::F32, 0.0),
        ("merged", DType::F32, 0.0),
        ("int8", DType::Int8, half_step),
        // Uint8 has 255 steps between the smallest and the largest value, and zero must be one of its numbers. This
        // shifts the other numbers, so the error may exceed half a step.
        ("uint8", DType::Uint8, 2.0 * half_step),
        ("qdq", DType::Int8, half_step),
        ("merged-int8", DType::Int8, half_step),
    ] {
        let export = Checkpoint::open(&data(form)).unwrap();
        assert_holds(&export, tolerance);
        assert_eq!(export.tensor("encoder.layers.1.fc1.weight").unwrap().dtype(), dtype, "{form}");
    }
}

#[test]
fn integers_without_zero_points_are_used_unchanged() {
    let export = Checkpoint::open(&data("int8")).unwrap();
    let tensor = export.tensor("decoder.layers.0.fc1.weight").unwrap();
    assert!(tensor.is_int8());
    let (values, mut row) = (tensor.to_f32(), vec![0; tensor.row_len()]);
    for (index, expected) in values.chunks(tensor.row_len()).enumerate() {
        let scale = tensor.int8_row(index, &mut row);
        assert_eq!(row.iter().map(|&q| f32::from(q) * scale).collect::<Vec<_>>(), expected);
    }
    let mut piece = vec![0.0; 2 * tensor.row_len()];
    tensor.rows_f32(3..5, &mut piece);
    assert_eq!(piece, values[3 * tensor.row_len()..5 * tensor.row_len()]);
    assert!(!Checkpoint::open(&data("uint8")).unwrap().tensor("decoder.layers.0.fc1.weight").unwrap().is_int8());
}

#[test]
fn inputs_and_outputs_are_listed_in_order() {
    let export = Checkpoint::open(&data("f32")).unwrap();
    let [encoder, decoder] = export.graphs() else { panic!("{:?}", export.graphs()) };
    assert_eq!((encoder.file.as_str(), decoder.file.as_str()), ("encoder_model.onnx", "decoder_model.onnx"));
    let [mel] = encoder.inputs.as_slice() else { panic!("{encoder:?}") };
    let shape = [Dimension::Named("batch_size".into()), Dimension::Fixed(4), Dimension::Fixed(24)];
    assert_eq!((mel.name.as_str(), mel.dtype, &mel.shape[..]), ("input_features", "float32", &shape[..]));
    let names: Vec<&str> = decoder.outputs.iter().map(|output| output.name.as_str()).collect();
    let cache =
        ["decoder.key", "decoder.value", "encoder.key", "encoder.value"].map(|name| format!("present.0.{name}"));
    assert_eq!(names[0], "logits");
    assert_eq!(names[1..], cache);
    assert_eq!(&Interface::read(&data("f32/decoder_model.onnx")).unwrap(), decoder);
    assert!(Interface::read(&data("model.safetensors")).unwrap_err().to_string().contains("ONNX"));
}

/// Copies the files of the export in `data/onnx/{form}` to a directory.
fn copy(form: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in data(form).read_dir().unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_export_is_found_by_directory_or_by_any_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    copy("f32", &path.join("onnx"));
    fs::write(path.join("config.json"), "{}").unwrap();
    for opened in ["", "onnx", "onnx/encoder_model.onnx", "onnx/decoder_model.onnx"] {
        let export = Checkpoint::open(&path.join(opened)).unwrap();
        assert_holds(&export, 0.0);
        assert_eq!(export.directory(), path, "{opened}");
    }
    for name in ["encoder_model", "decoder_model"] {
        let path = path.join("onnx").join(name);
        fs::rename(path.with_extension("onnx"), format!("{}_quantized.onnx", path.display())).unwrap();
    }
    assert_holds(&Checkpoint::open(path).unwrap(), 0.0);

    fs::rename(path.join("onnx/decoder_model_quantized.onnx"), path.join("onnx/other.onnx")).unwrap();
    let error = Checkpoint::open(path).unwrap_err().to_string();
    let expected = "the other half is missing: decoder_model_quantized.onnx or decoder_model_merged_quantized.onnx";
    assert!(error.contains(expected), "{error}");
    let error = Checkpoint::open(&path.join("onnx/other.onnx")).unwrap_err().to_string();
    assert!(error.contains("give the directory of an export"), "{error}");
}

#[test]
fn external_data_must_lie_beside_the_graph() {
    let directory = tempfile::tempdir().unwrap();
    copy("external", directory.path());
    let graph = directory.path().join("encoder_model.onnx");
    let good = fs::read(&graph).unwrap();
    let name = b"encoder_model.onnx_data";
    for (location, expected) in [
        (&b"../ncoder_model.onnx_da"[..], "is not the name of a file beside it"),
        (b"/etc/passwd/odel.onnx_d", "is not the name of a file beside it"),
        (b"absent_model.onnx_data_", "cannot be read"),
    ] {
        let mut bytes = good.clone();
        while let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
            bytes[at..at + name.len()].copy_from_slice(location);
        }
        fs::write(&graph, bytes).unwrap();
        let error = Checkpoint::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&graph, good).unwrap();
    let data = directory.path().join("encoder_model.onnx_data");
    fs::File::options().write(true).open(&data).unwrap().set_len(100).unwrap();
    let error = Checkpoint::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Truncated { length: 100, .. }), "{error}");
}

#[test]
fn unreadable_parts_are_named() {
    let directory = tempfile::tempdir().unwrap();
    copy("f32", directory.path());
    let graph = directory.path().join("encoder_model.onnx");
    let good = fs::read(&graph).unwrap();
    for (from, to, expected) in [
        // This replacement changes the operator of a node in the file's bytes.
        ("\x22\x12LayerNormalization", "\x22\x12MultiHeadAttention", "operator MultiHeadAttention hides weights"),
        // These replacements change the type or a dimension of a tensor in the file. The bytes are the dimension, the
        // type and the name.
        ("\x08\x08\x10\x01\x42\x0aconv1.bias", "\x08\x08\x10\x0b\x42\x0aconv1.bias", "stored as float64"),
        ("\x08\x08\x10\x01\x42\x0aconv1.bias", "\x08\x07\x10\x01\x42\x0aconv1.bias", "takes 28 bytes, but it has 32"),
        ("\x08\x08\x10\x01\x42\x0aconv1.bias", "\x08\x00\x10\x01\x42\x0aconv1.bias", "has no elements"),
    ] {
        let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&graph, bytes).unwrap();
        let error = Checkpoint::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}
