//! Reader of whisper.cpp's `ggml-*.bin` files.
//!
//! Layout (little-endian, unaligned):
//!
//! 1. u32 magic; eleven i32 sizes.
//! 2. i32 mel bins; i32 frequencies; the mel filters as f32.
//! 3. i32 number of text tokens; for each token, a u32 length and its bytes.
//! 4. Tensors up to the end of the file. For each: i32 rank, i32 length of the name, i32 type, i32 dimensions
//!    (innermost first), name, data.
//!
//! Such files are written by whisper.cpp's `models/convert-pt-to-ggml.py` and read by its `whisper_model_load`. Tensors
//! have the names of openai-whisper. Biases of convolutions are columns, `(out, 1)`.

use crate::format::{Contents, Format, is_name};
use crate::mmap::MappedFile;
use crate::reader::Reader;
use crate::tensor::{Entry, Quantisation};
use crate::{DType, Error};

pub(crate) const FORMAT: Format = Format { name: "ggml", file_names: &["ggml-*.bin"], probe, read };

/// The magic number: the bytes of `ggml`, as a u32, in little-endian order.
const MAGIC: [u8; 4] = *b"lmgg";

/// Largest size or count that is accepted. It bounds the memory that a hostile file can take; no Whisper model comes
/// near it.
const MAX_COUNT: usize = 1 << 20;

/// The only tensor whose name has no `.weight` or `.bias`.
const POSITIONS: &str = "positional_embedding";

/// Modules of the encoder and the decoder outside of layers: the names of openai-whisper, and the canonical names.
const MODULES: &[(&str, &str)] = &[
    ("conv1", "conv1"),
    ("conv2", "conv2"),
    (POSITIONS, "embed_positions"),
    ("token_embedding", "embed_tokens"),
    ("ln_post", "layer_norm"),
    ("ln", "layer_norm"),
];

/// Modules of a layer: the names of openai-whisper, and the canonical names.
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

/// The sizes at the start of a file. The numbers of layers and the type of the weights are ignored: the tensors
/// determine both.
struct Header {
    /// Positions and width of the encoder.
    audio: [usize; 2],
    /// Positions and width of the decoder.
    text: [usize; 2],
    /// Attention heads of the encoder and of the decoder.
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

    /// Checks that the tensors have the sizes in the header.
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
                return Err(file.malformed(format!(
                    "by its header {name} has the sizes {expected:?}, but its shape is {found:?}"
                )));
            }
        }
        Ok(())
    }
}

/// The canonical name of a tensor of openai-whisper. `None` if a Whisper model has no such tensor.
fn canonical(name: &str) -> Option<String> {
    let (network, rest) = name.split_once('.')?;
    if !matches!(network, "encoder" | "decoder") {
        return None;
    }
    let (prefix, rest, modules) = match rest.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        Some((index, rest)) => (format!("{network}.layers.{}.", index.parse::<u16>().ok()?), rest, LAYER_MODULES),
        None => (format!("{network}."), rest, MODULES),
    };
    modules.iter().find_map(|(stored, canonical)| match rest.strip_prefix(stored)? {
        "" if *stored == POSITIONS => Some(format!("{prefix}{canonical}.weight")),
        parameter @ (".weight" | ".bias") if *stored != POSITIONS => Some(format!("{prefix}{canonical}{parameter}")),
        _ => None,
    })
}

/// The type with a number of ggml's `enum ggml_type`, if it is supported.
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
    /// The next u32, which must be at most [`MAX_COUNT`].
    fn size(&mut self, inside: &str) -> Result<usize, Error> {
        let at = self.at;
        let count = self.u32(inside)? as usize;
        if count > MAX_COUNT {
            return Err(self
                .file
                .malformed(format!("{count} at byte {at} is too large for a size of a Whisper model")));
        }
        Ok(count)
    }

    /// Skips the mel filters. They are not used, because they are computed when audio is processed.
    fn skip_filters(&mut self) -> Result<(), Error> {
        let inside = "the mel filters";
        let (n_mels, n_frequencies) = (self.size(inside)?, self.size(inside)?);
        let size = n_mels.checked_mul(n_frequencies).and_then(|n| n.checked_mul(size_of::<f32>()));
        self.take(size.ok_or_else(|| self.file.truncated(inside))?, inside)?;
        Ok(())
    }

    /// The bytes of the text tokens. The special tokens, up to `n_vocab`, are not stored: they have the same order in
    /// every vocabulary.
    fn vocabulary(&mut self, n_vocab: usize) -> Result<Vec<Vec<u8>>, Error> {
        let inside = "the vocabulary";
        let count = self.size(inside)?;
        if count > n_vocab {
            return Err(self.file.malformed(format!("it lists {count} tokens, but its vocabulary has {n_vocab}")));
        }
        let mut tokens = Vec::new();
        for _ in 0..count {
            let length = self.size(inside)?;
            tokens.push(self.take(length, inside)?.to_vec());
        }
        Ok(tokens)
    }

    /// The next tensor, with its canonical name.
    fn tensor(&mut self) -> Result<(String, Entry), Error> {
        let at = self.at;
        let inside = format!("the tensor at byte {at}");
        let malformed = |reason: String| self.file.malformed(format!("tensor at byte {at}: {reason}"));
        let (rank, length) = (self.u32(&inside)?, self.u32(&inside)?);
        if !(1..=4).contains(&rank) {
            return Err(malformed(format!("it has {rank} dimensions, but 1 to 4 are supported")));
        }
        let code = self.u32(&inside)?;
        let mut shape = Vec::new();
        for _ in 0..rank {
            shape.insert(0, self.u32(&inside)? as usize);
        }
        let name = self.take(length as usize, &inside)?.to_vec();
        let name = String::from_utf8(name).ok().filter(|name| is_name(name));
        let Some(name) = name else { return Err(malformed("its name is not valid text".into())) };
        let Some(dtype) = dtype(code) else {
            return Err(self.file.unsupported(format!(
                "tensor {name} is stored in type {code} of ggml, but f32, f16, q8_0, q5_0, q5_1, q4_0 and q4_1 are \
                 supported; quantise the model to one of these"
            )));
        };
        let Some(canonical) = canonical(&name) else {
            return Err(self.file.unsupported(format!("tensor {name} does not belong to a Whisper model")));
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
    fn names_in_real_files_map_to_canonical_names() {
        for (stored, expected) in [
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
            assert_eq!(canonical(stored).as_deref(), Some(expected), "{stored}");
        }
        for foreign in ["mel_filters", "encoder.blocks.x.mlp.0.bias", "decoder.positional_embedding.bias", "vad.conv"] {
            assert_eq!(canonical(foreign), None, "{foreign}");
        }
    }
}
