//! whisper.cpp's weight file `ggml-*.bin`.
//!
//! The file is little-endian and unaligned: u32 magic; eleven i32 of sizes; i32 number of mel bins, i32 number of
//! frequencies and the mel filters as f32; i32 number of text tokens, for each its length as u32 and its bytes; then
//! tensors up to the end of the file, for each i32 rank, i32 length of the name, i32 type, i32 dimensions (the
//! innermost first), name, data. (Written by `models/convert-pt-to-ggml.py`, read by `whisper_model_load` of
//! whisper.cpp.)
//!
//! Tensors have the names of openai-whisper. The bias of a convolution is stored as a matrix with one column,
//! `(out, 1)`.

use crate::format::{Contents, Format, is_name};
use crate::mmap::MappedFile;
use crate::reader::Reader;
use crate::tensor::{Entry, Quantisation};
use crate::{DType, Error};

pub(crate) const FORMAT: Format = Format { name: "ggml", file_names: &["ggml-*.bin"], probe, read };

/// The first four bytes of a file. They are the letters `ggml` in reverse, because the magic number is stored in
/// little-endian order.
const MAGIC: [u8; 4] = *b"lmgg";

/// Upper bound for any size or count in a file. No Whisper model reaches it.
const MAX_COUNT: usize = 1 << 20;

/// The only module of which the tensor has no suffix such as `.weight` in its name.
const POSITIONS: &str = "positional_embedding";

/// Modules of an encoder or a decoder in openai-whisper, with their canonical names.
const MODULES: &[(&str, &str)] = &[
    ("conv1", "conv1"),
    ("conv2", "conv2"),
    (POSITIONS, "embed_positions"),
    ("token_embedding", "embed_tokens"),
    ("ln_post", "layer_norm"),
    ("ln", "layer_norm"),
];

/// Modules of a layer in openai-whisper, with their canonical names.
const LAYER_MODULES: &[(&str, &str)] = &[
    ("attn.query", "self_attn.q_proj"),
    ("attn.key", "self_attn.k_proj"),
    ("attn.value", "self_attn.v_proj"),
    ("attn.out", "self_attn.out_proj"),
    ("attn_ln", "self_attn_layer_norm"),
    ("cross_attn.query", "encoder_attn.q_proj"),
    ("cross_attn.key", "encoder_attn.k_proj"),
    ("cross_attn.value", "encoder_attn.v_proj"),
    ("cross_attn.out", "encoder_attn.out_proj"),
    ("cross_attn_ln", "encoder_attn_layer_norm"),
    ("mlp.0", "fc1"),
    ("mlp.2", "fc2"),
    ("mlp_ln", "final_layer_norm"),
];

fn probe(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

fn read(file: MappedFile) -> Result<Contents, Error> {
    let mut reader = Reader { file: &file, at: MAGIC.len() };
    let header = Header::read(&mut reader)?;
    reader.skip_filters()?;
    let mut contents = Contents::new();
    [contents.encoder_heads, contents.decoder_heads] = header.heads.map(Some);
    contents.vocabulary = Some(reader.vocabulary(header.n_vocab)?);
    while reader.at < file.bytes().len() {
        let (name, entry) = reader.tensor()?;
        contents.insert(&file, name, entry)?;
    }
    header.check(&file, &contents)?;
    contents.files.push(file);
    Ok(contents)
}

/// The sizes at the beginning of a file. It has no number of layers and no number types, because the tensors
/// themselves show these.
struct Header {
    /// The encoder's number of positions and width. `text` holds the same two numbers for the decoder.
    audio: [usize; 2],
    text: [usize; 2],
    heads: [usize; 2],
    n_vocab: usize,
    n_mels: usize,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut sizes = [0; 11];
        for size in &mut sizes {
            *size = reader.size("the header")?;
        }
        let [n_vocab, audio_ctx, audio_state, audio_head, _, text_ctx, text_state, text_head, _, n_mels, _] = sizes;
        let (audio, text) = ([audio_ctx, audio_state], [text_ctx, text_state]);
        Ok(Self { audio, text, heads: [audio_head, text_head], n_vocab, n_mels })
    }

    /// Checks that the tensors have the sizes that the header states.
    fn check(&self, file: &MappedFile, contents: &Contents) -> Result<(), Error> {
        for (name, expected) in [
            ("encoder.conv1.weight", [self.audio[1], self.n_mels]),
            ("encoder.embed_positions.weight", self.audio),
            ("decoder.embed_positions.weight", self.text),
            ("decoder.embed_tokens.weight", [self.n_vocab, self.text[1]]),
        ] {
            if let Some(entry) = contents.tensors.get(name)
                && !entry.shape().starts_with(&expected)
            {
                let found = entry.shape();
                return Err(file.malformed(format!("its header gives {name} the sizes {expected:?}, not {found:?}")));
            }
        }
        Ok(())
    }
}

/// The canonical name of the tensor that openai-whisper calls `name`; `None` if no Whisper model has it.
fn canonical(name: &str) -> Option<String> {
    let (network, rest) = name.split_once('.')?;
    if !matches!(network, "encoder" | "decoder") {
        return None;
    }
    let (prefix, rest, modules) = match rest.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        Some((index, rest)) => (format!("{network}.layers.{}.", index.parse::<u16>().ok()?), rest, LAYER_MODULES),
        None => (format!("{network}."), rest, MODULES),
    };
    modules.iter().find_map(|(theirs, ours)| match rest.strip_prefix(theirs)? {
        "" if *theirs == POSITIONS => Some(format!("{prefix}{ours}.weight")),
        parameter @ (".weight" | ".bias") if *theirs != POSITIONS => Some(format!("{prefix}{ours}{parameter}")),
        _ => None,
    })
}

fn dtype(code: u32) -> Option<DType> {
    Some(match code {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Q4_0,
        3 => DType::Q4_1,
        6 => DType::Q5_0,
        7 => DType::Q5_1,
        8 => DType::Q8_0,
        _ => return None,
    })
}

impl Reader<'_> {
    /// Reads a size or a count. Returns an error if the value is above an upper bound, because the value may
    /// determine how much memory is allocated.
    fn size(&mut self, inside: &str) -> Result<usize, Error> {
        let at = self.at;
        let count = self.u32(inside)? as usize;
        if count > MAX_COUNT {
            return Err(self.file.malformed(format!("{count} at byte {at} is no size of a Whisper model")));
        }
        Ok(count)
    }

    /// Skips the mel filters, which are not needed, because the `audio` crate computes them.
    fn skip_filters(&mut self) -> Result<(), Error> {
        let inside = "the mel filters";
        let (n_mels, n_frequencies) = (self.size(inside)?, self.size(inside)?);
        let size = n_mels.checked_mul(n_frequencies).and_then(|n| n.checked_mul(size_of::<f32>()));
        self.take(size.ok_or_else(|| self.file.truncated(inside))?, inside)?;
        Ok(())
    }

    /// Reads the bytes of each text token. The special tokens, whose ids follow up to `n_vocab`, are not in the file,
    /// because their order is the same in all vocabularies.
    fn vocabulary(&mut self, n_vocab: usize) -> Result<Vec<Vec<u8>>, Error> {
        let inside = "the vocabulary";
        let count = self.size(inside)?;
        if count > n_vocab {
            return Err(self.file.malformed(format!("it lists {count} tokens, but its decoder has {n_vocab}")));
        }
        let mut tokens = Vec::new();
        for _ in 0..count {
            let length = self.size(inside)?;
            tokens.push(self.take(length, inside)?.to_vec());
        }
        Ok(tokens)
    }

    /// Reads the next tensor and returns it with its canonical name.
    fn tensor(&mut self) -> Result<(String, Entry), Error> {
        let at = self.at;
        let inside = format!("the tensor at byte {at}");
        let malformed = |reason: String| self.file.malformed(format!("tensor at byte {at}: {reason}"));
        let (rank, length) = (self.u32(&inside)?, self.u32(&inside)?);
        if !(1..=4).contains(&rank) {
            return Err(malformed(format!("it has {rank} dimensions; one to four make sense")));
        }
        let code = self.u32(&inside)?;
        let mut shape = Vec::new();
        for _ in 0..rank {
            shape.insert(0, self.u32(&inside)? as usize);
        }
        let name = self.take(length as usize, &inside)?.to_vec();
        let name = String::from_utf8(name).ok().filter(|name| is_name(name));
        let Some(name) = name else { return Err(malformed("its name is no text".into())) };
        let Some(dtype) = dtype(code) else {
            return Err(self.file.unsupported(format!(
                "tensor {name} is stored in type {code} of ggml, but f32, f16, q8_0, q5_0, q5_1, q4_0 and q4_1 are \
                 supported; quantise the model anew"
            )));
        };
        let Some(canonical) = canonical(&name) else {
            return Err(self.file.unsupported(format!("tensor {name} is not one of a Whisper model")));
        };
        let is_bias = matches!(canonical.as_str(), "encoder.conv1.bias" | "encoder.conv2.bias");
        if is_bias && shape.last() == Some(&1) {
            shape.pop();
        }
        let (block_len, block_size) = dtype.block();
        let values = shape.iter().copied().try_fold(1, usize::checked_mul);
        let Some(size) = values.and_then(|values| (values / block_len).checked_mul(block_size)) else {
            return Err(malformed(format!("its shape {shape:?} is too large")));
        };
        let start = self.at;
        self.take(size, &format!("tensor {name}"))?;
        let entry = Entry::new(dtype, shape, start..self.at, Quantisation::default())
            .map_err(|reason| self.file.malformed(format!("tensor {name}: {reason}")))?;
        Ok((canonical, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_match_real_files() {
        for (theirs, ours) in [
            ("encoder.positional_embedding", "encoder.embed_positions.weight"),
            ("encoder.conv1.bias", "encoder.conv1.bias"),
            ("encoder.blocks.11.attn.query.weight", "encoder.layers.11.self_attn.q_proj.weight"),
            ("encoder.blocks.0.attn_ln.bias", "encoder.layers.0.self_attn_layer_norm.bias"),
            ("encoder.blocks.0.mlp_ln.weight", "encoder.layers.0.final_layer_norm.weight"),
            ("encoder.ln_post.weight", "encoder.layer_norm.weight"),
            ("decoder.token_embedding.weight", "decoder.embed_tokens.weight"),
            ("decoder.positional_embedding", "decoder.embed_positions.weight"),
            ("decoder.blocks.3.cross_attn.key.weight", "decoder.layers.3.encoder_attn.k_proj.weight"),
            ("decoder.blocks.3.cross_attn_ln.weight", "decoder.layers.3.encoder_attn_layer_norm.weight"),
            ("decoder.blocks.3.mlp.2.bias", "decoder.layers.3.fc2.bias"),
            ("decoder.ln.bias", "decoder.layer_norm.bias"),
        ] {
            assert_eq!(canonical(theirs).as_deref(), Some(ours), "{theirs}");
        }
        for foreign in ["mel_filters", "encoder.blocks.x.mlp.0.bias", "decoder.positional_embedding.bias", "vad.conv"] {
            assert_eq!(canonical(foreign), None, "{foreign}");
        }
    }
}
