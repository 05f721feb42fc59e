//! `amanuensis inspect`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use amanuensis_engine::Vocabulary;
use amanuensis_models::Store;
use amanuensis_weights::{Checkpoint, Dimension, GraphValue, Interface, Tensor};
use serde::Serialize;

use crate::args::InspectArgs;
use crate::console::printable;
use crate::failure::Failure;
use crate::fetch::size;
use crate::models;

pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    let store = Store::open_default().map_err(models::failure)?;
    let path = store.resolve(&args.model, true, &mut |_| ControlFlow::Continue(())).map_err(models::failure)?;
    let contents = Contents::read(&path)?;
    let text = if args.json {
        serde_json::to_string_pretty(&contents).expect("text and numbers can always be written as JSON") + "\n"
    } else {
        contents.tables()
    };
    let mut out = io::stdout().lock();
    let is_bad = contents.problem.is_some();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::of_stdout(&error).after(is_bad))?;
    // What is printed says what is amiss.
    if is_bad { Err(Failure::Reported) } else { Ok(()) }
}

/// What a model's files hold. Of a lone graph, `graphs` alone, and `problem`: why it is no model.
#[derive(Serialize, Default)]
struct Contents {
    path: String,
    format: &'static str,
    encoder: Option<Network>,
    decoder: Option<Network>,
    vocabulary: Option<Tokens>,
    graphs: Vec<Graph>,
    tensors: Vec<Stored>,
    /// What is missing.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Network {
    positions: usize,
    width: usize,
    layers: usize,
    /// If the weight file says.
    heads: Option<usize>,
    /// Mel bins or tokens.
    inputs: usize,
}

#[derive(Serialize)]
struct Tokens {
    size: usize,
    multilingual: bool,
    special: Vec<Token>,
    first_timestamp: u32,
    last_timestamp: u32,
}

#[derive(Serialize)]
struct Token {
    id: u32,
    name: String,
}

#[derive(Serialize)]
struct Graph {
    file: String,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    name: String,
    dtype: &'static str,
    shape: Vec<Length>,
}

/// A dimension: a number, or the name of one that may be any.
#[derive(Serialize)]
#[serde(untagged)]
enum Length {
    Fixed(u64),
    Named(String),
}

#[derive(Serialize)]
struct Stored {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    bytes: usize,
}

impl Contents {
    fn read(path: &Path) -> Result<Self, Failure> {
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
            encoder: Network::of(&checkpoint, "encoder"),
            decoder: Network::of(&checkpoint, "decoder"),
            problem: vocabulary.as_ref().err().map(ToString::to_string),
            vocabulary: vocabulary.ok().map(|vocabulary| Tokens::of(&vocabulary)),
            graphs: checkpoint.graphs().iter().map(Graph::of).collect(),
            tensors: checkpoint.names().filter_map(|name| checkpoint.get(name)).map(Stored::of).collect(),
        })
    }

    fn of_graph(path: &Path, graph: &Interface, problem: String) -> Self {
        let path = path.to_string_lossy().into_owned();
        Self { path, format: "ONNX", graphs: vec![Graph::of(graph)], problem: Some(problem), ..Self::default() }
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let mut line = |line: String| {
            let _ = writeln!(text, "{}", printable(&line).trim_end());
        };
        line(format!("{}: {}", self.path, self.format));
        for (name, inputs, network) in [("encoder", "mel bins", &self.encoder), ("decoder", "tokens", &self.decoder)] {
            let Some(Network { positions, width, layers, heads, inputs: n_inputs }) = network else { continue };
            let heads = heads.map_or_else(|| "heads as config.json says".to_owned(), |heads| format!("{heads} heads"));
            line(format!(
                "{name:<11} {n_inputs} {inputs}, {positions} positions, {layers} layers of width {width}, {heads}"
            ));
        }
        if let Some(Tokens { size, multilingual, special, first_timestamp, last_timestamp }) = &self.vocabulary {
            let languages = if *multilingual { "multilingual" } else { "English only" };
            line(format!(
                "{:<11} {size} tokens, {languages}, times {first_timestamp} to {last_timestamp}",
                "vocabulary"
            ));
            let special: Vec<String> =
                special.iter().map(|Token { id, name }| format!("{:<28}", format!("{id} {name}"))).collect();
            for row in special.chunks(4) {
                line(format!("{:<11} {}", "", row.concat()));
            }
        }
        if let Some(problem) = &self.problem {
            line(format!("{:<11} {problem}", "problem"));
        }
        for graph in &self.graphs {
            line(String::new());
            line(graph.file.clone());
            for (kind, values) in [("input", &graph.inputs), ("output", &graph.outputs)] {
                for Value { name, dtype, shape } in values {
                    let shape: Vec<String> = shape.iter().map(Length::label).collect();
                    line(format!("  {kind:<7} {name:<36} {dtype:<8} ({})", shape.join(", ")));
                }
            }
        }
        if !self.tensors.is_empty() {
            line(String::new());
            let bytes = self.tensors.iter().map(|tensor| tensor.bytes as u64).sum();
            line(format!("{} tensors, {}", self.tensors.len(), size(bytes)));
            for Stored { name, dtype, shape, bytes } in &self.tensors {
                line(format!("  {name:<52} {dtype:<9} {:<18} {bytes:>11}", format!("{shape:?}")));
            }
        }
        text
    }
}

impl Network {
    /// `None` where what tells a size is missing.
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

impl Tokens {
    fn of(vocabulary: &Vocabulary) -> Self {
        let times = vocabulary.timestamps();
        Self {
            size: vocabulary.n_vocab(),
            multilingual: vocabulary.is_multilingual(),
            special: vocabulary.special_tokens().map(|(id, name)| Token { id, name: name.to_owned() }).collect(),
            first_timestamp: times.start,
            last_timestamp: times.end.saturating_sub(1),
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
    fn label(&self) -> String {
        match self {
            Self::Fixed(length) => length.to_string(),
            Self::Named(name) => name.clone(),
        }
    }
}

impl Stored {
    fn of(tensor: Tensor<'_>) -> Self {
        Self {
            name: tensor.name().to_owned(),
            dtype: tensor.dtype().to_string(),
            shape: tensor.shape().to_vec(),
            bytes: tensor.size(),
        }
    }
}
