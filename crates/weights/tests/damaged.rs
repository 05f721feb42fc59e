//! Truncated, contradictory and unsupported files are rejected with an error that says what is wrong.

mod common;

use std::fs;
use std::path::Path;

use amanuensis_weights::fixture::{whisper, write_sharded_safetensors};
use amanuensis_weights::{Checkpoint, DType, Error};
use common::{DIMENSIONS, ctranslate2, model_bin_header, model_bin_string, open_bytes, read_all, safetensors};

/// The message of the error for a file with these bytes.
fn message(bytes: &[u8]) -> String {
    open_bytes(bytes).unwrap_err().to_string()
}

/// A builder for a `model.bin`, variable by variable.
struct ModelBin {
    variables: Vec<Vec<u8>>,
    aliases: Vec<Vec<u8>>,
}

impl ModelBin {
    fn new() -> Self {
        Self { variables: vec![], aliases: vec![] }
    }

    fn variable(mut self, name: &[u8], shape: &[u32], code: u8, data: &[u8]) -> Self {
        let dims = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let size = (data.len() as u32).to_le_bytes().to_vec();
        self.variables
            .push([model_bin_string(name), vec![shape.len() as u8], dims, vec![code], size, data.to_vec()].concat());
        self
    }

    fn alias(mut self, name: &str, target: &str) -> Self {
        self.aliases.push([model_bin_string(name.as_bytes()), model_bin_string(target.as_bytes())].concat());
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = model_bin_header(6, "WhisperSpec", 3);
        for part in [&self.variables, &self.aliases] {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part.concat());
        }
        bytes
    }
}

/// A safetensors file with this header and `data` zero bytes.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn a_file_truncated_at_any_byte_is_rejected() {
    for bytes in [ctranslate2(DType::Int8), safetensors()] {
        assert!(open_bytes(&bytes).unwrap() > 100);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        for end in (0..bytes.len()).rev() {
            file.as_file().set_len(end as u64).unwrap();
            let error = read_all(file.path()).unwrap_err();
            let is_located = matches!(error, Error::Truncated { length, .. } if length == end);
            // The format cannot be detected from fewer than 32 bytes.
            assert!(
                is_located || (end < 32 && matches!(error, Error::UnknownFormat { .. })),
                "truncated at {end}: {error}"
            );
        }
    }
}

#[test]
fn the_error_for_a_truncated_file_says_where_it_ends() {
    let file = ModelBin::new().variable(b"encoder/conv1/bias", &[4], 0, &[0; 16]).bytes();
    let end = file.len() - 10;
    let text = message(&file[..end]);
    assert!(
        text.contains(&format!("the file ends at byte {end} inside tensor encoder/conv1/bias: it is truncated")),
        "{text}"
    );

    let file = safetensors();
    let text = message(&file[..file.len() - 1]);
    assert!(text.contains("inside tensor model.") && text.ends_with("it is truncated; download it again"), "{text}");
}

#[test]
fn trailing_bytes_are_rejected() {
    for mut file in [ctranslate2(DType::F16), safetensors()] {
        file.extend(b"more");
        assert!(message(&file).contains("4 bytes follow its"), "{}", message(&file));
    }
}

#[test]
fn the_error_for_an_unsupported_file_says_what_the_file_is() {
    for (bytes, expected) in [
        (&b""[..], "is empty"),
        (b"PK\x03\x04\0\0\0\0\0\0", "PyTorch"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "unknown format"),
        (b"{\"d_model\": 512}", "unknown format"),
    ] {
        assert!(message(bytes).contains(expected), "{}", message(bytes));
    }
}

#[test]
fn unsupported_versions_and_models_are_rejected() {
    for (header, expected) in [
        (model_bin_header(3, "WhisperSpec", 1), "version 3"),
        (model_bin_header(7, "WhisperSpec", 3), "version 7"),
        (model_bin_header(6, "TransformerSpec", 7), "TransformerSpec"),
        (model_bin_header(6, "WhisperSpec", 4), "revision 4"),
    ] {
        assert!(message(&header).contains(expected), "{}", message(&header));
    }
    let relu = ModelBin::new().variable(b"decoder/activation", &[], 1, &[0]).bytes();
    assert!(message(&relu).contains("other than GELU"), "{}", message(&relu));
}

#[test]
fn a_contradictory_model_bin_is_rejected() {
    let new = ModelBin::new;
    let bias = b"encoder/conv1/bias";
    let linear = b"encoder/layer_0/self_attention/linear_0/weight";
    let scale = b"encoder/layer_0/self_attention/linear_0/weight_scale";
    let scales = |value: f32, n: usize| value.to_le_bytes().repeat(n);
    for (file, expected) in [
        (new().variable(bias, &[2], 0, &[0; 8]).variable(bias, &[2], 0, &[0; 8]), "occurs twice"),
        (new().variable(bias, &[2], 0, &[0; 12]), "12 bytes, which do not fit its shape [2]"),
        (new().variable(bias, &[u32::MAX; 5], 0, &[0; 4]), "do not fit its shape"),
        (new().variable(bias, &[0, u32::MAX, u32::MAX, u32::MAX], 0, &[]), "has no elements"),
        (new().variable(bias, &[1], 9, &[0; 4]), "type 9"),
        (new().variable(bias, &[1], 3, &[0; 4]), "int32"),
        (new().variable(b"\xff\xfe", &[1], 0, &[0; 4]), "is not UTF-8"),
        (new().variable(b"a\0b", &[1], 0, &[0; 4]), "no valid name at byte 26"),
        (new().variable(b"\x1b[2J", &[1], 0, &[0; 4]), "no valid name at byte 26"),
        (new().variable(&[b'a'; 300], &[1], 0, &[0; 4]), "no valid name at byte 26"),
        (new().variable(bias, &[1; 200], 0, &[0; 4]), "200 dimensions"),
        (new().variable(linear, &[4, 2], 0, &[0; 32]), "stacks 3 matrices"),
        (new().variable(linear, &[], 0, &[0; 4]), "stacks 3 matrices"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]), "weight_scale does not exist"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]).variable(scale, &[2], 0, &scales(1.0, 2)), "needs 3 scales"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]).variable(scale, &[3], 4, &[0; 6]), "not stored as float32"),
        (
            new().variable(linear, &[3, 2], 1, &[0; 6]).variable(scale, &[3], 0, &scales(0.0, 3)),
            "0 is not a valid scale",
        ),
        (new().variable(scale, &[3], 0, &scales(f32::NAN, 3)), "NaN is not a valid scale"),
        (new().variable(linear, &[3, 2], 2, &[0; 12]).variable(scale, &[3], 0, &scales(1.0, 3)), "needs 1 scales"),
        (
            new().alias("decoder/projection/weight", "nowhere"),
            "the target nowhere of alias decoder/projection/weight does not exist",
        ),
        (new().alias("a", "b").alias("b", "a"), "the target b of alias a does not exist"),
        (new().alias("a", "a"), "the target a of alias a does not exist"),
        (new().variable(b"a", &[1], 0, &[0; 4]).alias("a", "a"), "alias a occurs twice"),
        (
            new().variable(b"encoder/layer_1/ffn/linear_0/bias", &[1], 0, &[0; 4]).variable(
                b"encoder/layer_01/ffn/linear_0/bias",
                &[1],
                0,
                &[0; 4],
            ),
            "encoder.layers.1.fc1.bias occurs twice",
        ),
    ] {
        let text = message(&file.bytes());
        assert!(text.contains(expected), "{text:?} does not contain {expected:?}");
    }
}

#[test]
fn unusual_but_valid_files_are_accepted() {
    // Variables that this crate does not use may have any shape and type.
    let unknown = ModelBin::new().variable(b"x", &[1; 200], 0, &[0; 4]).variable(b"y", &[3, 0], 4, &[]);
    assert_eq!(open_bytes(&unknown.bytes()).unwrap(), 0);
    // An alias of an alias.
    let chain = ModelBin::new().variable(b"x", &[2], 0, &[0; 8]).alias("y", "x").alias("encoder/conv1/bias", "y");
    assert_eq!(open_bytes(&chain.bytes()).unwrap(), 2);
    assert_eq!(open_bytes(&ModelBin::new().bytes()).unwrap(), 0);
    assert_eq!(open_bytes(&with_header("{}", 0)).unwrap(), 0);
}

#[test]
fn a_false_count_is_rejected() {
    let header = model_bin_header(6, "WhisperSpec", 3);
    assert!(message(&[&header[..], &u32::MAX.to_le_bytes()].concat()).contains("claims 4294967295 variables"));
    let text = message(&[&header[..], &65_000_u32.to_le_bytes()].concat());
    assert!(text.contains("inside variable 1 of 65000"), "{text}");
}

#[test]
fn a_contradictory_safetensors_file_is_rejected() {
    let huge = u64::MAX >> 3;
    let eighths: Vec<String> = (0..8)
        .map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[{huge}],"data_offsets":[{},{}]}}"#, i * huge, (i + 1) * huge))
        .collect();
    for (header, data, expected) in [
        (r#"{"model.a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#.to_owned(), 4, "header is not valid"),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#.to_owned(), 8, "header is not valid"),
        (r#"{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}"#.to_owned(), 4, "header is not valid"),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#
                .to_owned(),
            12,
            "header is not valid",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"model.a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                .to_owned(),
            8,
            "tensor a occurs twice",
        ),
        (
            // The same name twice: one of the two ranges belongs to no tensor.
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                .to_owned(),
            8,
            "header is not valid",
        ),
        (r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#.to_owned(), 1, "stored as I8"),
        (
            // The sum of these lengths and that of the header overflows to the length of the file.
            format!("{{{}}}", eighths.join(",")),
            9,
            "inside tensor 0",
        ),
        (
            format!(r#"{{"a":{{"dtype":"F32","shape":[0,{huge},{huge}],"data_offsets":[0,0]}}}}"#),
            0,
            "has no elements",
        ),
        ("{".to_owned() + &"[".repeat(10_000), 0, "header is not valid"),
    ] {
        let text = message(&with_header(&header, data));
        assert!(text.contains(expected), "{text:?} does not contain {expected:?}");
    }
    let text = message(&[&1_000_000_000_u64.to_le_bytes()[..], b"{\"a\":"].concat());
    assert!(text.contains("its header claims 1000000000 bytes"), "{text}");
}

#[test]
fn contradictions_between_shards_and_index_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let index = directory.path().join("model.safetensors.index.json");
    let tensors = whisper(&DIMENSIONS, 1);
    write_sharded_safetensors(directory.path(), &tensors, DType::F16, 2).unwrap();
    let good = fs::read_to_string(&index).unwrap();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let entry = |shard: &str| format!(r#""model.encoder.conv1.bias":"{shard}""#);
    assert!(good.contains(&entry(shards[0])));
    for (text, expected) in [
        (good.replace(&entry(shards[0]), &entry(shards[1])), "is not in model-00002-of-00002.safetensors"),
        (
            good.replace(&entry(shards[0]), r#""model.else":"model-00001-of-00002.safetensors""#),
            "tensor \"model.else\" is not in",
        ),
        (good.replace(&entry(shards[0]), &entry("../secret")), "is not the name of a file in the same directory"),
        (good.replace(&entry(shards[0]), &entry("/etc/passwd")), "is not the name of a file in the same directory"),
        (good.replace(&entry(shards[0]), &entry("")), "is not the name of a file in the same directory"),
        (good.replace(&entry(shards[0]), &entry("absent")), "absent: cannot be read"),
        (good[..good.len() - 1].to_owned(), "not a valid index"),
    ] {
        fs::write(&index, text).unwrap();
        let text = Checkpoint::open(directory.path()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} does not contain {expected:?}");
    }
    fs::write(&index, good).unwrap();
    fs::copy(directory.path().join(shards[0]), directory.path().join(shards[1])).unwrap();
    assert!(Checkpoint::open(directory.path()).unwrap_err().to_string().contains("occurs twice"));
}

#[test]
fn a_path_that_is_not_a_regular_file_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Checkpoint::open(directory.path()).unwrap_err(), Error::NoWeights { .. }));
    assert!(matches!(Checkpoint::open(&directory.path().join("absent")).unwrap_err(), Error::Io { .. }));
    fs::create_dir(directory.path().join("model.bin")).unwrap();
    assert!(matches!(Checkpoint::open(directory.path()).unwrap_err(), Error::NotAFile { .. }));
    #[cfg(unix)]
    assert!(matches!(Checkpoint::open(Path::new("/dev/zero")).unwrap_err(), Error::NotAFile { .. }));
}
