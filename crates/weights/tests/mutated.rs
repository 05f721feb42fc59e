//! Randomly changed files give an error or tensors; they never cause a panic.

mod common;

use std::sync::LazyLock;

use amanuensis_weights::DType;
use common::{ctranslate2, model_bin_header, open_bytes, safetensors};
use proptest::prelude::*;

/// A random change to a file.
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
            0 => [model_bin_header(6, "WhisperSpec", 3), 3_u32.to_le_bytes().to_vec()].concat(),
            1 => [(bytes.len() as u64).to_le_bytes().to_vec(), b"{".to_vec()].concat(),
            _ => vec![],
        };
        prop_assert!(open_bytes(&[start, bytes].concat()).is_err());
    }
}
