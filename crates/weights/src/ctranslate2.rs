//! `CTranslate2`'s weight file `model.bin`.
//!
//! The file is little-endian and unaligned: u32 version, specification name, u32 revision, u32 number of variables;
//! for each variable its name, u8 rank, u32 dimensions, u8 type, u32 number of bytes, data; then u32 number of
//! aliases, and for each alias its name and its target's name. A string is a u16 length that includes a final NUL,
//! then the bytes. (Written by `python/ctranslate2/specs/model_spec.py`, read by `src/models/model.cc` of
//! `CTranslate2`.)
//!
//! Integer weights come with a variable `{name}_scale`: w = q / scale, with one scale per row for int8 and a single
//! one for int16. Projections of the same input are joined into one matrix, one below the other: Q, K and V in
//! self-attention, K and V in cross-attention.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::format::{Contents, Format, is_name};
use crate::mmap::MappedFile;
use crate::reader::Reader;
use crate::tensor::{Entry, Quantisation};
use crate::{DType, Error};

pub(crate) const FORMAT: Format = Format { name: "CTranslate2", file_names: &["model.bin"], probe, read };

/// Supported versions of the file layout. Version 4 introduced this layout, before Whisper was supported; 6 is the
/// latest.
const VERSIONS: std::ops::RangeInclusive<u32> = 4..=6;
const SPECIFICATION: &str = "WhisperSpec";
/// The latest known revision of the model specification. In a later revision, variables may have other names or
/// another order.
const REVISION: u32 = 3;
/// Upper bound for the number of variables, and for the number of aliases. No Whisper model has as many. The bound
/// limits the memory that the index of a hostile file can take.
const MAX_NAMES: u32 = 1 << 16;

/// `CTranslate2` modules outside of layers, each with its canonical modules. If there are several, the variable
/// contains the rows of the first module, then those of the second, and so on.
const MODULES: &[(&str, &[&str])] = &[
    ("conv1", &["conv1"]),
    ("conv2", &["conv2"]),
    ("position_encodings", &["embed_positions"]),
    ("embeddings", &["embed_tokens"]),
    ("layer_norm", &["layer_norm"]),
];

/// `CTranslate2` modules of a layer, each with its canonical modules. If there are several, the variable contains the
/// rows of the first module, then those of the second, and so on.
const LAYER_MODULES: &[(&str, &[&str])] = &[
    ("self_attention/layer_norm", &["self_attn_layer_norm"]),
    ("self_attention/linear_0", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    ("self_attention/linear_1", &["self_attn.out_proj"]),
    ("attention/layer_norm", &["encoder_attn_layer_norm"]),
    ("attention/linear_0", &["encoder_attn.q_proj"]),
    ("attention/linear_1", &["encoder_attn.k_proj", "encoder_attn.v_proj"]),
    ("attention/linear_2", &["encoder_attn.out_proj"]),
    ("ffn/layer_norm", &["final_layer_norm"]),
    ("ffn/linear_0", &["fc1"]),
    ("ffn/linear_1", &["fc2"]),
];

/// `CTranslate2`'s name of the output projection. Its canonical name, `proj_out.weight`, does not begin with
/// `decoder.`, unlike those of the decoder's other tensors.
const PROJECTION: &str = "decoder/projection/weight";
const EMBEDDINGS: &str = "decoder/embeddings/weight";

/// Attributes (integer variables) that have this value in every Whisper model. Each entry has the attribute's name,
/// the value, and what any other value would mean.
const ATTRIBUTES: &[(&str, i64, &str)] = &[
    ("decoder/activation", 3, "an activation other than GELU"),
    ("decoder/pre_norm", 1, "layer norms after the blocks"),
    ("decoder/alibi", 0, "ALiBi positions"),
];

fn probe(bytes: &[u8]) -> bool {
    let Some((&[version, 0, 0, 0, length, 0], rest)) = bytes.split_first_chunk() else { return false };
    let Some(name) = usize::from(length).checked_sub(1).and_then(|end| rest.get(..=end)) else { return false };
    version != 0 && name.is_ascii() && name.ends_with(b"Spec\0")
}

fn read(file: MappedFile) -> Result<Contents, Error> {
    let variables = Variables::read(&file)?;
    for &(name, expected, meaning) in ATTRIBUTES {
        if variables.attribute(&file, name).is_some_and(|value| value != expected) {
            return Err(file.unsupported(format!("the model has {meaning}: it is not a Whisper model")));
        }
    }

    let mut contents = Contents::new();
    let heads = |name| variables.attribute(&file, name).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    contents.encoder_heads = heads("encoder/num_heads");
    contents.decoder_heads = heads("decoder/num_heads");

    let tied = variables.resolve(PROJECTION) == variables.resolve(EMBEDDINGS);
    for (name, target) in variables.names() {
        if name == PROJECTION {
            if !tied {
                contents.insert(&file, "proj_out.weight".into(), variables.entry(&file, target)?)?;
            }
        } else if let Some(canonical) = Canonical::of(name) {
            let entry = variables.entry(&file, target)?;
            for (part, module) in canonical.modules.iter().enumerate() {
                let rows = entry
                    .part(part, canonical.modules.len())
                    .map_err(|reason| file.malformed(format!("tensor {name}: {reason}")))?;
                contents.insert(&file, format!("{}{module}.{}", canonical.prefix, canonical.parameter), rows)?;
            }
        }
    }
    contents.files.push(file);
    Ok(contents)
}

/// The canonical names of the tensors in a variable. Each name consists of `prefix`, one of `modules`, and
/// `parameter`.
struct Canonical {
    prefix: String,
    modules: &'static [&'static str],
    parameter: &'static str,
}

impl Canonical {
    /// The canonical names of the tensors in the variable `name`. `None` for attributes, scales and everything else
    /// that is not a tensor of a Whisper model.
    fn of(name: &str) -> Option<Self> {
        let (network, rest) = name.split_once('/')?;
        if !matches!(network, "encoder" | "decoder") {
            return None;
        }
        let (path, parameter) = rest.rsplit_once('/')?;
        let parameter = match parameter {
            "weight" | "gamma" | "encodings" => "weight",
            "bias" | "beta" => "bias",
            _ => return None,
        };
        let (prefix, path, table) = match path.strip_prefix("layer_").and_then(|layer| layer.split_once('/')) {
            Some((index, path)) => {
                let index: u16 = index.parse().ok()?;
                (format!("{network}.layers.{index}."), path, LAYER_MODULES)
            }
            None => (format!("{network}."), path, MODULES),
        };
        let (_, modules) = table.iter().find(|(module, _)| *module == path)?;
        Some(Self { prefix, modules, parameter })
    }
}

/// How a variable stores its numbers: as floats of some type, or as integers of some size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Float(DType),
    Integer(usize),
}

impl Stored {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Float(DType::F32),
            1 => Self::Integer(1),
            2 => Self::Integer(2),
            3 => Self::Integer(4),
            4 => Self::Float(DType::F16),
            5 => Self::Float(DType::Bf16),
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Float(dtype) => dtype.block().1,
            Self::Integer(size) => size,
        }
    }
}

struct Variable {
    shape: Vec<usize>,
    stored: Stored,
    data: Range<usize>,
}

/// The index of a file: its variables by name, and its aliases (additional names), each with the name of a variable.
struct Variables {
    variables: BTreeMap<String, Variable>,
    aliases: BTreeMap<String, String>,
}

impl Variables {
    fn read(file: &MappedFile) -> Result<Self, Error> {
        let mut reader = Reader { file, at: 0 };
        let version = reader.u32("the header")?;
        if !VERSIONS.contains(&version) {
            return Err(file.unsupported(format!(
                "is a CTranslate2 model of version {version}, but versions {} to {} are supported; convert it anew",
                VERSIONS.start(),
                VERSIONS.end()
            )));
        }
        let specification = reader.string("the header")?;
        if specification != SPECIFICATION {
            return Err(file.unsupported(format!("holds a {specification} model, but a {SPECIFICATION} is needed")));
        }
        let revision = reader.u32("the header")?;
        if revision > REVISION {
            return Err(file.unsupported(format!(
                "is of revision {revision} of {SPECIFICATION}, but revisions up to {REVISION} are supported"
            )));
        }

        let mut index = Self { variables: BTreeMap::new(), aliases: BTreeMap::new() };
        let count = reader.count("variables")?;
        for i in 0..count {
            let name = reader.string(&format!("variable {} of {count}", i + 1))?;
            let variable = reader.variable(&name)?;
            if index.variables.contains_key(&name) {
                return Err(file.malformed(format!("variable {name} occurs twice")));
            }
            index.variables.insert(name, variable);
        }
        for _ in 0..reader.count("aliases")? {
            let (alias, target) = (reader.string("the aliases")?, reader.string("the aliases")?);
            if index.resolve(&alias).is_some() {
                return Err(file.malformed(format!("alias {alias} occurs twice")));
            }
            // An alias may refer only to a name that precedes it in the file, so aliases cannot form a cycle.
            let Some(variable) = index.resolve(&target).map(str::to_owned) else {
                return Err(file.malformed(format!("alias {alias} leads to {target}, which is not there")));
            };
            index.aliases.insert(alias, variable);
        }
        let rest = file.bytes().len() - reader.at;
        if rest != 0 {
            return Err(file.malformed(format!("{rest} bytes follow its end at byte {}", reader.at)));
        }
        Ok(index)
    }

    /// All names of the file, each paired with the name of a variable: for an alias its target, and for a variable
    /// its own name.
    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.variables.keys().map(|name| (name.as_str(), name.as_str()));
        variables.chain(self.aliases.iter().map(|(alias, variable)| (alias.as_str(), variable.as_str())))
    }

    /// If `name` is an alias, returns the name of its variable; if it is a variable, returns it unchanged. `None` if
    /// the name is unknown.
    fn resolve(&self, name: &str) -> Option<&str> {
        match self.variables.get_key_value(name) {
            Some((name, _)) => Some(name),
            None => self.aliases.get(name).map(String::as_str),
        }
    }

    /// The value of the variable `name`, which is a single integer. `None` if there is no such variable.
    fn attribute(&self, file: &MappedFile, name: &str) -> Option<i64> {
        let variable = self.variables.get(self.resolve(name)?)?;
        if !variable.shape.is_empty() || !matches!(variable.stored, Stored::Integer(_)) {
            return None;
        }
        match file.bytes()[variable.data.clone()] {
            [a] => Some(i64::from(i8::from_le_bytes([a]))),
            [a, b] => Some(i64::from(i16::from_le_bytes([a, b]))),
            [a, b, c, d] => Some(i64::from(i32::from_le_bytes([a, b, c, d]))),
            _ => None,
        }
    }

    /// The tensor that a variable stores, with its scales if it is stored as integers.
    fn entry(&self, file: &MappedFile, name: &str) -> Result<Entry, Error> {
        let variable = &self.variables[name];
        let (dtype, scales) = match variable.stored {
            Stored::Float(dtype) => (dtype, vec![]),
            Stored::Integer(1) => (DType::Int8, self.scales(file, name)?),
            Stored::Integer(2) => (DType::Int16, self.scales(file, name)?),
            Stored::Integer(_) => return Err(file.unsupported(format!("tensor {name} is stored as int32"))),
        };
        let quantisation = Quantisation { scales, zero_points: vec![] };
        Entry::new(dtype, variable.shape.clone(), variable.data.clone(), quantisation)
            .map_err(|reason| file.malformed(format!("tensor {name}: {reason}")))
    }

    /// The scales of an integer tensor, as factors. The file stores the reciprocals of these factors.
    fn scales(&self, file: &MappedFile, name: &str) -> Result<Vec<f32>, Error> {
        let scale = format!("{name}_scale");
        match self.resolve(&scale).and_then(|name| self.variables.get(name)) {
            Some(Variable { stored: Stored::Float(DType::F32), data, .. }) => {
                let (divisors, _) = file.bytes()[data.clone()].as_chunks();
                Ok(divisors.iter().map(|divisor| f32::from_le_bytes(*divisor).recip()).collect())
            }
            Some(_) => Err(file.malformed(format!("{scale} is not stored as float32"))),
            None => Err(file.malformed(format!("tensor {name} holds integers, but {scale} is not there"))),
        }
    }
}

impl Reader<'_> {
    fn count(&mut self, of: &str) -> Result<u32, Error> {
        let count = self.u32(&format!("the number of {of}"))?;
        if count > MAX_NAMES {
            return Err(self
                .file
                .malformed(format!("it claims {count} {of}; no Whisper model has more than {MAX_NAMES}")));
        }
        Ok(count)
    }

    fn string(&mut self, inside: &str) -> Result<String, Error> {
        let at = self.at;
        let length = u16::from_le_bytes(self.array(inside)?);
        let bytes = self.take(usize::from(length), inside)?.to_vec();
        let mut string =
            String::from_utf8(bytes).map_err(|_| self.file.malformed(format!("the name at byte {at} is not UTF-8")))?;
        if string.pop() != Some('\0') || !is_name(&string) {
            return Err(self.file.malformed(format!("there should be a name at byte {at}")));
        }
        Ok(string)
    }

    /// Reads a variable of the file. Its name was already read and is passed as `name`.
    fn variable(&mut self, name: &str) -> Result<Variable, Error> {
        let inside = format!("tensor {name}");
        let malformed = |reason: String| self.file.malformed(format!("tensor {name}: {reason}"));
        let [rank] = self.array(&inside)?;
        let mut shape = Vec::with_capacity(rank.into());
        for _ in 0..rank {
            shape.push(self.u32(&inside)? as usize);
        }
        let [code] = self.array(&inside)?;
        let stored = Stored::from_code(code).ok_or_else(|| malformed(format!("its type {code} is not known")))?;
        let size = self.u32(&inside)? as usize;
        let expected = shape.iter().copied().try_fold(stored.size(), usize::checked_mul);
        if expected != Some(size) {
            return Err(malformed(format!("{size} bytes do not make up its shape {shape:?}")));
        }
        let start = self.at;
        let data = self.take(size, &inside)?;
        if name.ends_with("weight_scale") && stored == Stored::Float(DType::F32) {
            let (scales, _) = data.as_chunks();
            if let Some(bad) =
                scales.iter().map(|&scale| f32::from_le_bytes(scale)).find(|s| !s.is_normal() || *s < 0.0)
            {
                return Err(malformed(format!("{bad} is not a scale")));
            }
        }
        Ok(Variable { shape, stored, data: start..self.at })
    }
}
