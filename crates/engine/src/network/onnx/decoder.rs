//! The decoder of an ONNX export. A pass is one run of a decoder graph. The first pass processes the first tokens of
//! a sequence, and cached passes process the tokens that follow.

use rten::{RunOptions, Value};
use rten_tensor::Layout;

use super::files::DecoderFiles;
use super::graph::{Graph, Port};
use super::tensors::tensor;
use crate::error::Error;

pub(super) struct Decoder {
    first: (Graph, Pass),
    /// The separate graph for cached passes, which use the keys and values of earlier tokens. `None` for a merged
    /// decoder, whose single graph runs both kinds of passes.
    cached: Option<(Graph, Pass)>,
}

/// The result of a pass, which is one run of a decoder graph.
pub(super) struct PassOutput {
    /// The logits after the final token, `(n_vocab)`.
    pub(super) logits: Vec<f32>,
    /// Self-attention keys and values of all tokens of the sequence: for each layer the key, then the value.
    pub(super) cache: Vec<Value>,
}

/// The inputs and outputs that a pass (one run of a decoder graph) uses, identified by their purpose.
struct Pass {
    tokens: Port,
    /// The input for the encoder's states. A merged decoder needs them in every pass.
    states: Option<Port>,
    /// The input that tells a merged decoder whether this is a first pass or a cached pass.
    use_cache: Option<Port>,
    /// The input for the positions of the tokens in the sequence.
    positions: Option<Port>,
    past: CachePorts,
    logits: Port,
    present: CachePorts,
}

/// The inputs or outputs for keys and values: for each layer the key, then the value.
struct CachePorts {
    self_attention: Vec<Port>,
    cross_attention: Vec<Port>,
}

impl Decoder {
    pub(super) fn load(files: &DecoderFiles) -> Result<Self, Error> {
        let load = |path| -> Result<(Graph, Pass), Error> {
            let graph = Graph::load(path)?;
            let pass = Pass::of(&graph)?;
            Ok((graph, pass))
        };
        let decoder = match files {
            DecoderFiles::Merged(path) => Self { first: load(path)?, cached: None },
            DecoderFiles::Split { first, cached } => Self { first: load(first)?, cached: Some(load(cached)?) },
        };
        let ((first_graph, first), (cached_graph, cached)) = (&decoder.first, decoder.cached_graph());
        if decoder.cached.is_none() && first.use_cache.is_none() {
            let problem = "it has no input `use_cache_branch`, so it is not a merged decoder";
            return Err(first_graph.problem(problem.to_owned()));
        }
        let n = first.present.self_attention.len();
        if n == 0 || first.present.cross_attention.len() != n {
            let problem = "it does not return the keys and values of self-attention and cross-attention";
            return Err(first_graph.problem(problem.to_owned()));
        }
        let of_cached = [&cached.past.self_attention, &cached.past.cross_attention, &cached.present.self_attention];
        if of_cached.iter().any(|ports| ports.len() != n) {
            let problem = format!("it does not take and return the {n} keys and values that the first pass returns");
            return Err(cached_graph.problem(problem));
        }
        Ok(decoder)
    }

    /// The graph that runs cached passes, which use the keys and values of earlier tokens.
    fn cached_graph(&self) -> &(Graph, Pass) {
        self.cached.as_ref().unwrap_or(&self.first)
    }

    pub(super) fn n_layers(&self) -> usize {
        self.first.1.present.self_attention.len() / 2
    }

    /// The width of the model's states, or 0 if the graphs do not state it.
    pub(super) fn d_model(&self) -> usize {
        let states = self.first.1.states.as_ref().and_then(|states| states.size(2));
        let key = &self.cached_graph().1.past.self_attention[0];
        states.or_else(|| Some(key.size(1)?.saturating_mul(key.size(3)?))).unwrap_or(0)
    }

    /// The number of tokens in the vocabulary, if the graph states it.
    pub(super) fn n_vocab(&self) -> Option<usize> {
        self.first.1.logits.size(2)
    }

    pub(super) fn problem(&self, problem: String) -> Error {
        self.first.0.problem(problem)
    }

    /// Runs the first pass over the first tokens of a sequence that attends to the encoder's `states`. Also returns
    /// the cross-attention keys and values of the window.
    pub(super) fn first_pass(
        &self,
        states: &Value,
        tokens: &[u32],
        options: &RunOptions,
    ) -> Result<(PassOutput, Vec<Value>), Error> {
        let (graph, pass) = &self.first;
        let empty = |port: &Port| match (port.size(1), port.size(3)) {
            (Some(heads), Some(width)) => Ok(tensor([1, heads, 0, width], Vec::<f32>::new())),
            _ => Err(graph.problem(format!("its input `{}` does not give the number and width of heads", port.name))),
        };
        let past = || pass.past.self_attention.iter().chain(&pass.past.cross_attention);
        let empty_past: Vec<Value> = past().map(empty).collect::<Result<_, _>>()?;
        let inputs = past().zip(&empty_past).collect();
        let outputs = pass.present.self_attention.iter().chain(&pass.present.cross_attention).collect();
        let (logits, mut cache) = pass.run(graph, (states, 0, tokens), inputs, outputs, options)?;
        let cross = cache.split_off(pass.present.self_attention.len());
        Ok((PassOutput { logits, cache }, cross))
    }

    /// Runs a cached pass over one more token of a sequence with `length` tokens. It uses the self-attention and
    /// cross-attention keys and values of the sequence.
    pub(super) fn cached_pass(
        &self,
        states: &Value,
        (own, cross): (&[Value], &[Value]),
        length: usize,
        tokens: &[u32],
        options: &RunOptions,
    ) -> Result<PassOutput, Error> {
        let (graph, pass) = self.cached_graph();
        let own = pass.past.self_attention.iter().zip(own);
        let inputs = own.chain(pass.past.cross_attention.iter().zip(cross)).collect();
        // In this pass, a merged decoder returns empty cross-attention keys and values, so they are not requested.
        let outputs = pass.present.self_attention.iter().collect();
        let (logits, cache) = pass.run(graph, (states, length, tokens), inputs, outputs, options)?;
        Ok(PassOutput { logits, cache })
    }
}

impl Pass {
    /// Identifies each input and output by its name.
    fn of(graph: &Graph) -> Result<Self, Error> {
        let (inputs, outputs) = (graph.inputs(), graph.outputs());
        let find = |ports: &[Port], name: &str| ports.iter().find(|port| port.name == name).cloned();
        let need = |port: Option<Port>, what: &str| port.ok_or_else(|| graph.problem(format!("it has no {what}")));
        let pass = Self {
            tokens: need(find(&inputs, "input_ids"), "input `input_ids`")?,
            states: find(&inputs, "encoder_hidden_states"),
            use_cache: find(&inputs, "use_cache_branch"),
            positions: find(&inputs, "cache_position"),
            past: CachePorts::of(&inputs, "past_key_values"),
            logits: need(find(&outputs, "logits"), "output `logits`")?,
            present: CachePorts::of(&outputs, "present"),
        };
        let single = [Some(&pass.tokens), pass.states.as_ref(), pass.use_cache.as_ref(), pass.positions.as_ref()];
        let caches = pass.past.self_attention.iter().chain(&pass.past.cross_attention);
        let known: Vec<&Port> = single.into_iter().flatten().chain(caches).collect();
        match inputs.iter().find(|input| known.iter().all(|port| port.name != input.name)) {
            Some(unknown) => Err(graph.problem(format!("it has an unknown input `{}`", unknown.name))),
            None => Ok(pass),
        }
    }

    /// Runs the graph on `tokens`, which follow `length` earlier tokens. Returns the logits after the final token and
    /// the values of the outputs `present`, in the same order.
    fn run(
        &self,
        graph: &Graph,
        (states, length, tokens): (&Value, usize, &[u32]),
        past: Vec<(&Port, &Value)>,
        present: Vec<&Port>,
        options: &RunOptions,
    ) -> Result<(Vec<f32>, Vec<Value>), Error> {
        let ids = tensor([1, tokens.len()], tokens.iter().map(|token| *token as i32).collect());
        let use_cache = tensor([1], vec![i32::from(length > 0)]);
        let positions = tensor([tokens.len()], (length as i32..).take(tokens.len()).collect());
        let mut inputs = vec![(&self.tokens, &ids)];
        inputs.extend(past);
        inputs.extend(self.states.as_ref().map(|port| (port, states)));
        inputs.extend(self.use_cache.as_ref().map(|port| (port, &use_cache)));
        inputs.extend(self.positions.as_ref().map(|port| (port, &positions)));
        let outputs: Vec<&Port> = present.into_iter().chain([&self.logits]).collect();
        let mut values = graph.run(&inputs, &outputs, options)?;
        let logits = values.pop().and_then(|logits| logits.into_shape_vec::<f32, 3>().ok());
        let (shape, mut logits) = logits
            .filter(|(shape, _)| shape[..2] == [1, tokens.len()])
            .ok_or_else(|| graph.problem("its logits do not have the shape (1, n_tokens, n_vocab)".to_owned()))?;
        for (port, value) in outputs.iter().zip(&values).filter(|(port, _)| port.name.contains(".decoder.")) {
            let (found, expected) = (value.shape().get(2).copied().unwrap_or(0), length + tokens.len());
            if found != expected {
                let problem = format!("`{}` has {found} positions after {expected} tokens", port.name);
                return Err(graph.problem(problem));
            }
        }
        Ok((logits.split_off((tokens.len() - 1) * shape[2]), values))
    }
}

impl CachePorts {
    /// Finds the keys and values named `{prefix}.{layer}.decoder.key` and so on, for every layer from 0 on.
    fn of(ports: &[Port], prefix: &str) -> Self {
        let all = |network: &str| {
            let names =
                (0..).flat_map(|layer| ["key", "value"].map(|part| format!("{prefix}.{layer}.{network}.{part}")));
            names.map_while(|name| ports.iter().find(|port| port.name == name).cloned()).collect()
        };
        Self { self_attention: all("decoder"), cross_attention: all("encoder") }
    }
}
