//! The contents of a model's files.

use std::path::Path;

use amanuensis_engine::Vocabulary;
use amanuensis_weights::{Checkpoint, Dimension, GraphValue, Interface, Tensor};
use serde::Serialize;

use crate::failure::Failure;

/// The contents of a model's files. For a single ONNX graph, only the path, `format`, `graphs` and `problem` are set.
#[derive(Serialize, Default)]
pub struct Contents {
    pub path: String,
    pub format: &'static str,
    pub encoder: Option<NetworkSizes>,
    pub decoder: Option<NetworkSizes>,
    pub vocabulary: Option<VocabularyInfo>,
    pub graphs: Vec<Graph>,
    pub tensors: Vec<TensorInfo>,
    /// Why the files are not a complete model, or `None` if they are.
    pub problem: Option<String>,
}

#[derive(Serialize)]
pub struct NetworkSizes {
    pub positions: usize,
    pub width: usize,
    pub layers: usize,
    /// Number of attention heads. `None` if the weight file does not contain this number.
    pub heads: Option<usize>,
    /// The size of the input: the number of mel frequency bins for the encoder, or the number of tokens in the
    /// vocabulary for the decoder.
    pub inputs: usize,
}

#[derive(Serialize)]
pub struct VocabularyInfo {
    pub size: usize,
    pub multilingual: bool,
    pub special: Vec<SpecialToken>,
    pub first_timestamp: u32,
    pub last_timestamp: u32,
}

#[derive(Serialize)]
pub struct SpecialToken {
    pub id: u32,
    pub name: String,
}

#[derive(Serialize)]
pub struct Graph {
    pub file: String,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
}

#[derive(Serialize)]
pub struct Value {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<Length>,
}

/// The length of one dimension of a tensor. It is a fixed number, or a name if the length is dynamic.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Length {
    Fixed(u64),
    Named(String),
}

#[derive(Serialize)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    pub bytes: usize,
}

impl Contents {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let checkpoint = match Checkpoint::open(path) {
            Ok(checkpoint) => checkpoint,
            Err(problem) => match Interface::read(path) {
                Ok(graph) => return Ok(Self::of_graph(path, &graph, problem.to_string())),
                Err(_) => return Err(Failure::Failed(problem.to_string())),
            },
        };
        let vocabulary = Vocabulary::of(&checkpoint);
        Ok(Self {
            path: checkpoint.path().to_string_lossy().into_owned(),
            format: checkpoint.format(),
            encoder: NetworkSizes::of(&checkpoint, "encoder"),
            decoder: NetworkSizes::of(&checkpoint, "decoder"),
            problem: vocabulary.as_ref().err().map(ToString::to_string),
            vocabulary: vocabulary.ok().map(|vocabulary| VocabularyInfo::of(&vocabulary)),
            graphs: checkpoint.graphs().iter().map(Graph::of).collect(),
            tensors: checkpoint.names().filter_map(|name| checkpoint.get(name)).map(TensorInfo::of).collect(),
        })
    }

    fn of_graph(path: &Path, graph: &Interface, problem: String) -> Self {
        let path = path.to_string_lossy().into_owned();
        Self { path, format: "ONNX", graphs: vec![Graph::of(graph)], problem: Some(problem), ..Self::default() }
    }
}

impl NetworkSizes {
    /// Returns the sizes of the network called `name` (encoder or decoder). `None` if a tensor that determines a size
    /// is missing.
    fn of(checkpoint: &Checkpoint, name: &str) -> Option<Self> {
        let positions = checkpoint.get(&format!("{name}.embed_positions.weight"))?;
        let is_encoder = name == "encoder";
        let inputs = if is_encoder {
            *checkpoint.get("encoder.conv1.weight")?.shape().get(1)?
        } else {
            checkpoint.get("decoder.embed_tokens.weight")?.rows()
        };
        let is_layer = |of: &&str| of.starts_with(name) && of.ends_with(".fc1.weight");
        Some(Self {
            positions: positions.rows(),
            width: positions.row_len(),
            layers: checkpoint.names().filter(is_layer).count(),
            heads: if is_encoder { checkpoint.encoder_heads() } else { checkpoint.decoder_heads() },
            inputs,
        })
    }
}

impl VocabularyInfo {
    fn of(vocabulary: &Vocabulary) -> Self {
        let timestamps = vocabulary.timestamps();
        Self {
            size: vocabulary.n_vocab(),
            multilingual: vocabulary.is_multilingual(),
            special: vocabulary.special_tokens().map(|(id, name)| SpecialToken { id, name: name.to_owned() }).collect(),
            first_timestamp: timestamps.start,
            last_timestamp: timestamps.end.saturating_sub(1),
        }
    }
}

impl Graph {
    fn of(Interface { file, inputs, outputs }: &Interface) -> Self {
        let values = |values: &[GraphValue]| values.iter().map(Value::of).collect();
        Self { file: file.clone(), inputs: values(inputs), outputs: values(outputs) }
    }
}

impl Value {
    fn of(GraphValue { name, dtype, shape }: &GraphValue) -> Self {
        let length = |dimension: &Dimension| match dimension {
            Dimension::Fixed(length) => Length::Fixed(*length),
            Dimension::Named(name) => Length::Named(name.clone()),
        };
        Self { name: name.clone(), dtype, shape: shape.iter().map(length).collect() }
    }
}

impl Length {
    /// The length of the dimension as text: the number or the name.
    pub fn label(&self) -> String {
        match self {
            Self::Fixed(length) => length.to_string(),
            Self::Named(name) => name.clone(),
        }
    }
}

impl TensorInfo {
    fn of(tensor: Tensor<'_>) -> Self {
        Self {
            name: tensor.name().to_owned(),
            dtype: tensor.dtype().to_string(),
            shape: tensor.shape().to_vec(),
            bytes: tensor.size(),
        }
    }
}
