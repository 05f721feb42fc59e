//! The decoder of an export: a pass for the first tokens of a text, and one for those that follow.

use rten::{RunOptions, Value};
use rten_tensor::Layout;

use super::files::DecoderFiles;
use super::graph::{Graph, Port};
use super::tensor;
use crate::Error;

pub(super) struct Decoder {
    first: (Graph, Pass),
    /// Where it is a graph of its own; a merged one has both passes.
    cached: Option<(Graph, Pass)>,
}

/// What a pass made of some tokens.
pub(super) struct Outcome {
    /// After the last token, `(n_vocab)`.
    pub(super) logits: Vec<f32>,
    /// Keys and values of the whole text, a layer each.
    pub(super) past: Vec<Value>,
}

/// The inputs and outputs of a graph, each for what it is.
struct Pass {
    tokens: Port,
    /// The encoder's. A merged decoder wants them in every pass.
    states: Option<Port>,
    /// Says to a merged decoder which pass is wanted.
    use_cache: Option<Port>,
    /// Where in the text the tokens are.
    positions: Option<Port>,
    past: Caches,
    logits: Port,
    present: Caches,
}

/// Keys and values, the keys and the values of a layer each.
struct Caches {
    text: Vec<Port>,
    window: Vec<Port>,
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
        let ((first_graph, first), (cached_graph, cached)) = (&decoder.first, decoder.later());
        if decoder.cached.is_none() && first.use_cache.is_none() {
            return Err(first_graph.problem("it has no input `use_cache_branch`: it is no merged decoder".to_owned()));
        }
        let n = first.present.text.len();
        if n == 0 || first.present.window.len() != n {
            return Err(first_graph.problem("it does not give the keys and values of text and window".to_owned()));
        }
        if [&cached.past.text, &cached.past.window, &cached.present.text].iter().any(|caches| caches.len() != n) {
            let problem = format!("it does not take and give the {n} keys and values that a first pass gives");
            return Err(cached_graph.problem(problem));
        }
        Ok(decoder)
    }

    /// The pass that has a past.
    fn later(&self) -> &(Graph, Pass) {
        self.cached.as_ref().unwrap_or(&self.first)
    }

    pub(super) fn n_layers(&self) -> usize {
        self.first.1.present.text.len() / 2
    }

    pub(super) fn d_model(&self) -> usize {
        let states = self.first.1.states.as_ref().and_then(|states| states.size(2));
        let key = &self.later().1.past.text[0];
        states.or_else(|| Some(key.size(1)?.saturating_mul(key.size(3)?))).unwrap_or(0)
    }

    /// Where the graph says.
    pub(super) fn n_vocab(&self) -> Option<usize> {
        self.first.1.logits.size(2)
    }

    pub(super) fn problem(&self, problem: String) -> Error {
        self.first.0.problem(problem)
    }

    /// The first tokens of a text that listens to `states`; also gives the keys and values of the window.
    pub(super) fn first(
        &self,
        states: &Value,
        tokens: &[u32],
        options: &RunOptions,
    ) -> Result<(Outcome, Vec<Value>), Error> {
        let (graph, pass) = &self.first;
        let empty = |port: &Port| match (port.size(1), port.size(3)) {
            (Some(heads), Some(width)) => Ok(tensor([1, heads, 0, width], Vec::<f32>::new())),
            _ => {
                Err(graph.problem(format!("its input `{}` leaves the number of heads or their width open", port.name)))
            }
        };
        let caches = || pass.past.text.iter().chain(&pass.past.window);
        let none: Vec<Value> = caches().map(empty).collect::<Result<_, _>>()?;
        let inputs = caches().zip(&none).collect();
        let outputs = pass.present.text.iter().chain(&pass.present.window).collect();
        let (logits, mut past) = pass.run(graph, (states, 0, tokens), inputs, outputs, options)?;
        let window = past.split_off(pass.present.text.len());
        Ok((Outcome { logits, past }, window))
    }

    /// One more token of a text of `length` tokens.
    pub(super) fn cached(
        &self,
        states: &Value,
        past: &[Value],
        window: &[Value],
        length: usize,
        tokens: &[u32],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let (graph, pass) = self.later();
        let inputs = pass.past.text.iter().zip(past).chain(pass.past.window.iter().zip(window)).collect();
        // What a merged decoder gives as the window's keys and values is empty now.
        let outputs = pass.present.text.iter().collect();
        let (logits, past) = pass.run(graph, (states, length, tokens), inputs, outputs, options)?;
        Ok(Outcome { logits, past })
    }
}

impl Pass {
    /// Finds out what each input and output is for, by its name.
    fn of(graph: &Graph) -> Result<Self, Error> {
        let (inputs, outputs) = (graph.inputs(), graph.outputs());
        let find = |ports: &[Port], name: &str| ports.iter().find(|port| port.name == name).cloned();
        let need = |port: Option<Port>, what: &str| port.ok_or_else(|| graph.problem(format!("it has no {what}")));
        let pass = Self {
            tokens: need(find(&inputs, "input_ids"), "input `input_ids`")?,
            states: find(&inputs, "encoder_hidden_states"),
            use_cache: find(&inputs, "use_cache_branch"),
            positions: find(&inputs, "cache_position"),
            past: Caches::of(&inputs, "past_key_values"),
            logits: need(find(&outputs, "logits"), "output `logits`")?,
            present: Caches::of(&outputs, "present"),
        };
        let single = [Some(&pass.tokens), pass.states.as_ref(), pass.use_cache.as_ref(), pass.positions.as_ref()];
        let known: Vec<&Port> = single.into_iter().flatten().chain(&pass.past.text).chain(&pass.past.window).collect();
        match inputs.iter().find(|input| known.iter().all(|port| port.name != input.name)) {
            Some(unknown) => {
                Err(graph.problem(format!("it wants an input `{}`, which is not known here", unknown.name)))
            }
            None => Ok(pass),
        }
    }

    /// The logits after the last of `tokens`, which follow `length` others, and the caches `present`.
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
            .ok_or_else(|| graph.problem("its logits have another shape than (1, n_tokens, n_vocab)".to_owned()))?;
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

impl Caches {
    /// Those among `ports` that are called `{prefix}.{layer}.decoder.key` and so on, of every layer from 0 on.
    fn of(ports: &[Port], prefix: &str) -> Self {
        let all = |network: &str| {
            let names =
                (0..).flat_map(|layer| ["key", "value"].map(|part| format!("{prefix}.{layer}.{network}.{part}")));
            names.map_while(|name| ports.iter().find(|port| port.name == name).cloned()).collect()
        };
        Self { text: all("decoder"), window: all("encoder") }
    }
}
