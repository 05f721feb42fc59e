//! Small valid model files, for the tests that damage them.

use std::fs;
use std::path::Path;

use amanuensis_weights::fixture::{Dimensions, whisper, write_ctranslate2, write_safetensors};
use amanuensis_weights::{Checkpoint, DType, Error};

/// A model with very few weights.
pub const DIMENSIONS: Dimensions = Dimensions {
    n_mels: 2,
    n_state: 2,
    n_ff: 2,
    n_audio_ctx: 2,
    n_audio_layer: 1,
    n_text_ctx: 2,
    n_text_layer: 1,
    n_vocab: 3,
};

/// Opens a file with these bytes and reads all tensors. Returns the number of values.
pub fn open_bytes(bytes: &[u8]) -> Result<usize, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights");
    fs::write(&path, bytes).unwrap();
    read_all(&path)
}

/// Opens a checkpoint and reads all tensors. Returns the number of values.
pub fn read_all(path: &Path) -> Result<usize, Error> {
    let checkpoint = Checkpoint::open(path)?;
    let mut values = 0;
    for name in checkpoint.names() {
        let tensor = checkpoint.tensor(name)?;
        values += tensor.to_f32().len();
        if tensor.is_int8() {
            let mut row = vec![0; tensor.row_len()];
            for index in 0..tensor.rows() {
                let scale = tensor.int8_row(index, &mut row);
                assert!(scale.is_finite() && scale > 0.0);
            }
        }
    }
    Ok(values)
}

/// The bytes of a `CTranslate2` model.
pub fn ctranslate2(dtype: DType) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    write_ctranslate2(&path, &whisper(&DIMENSIONS, 1), [1, 1], dtype).unwrap();
    fs::read(path).unwrap()
}

/// The bytes of a safetensors file.
pub fn safetensors() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    write_safetensors(&path, &whisper(&DIMENSIONS, 1), DType::F16).unwrap();
    fs::read(path).unwrap()
}

/// The header of a `model.bin`.
pub fn model_bin_header(version: u32, specification: &str, revision: u32) -> Vec<u8> {
    [&version.to_le_bytes()[..], &model_bin_string(specification.as_bytes()), &revision.to_le_bytes()].concat()
}

/// A string as a `model.bin` stores it.
pub fn model_bin_string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16 + 1).to_le_bytes(), text, b"\0"].concat()
}
