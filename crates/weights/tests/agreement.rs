//! Every format and number type of a model gives the same tensors.

use std::fs;
use std::path::Path;

use amanuensis_weights::fixture::{
    Dimensions, Tensors, whisper, write_ctranslate2, write_ggml, write_safetensors, write_sharded_safetensors,
};
use amanuensis_weights::{Checkpoint, DType, Error};

const DIMENSIONS: Dimensions = Dimensions {
    n_mels: 5,
    n_state: 8,
    n_ff: 12,
    n_audio_ctx: 6,
    n_audio_layer: 2,
    n_text_ctx: 4,
    n_text_layer: 1,
    n_vocab: 11,
};
const HEADS: [usize; 2] = [2, 4];

/// Asserts that a checkpoint has exactly the tensors `tensors`. Each value may differ by `tolerance` times the
/// largest magnitude in its tensor. Biases of keys, which are zeros that `CTranslate2` adds, are ignored.
fn assert_holds(checkpoint: &Checkpoint, tensors: &Tensors, tolerance: f32) {
    for name in checkpoint.names().filter(|name| !tensors.contains_key(*name)) {
        assert!(name.ends_with("_attn.k_proj.bias"), "{name} is too much");
        assert!(checkpoint.tensor(name).unwrap().to_f32().iter().all(|&x| x == 0.0));
    }
    for (name, (shape, expected)) in tensors {
        let values = checkpoint.tensor(name).unwrap().with_shape(shape).unwrap().to_f32();
        let peak = expected.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        for (x, y) in values.iter().zip(expected) {
            assert!((x - y).abs() <= tolerance * peak, "{name} in {checkpoint:?}: {x} is not {y}");
        }
    }
}

/// The maximum rounding error of each number type, as a fraction of the tensor's largest value: half a step of the
/// type, plus rounding of float32.
fn tolerance(dtype: DType) -> f32 {
    match dtype {
        DType::F32 => 0.0,
        DType::F16 => 0.5 / 1024.0,
        DType::Bf16 => 0.5 / 128.0,
        DType::Int8 => 0.501 / 127.0,
        // Q, K and V are stored as one matrix with one scale. One of the three may have a smaller largest value than
        // the whole matrix, so its error is larger in relation to its values.
        DType::Int16 => 0.6 / 1024.0,
        // The error is half a step of a block's integers, plus a margin because the scale is rounded to float16. With
        // 5 and 4 bits, the error of the block's largest value may be a whole step.
        DType::Q8_0 => 0.6 / 127.0,
        DType::Q5_0 | DType::Q5_1 => 1.1 / 16.0,
        DType::Q4_0 | DType::Q4_1 => 1.1 / 8.0,
        other => panic!("no tolerance for {other}"),
    }
}

#[test]
fn ctranslate2_files_of_every_type_give_the_same_tensors() {
    let directory = tempfile::tempdir().unwrap();
    let tensors = whisper(&DIMENSIONS, 1);
    for dtype in [DType::F32, DType::F16, DType::Bf16, DType::Int8, DType::Int16] {
        write_ctranslate2(&directory.path().join("model.bin"), &tensors, HEADS, dtype).unwrap();
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        assert_eq!(checkpoint.format(), "CTranslate2");
        assert_eq!((checkpoint.encoder_heads(), checkpoint.decoder_heads()), (Some(2), Some(4)));
        assert_eq!(checkpoint.tensor("encoder.layers.1.fc1.weight").unwrap().dtype(), dtype);
        assert_holds(&checkpoint, &tensors, tolerance(dtype));
    }
}

#[test]
fn safetensors_files_give_the_same_tensors_whole_and_sharded() {
    let tensors = whisper(&DIMENSIONS, 2);
    for dtype in [DType::F32, DType::F16, DType::Bf16] {
        let directory = tempfile::tempdir().unwrap();
        write_sharded_safetensors(directory.path(), &tensors, dtype, 3).unwrap();
        let sharded = Checkpoint::open(directory.path()).unwrap();
        assert_eq!(sharded.format(), "sharded safetensors");
        assert_holds(&sharded, &tensors, tolerance(dtype));

        write_safetensors(&directory.path().join("model.safetensors"), &tensors, dtype).unwrap();
        let whole = Checkpoint::open(directory.path()).unwrap();
        assert_eq!(whole.format(), "safetensors");
        assert_eq!((whole.encoder_heads(), whole.decoder_heads()), (None, None));
        assert_holds(&whole, &tensors, tolerance(dtype));
        assert!(whole.names().eq(tensors.keys()), "no tensor besides");
    }
}

#[test]
fn ggml_files_of_every_type_give_the_same_tensors() {
    let directory = tempfile::tempdir().unwrap();
    let tensors = whisper(&Dimensions { n_state: 32, n_ff: 64, ..DIMENSIONS }, 9);
    let vocabulary = [b"a".to_vec(), vec![0xff, 0], vec![]];
    for dtype in [DType::F32, DType::F16, DType::Q8_0, DType::Q5_0, DType::Q5_1, DType::Q4_0, DType::Q4_1] {
        write_ggml(&directory.path().join("ggml-tiny.bin"), &tensors, HEADS, dtype, &vocabulary).unwrap();
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        assert_eq!(checkpoint.format(), "ggml");
        assert_eq!((checkpoint.encoder_heads(), checkpoint.decoder_heads()), (Some(2), Some(4)));
        assert_eq!(checkpoint.vocabulary(), Some(&vocabulary[..]));
        assert_eq!(checkpoint.tensor("encoder.layers.1.fc1.weight").unwrap().dtype(), dtype);
        assert_holds(&checkpoint, &tensors, tolerance(dtype));
        assert!(checkpoint.names().eq(tensors.keys()), "no tensor besides");
    }
    fs::copy(directory.path().join("ggml-tiny.bin"), directory.path().join("ggml-base.bin")).unwrap();
    let error = Checkpoint::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("several models (ggml-base.bin, ggml-tiny.bin)"), "{error}");
}

#[test]
fn an_output_projection_exists_only_if_it_is_not_tied_to_the_embedding() {
    let directory = tempfile::tempdir().unwrap();
    let (bin, safetensors) = (directory.path().join("a"), directory.path().join("b"));
    let mut tensors = whisper(&DIMENSIONS, 3);
    write_ctranslate2(&bin, &tensors, HEADS, DType::Int8).unwrap();
    assert!(Checkpoint::open(&bin).unwrap().get("proj_out.weight").is_none());

    let embedding = &tensors["decoder.embed_tokens.weight"];
    let projection = (embedding.0.clone(), embedding.1.iter().map(|x| -x).collect());
    tensors.insert("proj_out.weight".into(), projection);
    for dtype in [DType::F16, DType::Int8] {
        write_ctranslate2(&bin, &tensors, HEADS, dtype).unwrap();
        assert_holds(&Checkpoint::open(&bin).unwrap(), &tensors, tolerance(dtype));
    }
    write_safetensors(&safetensors, &tensors, DType::F32).unwrap();
    assert_holds(&Checkpoint::open(&safetensors).unwrap(), &tensors, 0.0);
}

#[test]
fn rows_convert_equally_in_parts_and_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    let tensors = whisper(&DIMENSIONS, 4);
    let types = [DType::F32, DType::F16, DType::Bf16, DType::Int8, DType::Int16, DType::Q5_1];
    for dtype in types {
        if dtype == DType::Q5_1 {
            let tensors = whisper(&Dimensions { n_state: 32, ..DIMENSIONS }, 4);
            write_ggml(&path, &tensors, HEADS, dtype, &[]).unwrap();
        } else {
            write_ctranslate2(&path, &tensors, HEADS, dtype).unwrap();
        }
        let checkpoint = Checkpoint::open(&path).unwrap();
        for name in ["decoder.layers.0.encoder_attn.v_proj.weight", "encoder.conv1.weight", "encoder.layer_norm.bias"] {
            let tensor = checkpoint.tensor(name).unwrap();
            let whole = tensor.to_f32();
            let (start, end) = (3, tensor.rows() - 1);
            let mut piece = vec![f32::NAN; (end - start) * tensor.row_len()];
            tensor.rows_f32(start..end, &mut piece);
            assert_eq!(piece, whole[start * tensor.row_len()..end * tensor.row_len()]);
            tensor.rows_f32(2..2, &mut []);
            tensor.release();
            assert_eq!(tensor.to_f32(), whole, "released pages come back");
        }
    }
}

#[test]
fn int8_rows_are_returned_as_stored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    write_ctranslate2(&path, &whisper(&DIMENSIONS, 5), HEADS, DType::Int8).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    for name in ["decoder.embed_tokens.weight", "encoder.layers.0.self_attn.v_proj.weight", "encoder.conv2.weight"] {
        let tensor = checkpoint.tensor(name).unwrap();
        assert!(tensor.is_int8());
        let mut row = vec![0; tensor.row_len()];
        for (index, expected) in tensor.to_f32().chunks(tensor.row_len()).enumerate() {
            let scale = tensor.int8_row(index, &mut row);
            assert!(row.iter().any(|&q| q.unsigned_abs() == 127));
            assert_eq!(row.iter().map(|&q| f32::from(q) * scale).collect::<Vec<_>>(), expected);
        }
    }
    assert!(!checkpoint.tensor("encoder.conv2.bias").unwrap().is_int8());
}

#[test]
fn a_format_is_detected_by_content() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    write_safetensors(&path, &whisper(&DIMENSIONS, 6), DType::F32).unwrap();
    for opened in [directory.path(), &path] {
        let checkpoint = Checkpoint::open(opened).unwrap();
        assert_eq!(checkpoint.format(), "safetensors");
        assert_eq!((checkpoint.directory(), checkpoint.path()), (directory.path(), path.as_path()));
    }
    // A file in an unsupported format now has a name that is searched first. It must not prevent the valid model
    // beside it from being found.
    fs::rename(&path, directory.path().join("model.safetensors")).unwrap();
    fs::write(&path, b"PK\x03\x04 pickled").unwrap();
    assert_eq!(Checkpoint::open(directory.path()).unwrap().format(), "safetensors");
}

#[test]
fn missing_tensors_and_wrong_shapes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    write_ctranslate2(&path, &whisper(&DIMENSIONS, 7), HEADS, DType::F16).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let error = checkpoint.tensor("encoder.layers.2.fc1.weight").unwrap_err();
    assert!(matches!(&error, Error::MissingTensor { name, .. } if name == "encoder.layers.2.fc1.weight"), "{error}");
    let error = checkpoint.tensor("encoder.layer_norm.weight").unwrap().with_shape(&[9]).unwrap_err();
    let message =
        format!("{}: tensor encoder.layer_norm.weight has shape [8], but the model needs [9]", path.display());
    assert_eq!(error.to_string(), message);
}

/// Test models must have the tensor names of real files. Otherwise, the code that writes them and the code that reads
/// them could have the same mistake.
#[test]
fn canonical_names_match_real_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    write_ctranslate2(&path, &whisper(&DIMENSIONS, 8), HEADS, DType::Int8).unwrap();
    let file = fs::read(&path).unwrap();
    for name in [
        "decoder/embeddings/weight_scale",
        "decoder/layer_0/attention/layer_norm/gamma",
        "decoder/layer_0/attention/linear_1/weight",
        "decoder/layer_0/attention/linear_2/bias",
        "decoder/layer_0/ffn/linear_0/weight_scale",
        "decoder/layer_0/self_attention/linear_0/bias",
        "decoder/position_encodings/encodings",
        "decoder/projection/weight",
        "encoder/conv1/weight",
        "encoder/layer_1/ffn/layer_norm/beta",
        "encoder/layer_1/self_attention/linear_1/weight",
        "encoder/layer_norm/beta",
        "encoder/num_heads",
    ] {
        let stored = [&(name.len() as u16 + 1).to_le_bytes(), name.as_bytes(), b"\0"].concat();
        assert!(file.windows(stored.len()).any(|window| window == stored), "{name}");
    }
    write_safetensors(&path, &whisper(&DIMENSIONS, 8), DType::F16).unwrap();
    let file = fs::read(&path).unwrap();
    for name in ["\"model.decoder.layers.0.encoder_attn_layer_norm.weight\"", "\"model.encoder.conv1.bias\""] {
        assert!(file.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
}

#[test]
fn a_path_without_a_directory_means_the_current_one() {
    // Cargo runs tests in the package's directory, so this relative path exists.
    let error = Checkpoint::open(Path::new("Cargo.toml")).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }), "{error}");
    assert!(matches!(Checkpoint::open(Path::new("src")).unwrap_err(), Error::NoWeights { .. }));
}
