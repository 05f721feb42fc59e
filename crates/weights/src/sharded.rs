//! Reader of sharded safetensors checkpoints: several files, and a JSON index that says which file holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use crate::format::{Contents, Format};
use crate::mmap::MappedFile;
use crate::{Error, safetensors};

pub(crate) const FORMAT: Format =
    Format { name: "sharded safetensors", file_names: &["model.safetensors.index.json"], probe, read };

/// Longest index that is accepted. A Whisper model needs about 100 bytes for each tensor. The limit bounds the memory
/// that a hostile index can take.
const MAX_INDEX_BYTES: usize = 8 << 20;

#[derive(serde::Deserialize)]
struct Index {
    /// The file name of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// The file is a JSON object that contains the key `weight_map`, which distinguishes it from `config.json`.
fn probe(bytes: &[u8]) -> bool {
    let key = b"\"weight_map\"";
    bytes.trim_ascii_start().first() == Some(&b'{')
        && bytes[..bytes.len().min(MAX_INDEX_BYTES)].windows(key.len()).any(|window| window == key)
}

#[expect(clippy::needless_pass_by_value, reason = "readers of all formats have this signature")]
fn read(file: MappedFile) -> Result<Contents, Error> {
    if file.bytes().len() > MAX_INDEX_BYTES {
        return Err(file.malformed(format!("the index is longer than the limit of {MAX_INDEX_BYTES} bytes")));
    }
    // Copied before validation: another process could change the mapped bytes after they were validated as UTF-8.
    let text = file.bytes().to_vec();
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| file.malformed(format!("it is not a valid index: {error}")))?;
    let shards: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();

    let mut contents = Contents::new();
    let mut file_of_shard = BTreeMap::new();
    for shard in shards {
        if Path::new(shard).components().collect::<Vec<_>>() != [Component::Normal(shard.as_ref())] {
            return Err(file.malformed(format!("{shard:?} is not the name of a file in the same directory")));
        }
        file_of_shard.insert(shard, contents.files.len());
        safetensors::add(MappedFile::open(&file.path().with_file_name(shard))?, &mut contents)?;
    }
    for (name, shard) in &index.weight_map {
        let canonical = name.strip_prefix("model.").unwrap_or(name);
        let found = contents.tensors.get(canonical).map(|entry| entry.file);
        if found != file_of_shard.get(shard.as_str()).copied() {
            return Err(file.malformed(format!("tensor {name:?} is not in {shard}")));
        }
    }
    Ok(contents)
}
