//! A safetensors checkpoint in several files, with a JSON index that lists the file of each tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use crate::format::{Contents, Format};
use crate::mmap::MappedFile;
use crate::{Error, safetensors};

pub(crate) const FORMAT: Format =
    Format { name: "sharded safetensors", file_names: &["model.safetensors.index.json"], probe, read };

/// Maximum size of an index in bytes, as a protection against hostile files. Whisper models need less (about 100
/// bytes per tensor).
const MAX_INDEX: usize = 8 << 20;

#[derive(serde::Deserialize)]
struct Index {
    /// For each tensor name, the name of the file that contains the tensor.
    weight_map: BTreeMap<String, String>,
}

/// Whether the file is a JSON object with the key `weight_map`. `config.json` does not have this key.
fn probe(bytes: &[u8]) -> bool {
    let key = b"\"weight_map\"";
    bytes.trim_ascii_start().first() == Some(&b'{')
        && bytes[..bytes.len().min(MAX_INDEX)].windows(key.len()).any(|window| window == key)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of every format's reader")]
fn read(file: MappedFile) -> Result<Contents, Error> {
    if file.bytes().len() > MAX_INDEX {
        return Err(file.malformed(format!("it takes over {MAX_INDEX} bytes; no index of a Whisper model does")));
    }
    // The text is copied, because the mapped bytes could change after UTF-8 validation.
    let text = file.bytes().to_vec();
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| file.malformed(format!("it is not a valid index: {error}")))?;
    let shards: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();

    let mut contents = Contents::new();
    let mut file_of_shard = BTreeMap::new();
    for shard in shards {
        if Path::new(shard).components().collect::<Vec<_>>() != [Component::Normal(shard.as_ref())] {
            return Err(file.malformed(format!("{shard:?} is not the name of a file beside it")));
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
