//! Writes small checkpoints for tests: a Whisper model of random weights, in every format and type that this crate reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use ::safetensors::tensor::TensorView;
use half::{bf16, f16};

use crate::DType;

/// Shape and values of a tensor.
pub type Array = (Vec<usize>, Vec<f32>);

/// Tensors by canonical name.
pub type Tensors = BTreeMap<String, Array>;

/// The sizes of a Whisper model.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // The names of openai-whisper's `ModelDimensions`, and `n_ff` for the width of the feed-forward.
pub struct Dimensions {
    pub n_mels: usize,
    pub n_state: usize,
    pub n_ff: usize,
    pub n_audio_ctx: usize,
    pub n_audio_layer: usize,
    pub n_text_ctx: usize,
    pub n_text_layer: usize,
    pub n_vocab: usize,
}

/// A model whose output projection is tied to the embedding. Weights are uniform and keep the variance of their input,
/// biases lie within 0.1 of zero, layer norm weights within 0.1 of one; equal seeds give equal models.
pub fn whisper(dimensions: &Dimensions, seed: u64) -> Tensors {
    let &Dimensions { n_mels, n_state, n_ff, n_audio_ctx, n_audio_layer, n_text_ctx, n_text_layer, n_vocab } =
        dimensions;
    let mut model = Random { state: seed, tensors: Tensors::new() };
    model.weight("encoder.conv1", &[n_state, n_mels, 3], true);
    model.weight("encoder.conv2", &[n_state, n_state, 3], true);
    model.weight("encoder.embed_positions", &[n_audio_ctx, n_state], false);
    model.weight("decoder.embed_positions", &[n_text_ctx, n_state], false);
    model.weight("decoder.embed_tokens", &[n_vocab, n_state], false);
    for (network, n_layer) in [("encoder", n_audio_layer), ("decoder", n_text_layer)] {
        for i in 0..n_layer {
            let layer = format!("{network}.layers.{i}");
            model.attention(&format!("{layer}.self_attn"), n_state);
            if network == "decoder" {
                model.attention(&format!("{layer}.encoder_attn"), n_state);
            }
            model.weight(&format!("{layer}.fc1"), &[n_ff, n_state], true);
            model.weight(&format!("{layer}.fc2"), &[n_state, n_ff], true);
            model.norm(&format!("{layer}.final_layer_norm"), n_state);
        }
        model.norm(&format!("{network}.layer_norm"), n_state);
    }
    model.tensors
}

struct Random {
    state: u64,
    tensors: Tensors,
}

impl Random {
    fn fill(&mut self, name: String, shape: &[usize], centre: f32, spread: f32) {
        let values = (0..shape.iter().product()).map(|_| centre + spread * self.next()).collect();
        self.tensors.insert(name, (shape.to_vec(), values));
    }

    /// Uniform in -1..1: `SplitMix64` (Steele, Lea, Flood 2014).
    fn next(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    fn weight(&mut self, module: &str, shape: &[usize], bias: bool) {
        let fan_in: usize = shape[1..].iter().product();
        self.fill(format!("{module}.weight"), shape, 0.0, (3.0 / fan_in as f32).sqrt());
        if bias {
            self.fill(format!("{module}.bias"), &shape[..1], 0.0, 0.1);
        }
    }

    fn norm(&mut self, module: &str, n_state: usize) {
        self.fill(format!("{module}.weight"), &[n_state], 1.0, 0.1);
        self.fill(format!("{module}.bias"), &[n_state], 0.0, 0.1);
    }

    fn attention(&mut self, module: &str, n_state: usize) {
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            self.weight(&format!("{module}.{projection}"), &[n_state, n_state], projection != "k_proj");
        }
        self.norm(&format!("{module}_layer_norm"), n_state);
    }
}

/// Writes a `CTranslate2` model whose weights are stored as `dtype`; with integers, the rest is float32. `heads` are those
/// of encoder and decoder.
///
/// # Panics
/// When a name is not canonical, or projections to be stacked are missing.
pub fn write_ctranslate2(path: &Path, tensors: &Tensors, heads: [usize; 2], dtype: DType) -> io::Result<()> {
    /// `CTranslate2` module, canonical module, its place in the stack.
    const MODULES: &[(&str, &str, usize)] = &[
        ("/conv1", ".conv1", 0),
        ("/conv2", ".conv2", 0),
        ("/embeddings", ".embed_tokens", 0),
        ("/position_encodings", ".embed_positions", 0),
        ("/self_attention/linear_0", ".self_attn.q_proj", 0),
        ("/self_attention/linear_0", ".self_attn.k_proj", 1),
        ("/self_attention/linear_0", ".self_attn.v_proj", 2),
        ("/self_attention/linear_1", ".self_attn.out_proj", 0),
        ("/self_attention/layer_norm", ".self_attn_layer_norm", 0),
        ("/attention/linear_0", ".encoder_attn.q_proj", 0),
        ("/attention/linear_1", ".encoder_attn.k_proj", 0),
        ("/attention/linear_1", ".encoder_attn.v_proj", 1),
        ("/attention/linear_2", ".encoder_attn.out_proj", 0),
        ("/attention/layer_norm", ".encoder_attn_layer_norm", 0),
        ("/ffn/linear_0", ".fc1", 0),
        ("/ffn/linear_1", ".fc2", 0),
        ("/ffn/layer_norm", ".final_layer_norm", 0),
        ("/layer_norm", ".layer_norm", 0),
        ("decoder/projection", "proj_out", 0),
    ];

    // Stack the projections.
    let mut stacks: BTreeMap<String, BTreeMap<usize, Array>> = BTreeMap::new();
    for (name, tensor) in tensors {
        let (module, parameter) = name.rsplit_once('.').expect("canonical name");
        let &(theirs, ours, place) =
            MODULES.iter().find(|(_, ours, _)| module.ends_with(ours)).expect("canonical name");
        let parameter = match parameter {
            "weight" if ours.ends_with("layer_norm") => "gamma",
            "bias" if ours.ends_with("layer_norm") => "beta",
            "weight" if ours == ".embed_positions" => "encodings",
            parameter => parameter,
        };
        let scope = module.strip_suffix(ours).expect("found by this suffix").replace(".layers.", "/layer_");
        stacks.entry(format!("{scope}{theirs}/{parameter}")).or_default().insert(place, tensor.clone());
    }

    let mut variables: BTreeMap<String, (Vec<usize>, u8, Vec<u8>)> = BTreeMap::new();
    for (name, mut stack) in stacks {
        if name.ends_with("linear_0/bias") && name.contains("/self_attention/")
            || name.ends_with("/attention/linear_1/bias")
        {
            let (&last, (shape, values)) = stack.last_key_value().expect("not empty");
            let zeros = (shape.clone(), vec![0.0; values.len()]);
            stack.entry(last - 1).or_insert(zeros);
        }
        let mut shape = stack[&0].0.clone();
        shape[0] = stack.values().map(|(shape, _)| shape[0]).sum();
        let values: Vec<f32> = stack.into_values().flat_map(|(_, values)| values).collect();
        let (code, bytes, scales) = match dtype {
            DType::Int8 if name.ends_with("/weight") => quantise(&values, shape[0], f32::from(i8::MAX), 1),
            DType::Int16 if name.ends_with("/weight") => quantise(&values, 1, 1024.0, 2),
            DType::Int8 | DType::Int16 => (0, encode(&values, DType::F32), None),
            DType::F32 => (0, encode(&values, dtype), None),
            DType::F16 => (4, encode(&values, dtype), None),
            DType::Bf16 => (5, encode(&values, dtype), None),
            other => panic!("CTranslate2 has no {other}"),
        };
        if let Some(scales) = scales {
            let shape = if dtype == DType::Int8 { vec![scales.len()] } else { vec![] };
            variables.insert(format!("{name}_scale"), (shape, 0, encode(&scales, DType::F32)));
        }
        variables.insert(name, (shape, code, bytes));
    }
    for (name, n) in [("encoder/num_heads", heads[0]), ("decoder/num_heads", heads[1])] {
        variables.insert(name.into(), (vec![], 2, (n as i16).to_le_bytes().to_vec()));
    }
    for (name, value) in [("decoder/activation", 3), ("decoder/pre_norm", 1), ("decoder/alibi", 0)] {
        variables.insert(name.into(), (vec![], 1, vec![value]));
    }
    let alias = ("decoder/projection/weight", "decoder/embeddings/weight");
    let aliases = if variables.contains_key(alias.0) { vec![] } else { vec![alias] };

    let mut file = Vec::new();
    let string = |file: &mut Vec<u8>, string: &str| {
        file.extend((string.len() as u16 + 1).to_le_bytes());
        file.extend(string.bytes().chain([0]));
    };
    file.extend(6_u32.to_le_bytes());
    string(&mut file, "WhisperSpec");
    file.extend(3_u32.to_le_bytes());
    file.extend((variables.len() as u32).to_le_bytes());
    for (name, (shape, code, bytes)) in variables {
        string(&mut file, &name);
        file.push(shape.len() as u8);
        file.extend(shape.iter().flat_map(|&dim| (dim as u32).to_le_bytes()));
        file.push(code);
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(bytes);
    }
    file.extend((aliases.len() as u32).to_le_bytes());
    for (alias, target) in aliases {
        string(&mut file, alias);
        string(&mut file, target);
    }
    fs::write(path, file)
}

/// Integers of `size` bytes, one scale for each of `groups` equal groups of values: the type's code, bytes and scales.
fn quantise(values: &[f32], groups: usize, largest: f32, size: usize) -> (u8, Vec<u8>, Option<Vec<f32>>) {
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for group in values.chunks(values.len() / groups) {
        let absmax = group.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        let scale = if absmax == 0.0 { 1.0 } else { largest / absmax };
        bytes.extend(
            group.iter().flat_map(|x| ((x * scale).round_ties_even() as i16).to_le_bytes().into_iter().take(size)),
        );
        scales.push(scale);
    }
    (size as u8, bytes, Some(scales))
}

fn encode(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::F16 => values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        DType::Bf16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
        other => panic!("{other} is not a type of floating-point numbers"),
    }
}

/// Writes a safetensors file with Hugging Face's names.
///
/// # Panics
/// When `dtype` is an integer type.
pub fn write_safetensors(path: &Path, tensors: &Tensors, dtype: DType) -> io::Result<()> {
    let code = match dtype {
        DType::F16 => ::safetensors::Dtype::F16,
        DType::Bf16 => ::safetensors::Dtype::BF16,
        _ => ::safetensors::Dtype::F32,
    };
    let data: Vec<(String, &Vec<usize>, Vec<u8>)> =
        tensors.iter().map(|(name, (shape, values))| (hugging_face_name(name), shape, encode(values, dtype))).collect();
    let views = data.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(code, (*shape).clone(), bytes).expect("shape and values agree");
        (name, view)
    });
    fs::write(path, ::safetensors::serialize(views, None).map_err(io::Error::other)?)
}

/// Writes the files of a sharded safetensors checkpoint, tensors dealt out in turn, to a directory.
///
/// # Panics
/// When `dtype` is an integer type.
pub fn write_sharded_safetensors(directory: &Path, tensors: &Tensors, dtype: DType, n_shards: usize) -> io::Result<()> {
    let mut weight_map = serde_json::Map::new();
    for shard in 0..n_shards {
        let file = format!("model-{:05}-of-{n_shards:05}.safetensors", shard + 1);
        let dealt = tensors.iter().skip(shard).step_by(n_shards);
        let part: Tensors = dealt.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        write_safetensors(&directory.join(&file), &part, dtype)?;
        weight_map.extend(part.keys().map(|name| (hugging_face_name(name), file.clone().into())));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": weight_map });
    fs::write(directory.join("model.safetensors.index.json"), index.to_string())
}

fn hugging_face_name(canonical: &str) -> String {
    if canonical.starts_with("proj_out") { canonical.to_owned() } else { format!("model.{canonical}") }
}
