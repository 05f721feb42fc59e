//! Damaged and hostile files give errors that say what is wrong, and never a panic.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use amanuensis_weights::fixture::{
    Dimensions, whisper, write_ctranslate2, write_safetensors, write_sharded_safetensors,
};
use amanuensis_weights::{Checkpoint, DType, Error};
use proptest::prelude::*;

const DIMENSIONS: Dimensions = Dimensions {
    n_mels: 2,
    n_state: 2,
    n_ff: 2,
    n_audio_ctx: 2,
    n_audio_layer: 1,
    n_text_ctx: 2,
    n_text_layer: 1,
    n_vocab: 3,
};

/// Writes these bytes to a file, opens it as a model, and reads all tensors. Returns the number of their values.
fn open_bytes(bytes: &[u8]) -> Result<usize, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights");
    fs::write(&path, bytes).unwrap();
    read_all(&path)
}

/// Opens the model at `path` and reads all tensors. Returns the number of their values.
fn read_all(path: &Path) -> Result<usize, Error> {
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

fn message(bytes: &[u8]) -> String {
    open_bytes(bytes).unwrap_err().to_string()
}

fn ctranslate2(dtype: DType) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.bin");
    write_ctranslate2(&path, &whisper(&DIMENSIONS, 1), [1, 1], dtype).unwrap();
    fs::read(path).unwrap()
}

fn safetensors() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    write_safetensors(&path, &whisper(&DIMENSIONS, 1), DType::F16).unwrap();
    fs::read(path).unwrap()
}

/// Builds the bytes of a `CTranslate2` file (`model.bin`), variable by variable.
struct ModelBin {
    variables: Vec<Vec<u8>>,
    aliases: Vec<Vec<u8>>,
}

impl ModelBin {
    fn new() -> Self {
        Self { variables: vec![], aliases: vec![] }
    }

    fn string(text: &[u8]) -> Vec<u8> {
        [&(text.len() as u16 + 1).to_le_bytes(), text, b"\0"].concat()
    }

    fn variable(mut self, name: &[u8], shape: &[u32], code: u8, data: &[u8]) -> Self {
        let dims = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let size = (data.len() as u32).to_le_bytes().to_vec();
        self.variables
            .push([Self::string(name), vec![shape.len() as u8], dims, vec![code], size, data.to_vec()].concat());
        self
    }

    fn alias(mut self, name: &str, target: &str) -> Self {
        self.aliases.push([Self::string(name.as_bytes()), Self::string(target.as_bytes())].concat());
        self
    }

    fn header(version: u32, specification: &str, revision: u32) -> Vec<u8> {
        [&version.to_le_bytes()[..], &Self::string(specification.as_bytes()), &revision.to_le_bytes()].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Self::header(6, "WhisperSpec", 3);
        for part in [&self.variables, &self.aliases] {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part.concat());
        }
        bytes
    }
}

/// The bytes of a safetensors file with this header, followed by `data` bytes of tensor values.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn a_truncated_file_is_refused() {
    for bytes in [ctranslate2(DType::Int8), safetensors()] {
        assert!(open_bytes(&bytes).unwrap() > 100);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        for end in (0..bytes.len()).rev() {
            file.as_file().set_len(end as u64).unwrap();
            let error = read_all(file.path()).unwrap_err();
            let located = matches!(error, Error::Truncated { length, .. } if length == end);
            // If only the first few bytes are left, the format cannot be detected, so the error does not name a
            // position.
            assert!(located || (end < 32 && matches!(error, Error::UnknownFormat { .. })), "cut at {end}: {error}");
        }
    }
}

#[test]
fn the_position_of_a_truncation_is_reported() {
    let file = ModelBin::new().variable(b"encoder/conv1/bias", &[4], 0, &[0; 16]).bytes();
    let end = file.len() - 10;
    let text = message(&file[..end]);
    assert!(
        text.contains(&format!("the file ends at byte {end} inside tensor encoder/conv1/bias: it is truncated")),
        "{text}"
    );

    let file = safetensors();
    let text = message(&file[..file.len() - 1]);
    assert!(text.contains("inside tensor model.") && text.ends_with("it is truncated; fetch it again"), "{text}");
}

#[test]
fn trailing_bytes_are_refused() {
    for mut file in [ctranslate2(DType::F16), safetensors()] {
        file.extend(b"more");
        assert!(message(&file).contains("4 bytes follow its"), "{}", message(&file));
    }
}

#[test]
fn the_format_of_an_unsupported_file_is_named() {
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
fn other_versions_and_models_are_refused() {
    for (header, expected) in [
        (ModelBin::header(3, "WhisperSpec", 1), "version 3"),
        (ModelBin::header(7, "WhisperSpec", 3), "version 7"),
        (ModelBin::header(6, "TransformerSpec", 7), "TransformerSpec"),
        (ModelBin::header(6, "WhisperSpec", 4), "revision 4"),
    ] {
        assert!(message(&header).contains(expected), "{}", message(&header));
    }
    let relu = ModelBin::new().variable(b"decoder/activation", &[], 1, &[0]).bytes();
    assert!(message(&relu).contains("other than GELU"), "{}", message(&relu));
}

#[test]
fn contradictions_in_a_model_bin_are_refused() {
    let new = ModelBin::new;
    let bias = b"encoder/conv1/bias";
    let linear = b"encoder/layer_0/self_attention/linear_0/weight";
    let scale = b"encoder/layer_0/self_attention/linear_0/weight_scale";
    let scales = |value: f32, n: usize| value.to_le_bytes().repeat(n);
    for (file, expected) in [
        (new().variable(bias, &[2], 0, &[0; 8]).variable(bias, &[2], 0, &[0; 8]), "occurs twice"),
        (new().variable(bias, &[2], 0, &[0; 12]), "12 bytes do not make up its shape [2]"),
        (new().variable(bias, &[u32::MAX; 5], 0, &[0; 4]), "do not make up its shape"),
        (new().variable(bias, &[0, u32::MAX, u32::MAX, u32::MAX], 0, &[]), "has no elements"),
        (new().variable(bias, &[1], 9, &[0; 4]), "type 9"),
        (new().variable(bias, &[1], 3, &[0; 4]), "int32"),
        (new().variable(b"\xff\xfe", &[1], 0, &[0; 4]), "is not UTF-8"),
        (new().variable(b"a\0b", &[1], 0, &[0; 4]), "should be a name at byte 26"),
        (new().variable(b"\x1b[2J", &[1], 0, &[0; 4]), "should be a name at byte 26"),
        (new().variable(&[b'a'; 300], &[1], 0, &[0; 4]), "should be a name at byte 26"),
        (new().variable(bias, &[1; 200], 0, &[0; 4]), "200 dimensions"),
        (new().variable(linear, &[4, 2], 0, &[0; 32]), "stacks 3 matrices"),
        (new().variable(linear, &[], 0, &[0; 4]), "stacks 3 matrices"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]), "weight_scale is not there"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]).variable(scale, &[2], 0, &scales(1.0, 2)), "needs 3 scales"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]).variable(scale, &[3], 4, &[0; 6]), "not stored as float32"),
        (new().variable(linear, &[3, 2], 1, &[0; 6]).variable(scale, &[3], 0, &scales(0.0, 3)), "0 is not a scale"),
        (new().variable(scale, &[3], 0, &scales(f32::NAN, 3)), "NaN is not a scale"),
        (new().variable(linear, &[3, 2], 2, &[0; 12]).variable(scale, &[3], 0, &scales(1.0, 3)), "needs 1 scales"),
        (new().alias("decoder/projection/weight", "nowhere"), "leads to nowhere, which is not there"),
        (new().alias("a", "b").alias("b", "a"), "leads to b, which is not there"),
        (new().alias("a", "a"), "leads to a, which is not there"),
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
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }
}

#[test]
fn unusual_but_valid_files_are_read() {
    // A variable that is not part of a Whisper model may have any contents.
    let unknown = ModelBin::new().variable(b"x", &[1; 200], 0, &[0; 4]).variable(b"y", &[3, 0], 4, &[]);
    assert_eq!(open_bytes(&unknown.bytes()).unwrap(), 0);
    // The target of an alias may be another alias.
    let chain = ModelBin::new().variable(b"x", &[2], 0, &[0; 8]).alias("y", "x").alias("encoder/conv1/bias", "y");
    assert_eq!(open_bytes(&chain.bytes()).unwrap(), 2);
    assert_eq!(open_bytes(&ModelBin::new().bytes()).unwrap(), 0);
    assert_eq!(open_bytes(&with_header("{}", 0)).unwrap(), 0);
}

#[test]
fn a_count_beyond_the_end_of_the_file_allocates_nothing() {
    let header = ModelBin::header(6, "WhisperSpec", 3);
    assert!(message(&[&header[..], &u32::MAX.to_le_bytes()].concat()).contains("claims 4294967295 variables"));
    let text = message(&[&header[..], &65_000_u32.to_le_bytes()].concat());
    assert!(text.contains("inside variable 1 of 65000"), "{text}");
}

#[test]
fn contradictions_in_safetensors_are_refused() {
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
            // Because one name occurs twice, one of the two byte ranges belongs to no tensor.
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                .to_owned(),
            8,
            "header is not valid",
        ),
        (r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#.to_owned(), 1, "stored as I8"),
        (
            // The sum of these lengths and the header's length overflows, and the overflowed sum equals the length of
            // the file.
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
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }
    let text = message(&[&1_000_000_000_u64.to_le_bytes()[..], b"{\"a\":"].concat());
    assert!(text.contains("its header claims 1000000000 bytes"), "{text}");
}

#[test]
fn contradictions_between_shards_are_refused() {
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
        (good.replace(&entry(shards[0]), &entry("../secret")), "is not the name of a file beside it"),
        (good.replace(&entry(shards[0]), &entry("/etc/passwd")), "is not the name of a file beside it"),
        (good.replace(&entry(shards[0]), &entry("")), "is not the name of a file beside it"),
        (good.replace(&entry(shards[0]), &entry("absent")), "absent: cannot be read"),
        (good[..good.len() - 1].to_owned(), "not a valid index"),
    ] {
        fs::write(&index, text).unwrap();
        let text = Checkpoint::open(directory.path()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }
    fs::write(&index, good).unwrap();
    fs::copy(directory.path().join(shards[0]), directory.path().join(shards[1])).unwrap();
    assert!(Checkpoint::open(directory.path()).unwrap_err().to_string().contains("occurs twice"));
}

#[test]
fn directories_and_devices_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Checkpoint::open(directory.path()).unwrap_err(), Error::NoWeights { .. }));
    assert!(matches!(Checkpoint::open(&directory.path().join("absent")).unwrap_err(), Error::Io { .. }));
    fs::create_dir(directory.path().join("model.bin")).unwrap();
    assert!(matches!(Checkpoint::open(directory.path()).unwrap_err(), Error::NotAFile { .. }));
    #[cfg(unix)]
    assert!(matches!(Checkpoint::open(Path::new("/dev/zero")).unwrap_err(), Error::NotAFile { .. }));
}

/// A random change to the bytes of a file.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    let byte = prop_oneof![Just(0), Just(0xff), any::<u8>()];
    prop_oneof![
        (index(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        (index(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (index(), 1..40_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        (index(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    if file.is_empty() {
        return;
    }
    match change {
        Change::Set(at, byte) => *at.get_mut(file) = *byte,
        Change::Flip(at, bit) => *at.get_mut(file) ^= 1 << bit,
        Change::Remove(at, n) => {
            let start = at.index(file.len());
            file.drain(start..file.len().min(start + n));
        }
        Change::Insert(at, bytes) => {
            let start = at.index(file.len());
            file.splice(start..start, bytes.iter().copied());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(which in 0..3_usize, changes in prop::collection::vec(change(), 1..6)) {
        static FILES: LazyLock<[Vec<u8>; 3]> =
            LazyLock::new(|| [ctranslate2(DType::Int8), ctranslate2(DType::Int16), safetensors()]);
        let mut file = FILES[which].clone();
        let limit = file.len() + 200;
        for change in &changes {
            apply(&mut file, change);
        }
        if let Ok(values) = open_bytes(&file) {
            prop_assert!(values <= limit);
        }
    }

    #[test]
    fn mutated_headers_never_panic(changes in prop::collection::vec(change(), 1..6)) {
        static FILE: LazyLock<Vec<u8>> = LazyLock::new(safetensors);
        let file = &*FILE;
        let header = 8 + u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        let mut text = file[8..header].to_vec();
        for change in &changes {
            apply(&mut text, change);
        }
        let file = [&(text.len() as u64).to_le_bytes()[..], &text, &file[header..]].concat();
        if let Ok(values) = open_bytes(&file) {
            prop_assert!(values <= file.len());
        }
    }

    #[test]
    fn random_bytes_never_panic(start in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let start = match start {
            0 => [ModelBin::header(6, "WhisperSpec", 3), 3_u32.to_le_bytes().to_vec()].concat(),
            1 => [(bytes.len() as u64).to_le_bytes().to_vec(), b"{".to_vec()].concat(),
            _ => vec![],
        };
        prop_assert!(open_bytes(&[start, bytes].concat()).is_err());
    }
}
