//! Tests with more than a thousand malformed ONNX and ggml files. The result must be tensors or an error, never a
//! panic, and the memory must stay below a small multiple of the file's size. This is a separate test program,
//! because it counts all allocations of the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use amanuensis_weights::fixture::{Dimensions, whisper, write_ggml};
use amanuensis_weights::{Checkpoint, DType, Error};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::sample::Index;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Lets only one test run at a time. Otherwise the allocations of one test would be counted in another.
fn run_alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Maximum memory that opening a model may take, in bytes per byte of its files. The shortest strings take 24 bytes
/// in memory and 2 in the file, and the capacity of lists doubles when they grow.
const PER_BYTE: usize = 48;
/// Memory in bytes that opening a model may take beyond [`PER_BYTE`] times the size of its files: for a path, a
/// message and the index of an empty file.
const EXTRA_BYTES: usize = 64 << 10;

/// Opens a model and reads its tensors one by one. Returns the number of their values, and the peak memory in bytes
/// while the model was opened.
fn read(path: &Path) -> (Result<usize, Error>, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let opened = Checkpoint::open(path);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let values = opened.and_then(|checkpoint| {
        checkpoint.names().try_fold(0, |values, name| Ok(values + checkpoint.tensor(name)?.to_f32().len()))
    });
    (values, taken)
}

/// Checks that a malformed model, whose files have `bytes` bytes in total, takes little memory when it is opened, and
/// that its tensors have at most `limit` values.
fn check(path: &Path, bytes: usize, limit: usize) -> Result<(), TestCaseError> {
    let (values, taken) = read(path);
    prop_assert!(taken <= PER_BYTE * bytes + EXTRA_BYTES, "{} bytes for a file of {}", taken, bytes);
    if let Ok(values) = values {
        prop_assert!(values <= limit);
    }
    Ok(())
}

fn ggml(dtype: DType) -> Vec<u8> {
    let dimensions = Dimensions {
        n_mels: 2,
        n_state: 32,
        n_ff: 32,
        n_audio_ctx: 2,
        n_audio_layer: 1,
        n_text_ctx: 2,
        n_text_layer: 1,
        n_vocab: 20,
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ggml");
    write_ggml(&path, &whisper(&dimensions, 1), [2, 2], dtype, &[b"a".to_vec(), vec![0xff], vec![]]).unwrap();
    fs::read(path).unwrap()
}

static GGML: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| [ggml(DType::F16), ggml(DType::Q8_0), ggml(DType::Q5_1)]);

/// An ONNX export: name and content of the encoder's file, then of the decoder's file.
type Export = [(&'static str, Vec<u8>); 2];

static EXPORTS: LazyLock<[Export; 3]> = LazyLock::new(|| {
    [("int8", "decoder_model.onnx"), ("external", "decoder_model.onnx"), ("merged", "decoder_model_merged.onnx")].map(
        |(form, decoder)| {
            let directory = data().join(form);
            ["encoder_model.onnx", decoder].map(|name| (name, fs::read(directory.join(name)).unwrap()))
        },
    )
});

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx")
}

/// Writes an export into a directory, together with the data files that its graphs refer to. Returns the size of all
/// files in bytes.
fn write(directory: &Path, export: &Export) -> usize {
    for name in ["encoder_model.onnx_data", "decoder_model.onnx_data"] {
        fs::copy(data().join("external").join(name), directory.join(name)).unwrap();
    }
    export.iter().map(|(name, bytes)| fs::write(directory.join(name), bytes).map(|()| bytes.len()).unwrap()).sum()
}

/// A random change to the bytes of a file.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Number(Index, u32),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    /// Inserts a copy of a part of the file at another position. The fields are the start of the part, the position,
    /// and the length of the part in bytes.
    Copy(Index, Index, usize),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let byte = prop_oneof![Just(0), Just(0x7f), Just(0xff), any::<u8>()];
    let number =
        prop_oneof![Just(0), Just(1), Just(u32::MAX), Just(i32::MAX.cast_unsigned()), Just(1 << 20), any::<u32>()];
    prop_oneof![
        8 => (index(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        4 => (index(), number).prop_map(|(at, number)| Change::Number(at, number)),
        2 => (index(), 1..40_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        2 => (index(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (index(), index(), 1..400_usize).prop_map(|(from, to, n)| Change::Copy(from, to, n)),
        1 => index().prop_map(Change::Cut),
    ]
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    if file.is_empty() {
        return;
    }
    let until = |start: usize, n: usize| start..file.len().min(start + n);
    match change {
        Change::Set(at, byte) => *at.get_mut(file) = *byte,
        Change::Number(at, number) => {
            let range = until(at.index(file.len()), 4);
            let length = range.len();
            file[range].copy_from_slice(&number.to_le_bytes()[..length]);
        }
        Change::Remove(at, n) => drop(file.drain(until(at.index(file.len()), *n))),
        Change::Insert(at, bytes) => {
            let at = at.index(file.len());
            file.splice(at..at, bytes.iter().copied());
        }
        Change::Copy(from, to, n) => {
            let part = file[until(from.index(file.len()), *n)].to_vec();
            let at = to.index(file.len());
            file.splice(at..at, part);
        }
        Change::Cut(at) => file.truncate(at.index(file.len())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    fn malformed_ggml(which in 0..3_usize, changes in prop::collection::vec(change(), 1..6)) {
        let mut bytes = GGML[which].clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ggml-model.bin");
        fs::write(&path, &bytes).unwrap();
        // In the quantised formats, a value takes at least half a byte in the file.
        check(&path, bytes.len(), 2 * bytes.len())?;
    }

    fn malformed_onnx(which in 0..3_usize, part in 0..2_usize, changes in prop::collection::vec(change(), 1..6)) {
        let mut export = EXPORTS[which].clone();
        for change in &changes {
            apply(&mut export[part].1, change);
        }
        let directory = tempfile::tempdir().unwrap();
        let bytes = write(directory.path(), &export);
        // If a change gives two tensors the same byte range, the values of this range are counted twice.
        check(directory.path(), bytes, 2 * bytes)?;
    }
}

#[test]
fn malformed_ggml_files_take_little_memory() {
    let _guard = run_alone();
    malformed_ggml();
}

#[test]
fn malformed_onnx_files_take_little_memory() {
    let _guard = run_alone();
    malformed_onnx();
}

/// Encodes a protobuf field of type bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [&field, bytes].concat()
}

/// Opens an ONNX export whose encoder consists of this graph and a node that uses `conv1.bias`.
fn open_graph(graph: &[u8]) -> (Result<usize, Error>, usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut export = EXPORTS[0].clone();
    let user = field(1, &[field(4, b"Add"), field(1, b"conv1.bias")].concat());
    export[0].1 = [&[0x08, 8][..], &field(7, &[graph, &user].concat())].concat();
    let bytes = write(directory.path(), &export);
    let (values, taken) = read(directory.path());
    (values, taken, bytes)
}

#[test]
fn graphs_with_false_sizes_take_little_memory() {
    let _guard = run_alone();
    let op = field(4, b"If");
    let deep = (0..40).fold(Vec::new(), |graph, _| {
        let branch = [field(1, b"then_branch"), field(6, &graph)].concat();
        field(1, &[&op[..], &field(5, &branch)].concat())
    });
    let many = field(1, &op).repeat(70_000);
    let empty_names = field(1, &[&op[..], &field(1, b"").repeat(100_000)].concat());
    let huge = [&[0x08; 1][..], &[0xff; 9], &[0x01], &[0x10, 1], &field(8, b"conv1.bias"), &field(9, &[0; 4])].concat();
    let large = [&[0x08, 0x80, 0x80, 0x80, 0x80, 0x40].repeat(3)[..], &[0x10, 1], &field(8, b"conv1.bias")].concat();
    let large = [&large[..], &field(9, &[0; 4])].concat();
    let ranks = [&[0x08, 1].repeat(100_000)[..], &[0x10, 1], &field(8, b"conv1.bias"), &field(9, &[0; 4])].concat();
    for (graph, expected) in [
        (deep, "deep inside of graphs"),
        (many, "more than 65536 nodes"),
        (empty_names, "has no tensor"),
        (field(1, b""), "has no operator"),
        (field(5, &huge), "is no size"),
        (field(5, &large), "is too large"),
        (field(5, &ranks), "100000 dimensions"),
        (field(5, &[&[0x10, 1][..], &field(8, b"conv1.bias")].concat()), "has no data"),
        (field(5, &[&[0x08, 1, 0x10, 1][..], &field(5, &[1]), &field(8, b"conv1.bias")].concat()), "number by number"),
        (field(5, &[0x12]), "should be a field"),
        (field(1, &[&op[..], &field(3, &[0xff])].concat()), "not UTF-8"),
    ] {
        let (values, taken, bytes) = open_graph(&graph);
        let message = values.map_or_else(|error| error.to_string(), |values| format!("{values} values, has no tensor"));
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        assert!(taken <= PER_BYTE * bytes + EXTRA_BYTES, "{taken} bytes for a file of {bytes}: {expected}");
    }
}

#[test]
fn contradictions_in_a_ggml_file_are_refused() {
    let _guard = run_alone();
    let good = &GGML[1];
    let sized = |place: usize, number: u32| {
        let mut bytes = good.clone();
        bytes[4 * place..4 * place + 4].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    let tensor = |rank: u32, code: u32, dims: &[u32], name: &str, data: usize| {
        let mut bytes = good.clone();
        let numbers = [rank, name.len() as u32, code].into_iter().chain(dims.iter().copied());
        bytes.extend(numbers.flat_map(u32::to_le_bytes));
        bytes.extend(name.bytes().chain(std::iter::repeat_n(0, data)));
        bytes
    };
    for (bytes, expected) in [
        (sized(1, 21), "gives decoder.embed_tokens.weight the sizes [21, 32], not [20, 32]"),
        (sized(3, 16), "gives encoder.conv1.weight the sizes [16, 2]"),
        (sized(2, u32::MAX), "4294967295 at byte 8 is no size"),
        (sized(1, 2), "lists 3 tokens, but its decoder has 2"),
        (sized(13, 1 << 19), "inside the mel filters"),
        (good[..good.len() - 1].to_vec(), "it is truncated"),
        (tensor(1, 0, &[1], "decoder.ln.bias", 4), "decoder.layer_norm.bias occurs twice"),
        (tensor(1, 0, &[1], "decoder.blocks.9.mlp.0.bias", 0), "inside tensor decoder.blocks.9.mlp.0.bias"),
        (tensor(9, 0, &[1; 9], "decoder.ln.bias", 4), "has 9 dimensions"),
        (tensor(1, 12, &[256], "decoder.blocks.9.mlp.0.bias", 144), "type 12 of ggml"),
        (tensor(1, 8, &[33], "decoder.blocks.9.mlp.0.bias", 34), "comes in blocks of 32"),
        (tensor(1, 0, &[0], "decoder.blocks.9.mlp.0.bias", 0), "has no elements"),
        (tensor(4, 0, &[u32::MAX; 4], "decoder.blocks.9.mlp.0.bias", 0), "is too large"),
        (tensor(1, 0, &[1], "vad.bias", 4), "vad.bias is not one of a Whisper model"),
        (tensor(1, 0, &[1], "\u{1b}[2J", 4), "its name is no text"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ggml-model.bin");
        fs::write(&path, &bytes).unwrap();
        let (values, taken) = read(&path);
        let message = values.unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        assert!(
            taken <= PER_BYTE * bytes.len() + EXTRA_BYTES,
            "{taken} bytes for a file of {}: {expected}",
            bytes.len()
        );
    }
}
