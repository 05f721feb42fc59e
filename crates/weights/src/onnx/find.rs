//! Finds the weights of the model among the constants of an ONNX graph.
//!
//! Most constants are named after the module that they belong to. The factors of matrix products are not, because
//! exporters transpose and rename them. Their module follows from the name of the node that multiplies with the
//! factor. In exports whose nodes have no such names, the module follows from the neighbouring nodes: the bias that
//! is added, the graph output, or, for keys (which have no bias), the queries that the keys are multiplied with.

use std::collections::{BTreeMap, HashMap};

use super::model::{Attributes, Constant, Dimension, Graph, Model, Node};
use super::names::{Network, PROJECTION};

/// Limits a search that follows values from node to node: it follows at most this many values, and visits at most
/// this many of the nodes that use each value.
const REACH: usize = 16;

/// Fused operators: each one computes several modules at once. The weights of one module cannot be separated from
/// those of the others.
const FUSED: &[&str] =
    &["Attention", "DecoderMaskedMultiHeadAttention", "MatMulNBits", "MultiHeadAttention", "QAttention"];

/// A constant that is a weight, and how the graph uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    /// The constant's index in [`Model::tensors`].
    pub(super) tensor: usize,
    pub(super) is_transposed: bool,
    pub(super) quantised: Option<Quantised>,
}

/// The constants that convert a weight's integers `q` to real numbers: `(q - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantised {
    pub(super) scale: usize,
    pub(super) zero_point: Option<usize>,
    /// The dimension of the stored tensor that the scales belong to: each index in this dimension has its own scale.
    pub(super) axis: i64,
}

/// The weights that were found in a graph.
pub(super) struct Found {
    /// The weights by canonical name.
    pub(super) weights: BTreeMap<String, Weight>,
    /// A fused operator (one that computes several modules at once) that uses weights. `None` if the graph has none.
    pub(super) fused: Option<&'static str>,
    pub(super) heads: Option<usize>,
}

pub(super) fn find(model: &Model, network: Network, integers: &dyn Fn(&Constant) -> Option<Vec<i64>>) -> Found {
    let found = Found { weights: BTreeMap::new(), fused: None, heads: None };
    let mut finder = Finder { model, network, integers, found };
    finder.visit(&model.graph, None);
    if finder.found.heads.is_none() {
        finder.found.heads = heads_of_cache(&model.graph);
    }
    finder.found
}

/// The number of attention heads. It is the second dimension of the decoder's cache of keys, whose shape is `(batch,
/// heads, positions, width)`. `None` if the graph has no such cache, or if this dimension has no fixed length.
fn heads_of_cache(graph: &Graph) -> Option<usize> {
    let mut values = graph.outputs.iter().chain(&graph.inputs);
    let cache = values.find(|value| value.name.ends_with(".decoder.key"))?;
    match cache.shape.as_slice() {
        [_, Dimension::Fixed(heads), _, _] => usize::try_from(*heads).ok(),
        _ => None,
    }
}

/// The constants of a graph, and for each value the nodes that produce and use it. Gives access to the same for the
/// graphs that enclose this one.
struct Scope<'a, 'o> {
    outer: Option<&'o Scope<'a, 'o>>,
    weights: HashMap<&'a str, Weight>,
    producers: HashMap<&'a str, &'a Node>,
    consumers: HashMap<&'a str, Vec<&'a Node>>,
}

impl<'a, 'o> Scope<'a, 'o> {
    fn new(graph: &'a Graph, model: &'a Model, outer: Option<&'o Scope<'a, 'o>>) -> Self {
        let plain = |&tensor: &usize| {
            (model.tensors[tensor].name.as_str(), Weight { tensor, is_transposed: false, quantised: None })
        };
        let mut scope = Self {
            outer,
            weights: graph.initialisers.iter().map(plain).collect(),
            producers: HashMap::new(),
            consumers: HashMap::new(),
        };
        for node in &graph.nodes {
            scope.producers.extend(node.outputs.iter().map(|name| (name.as_str(), node)));
            for input in &node.inputs {
                scope.consumers.entry(input).or_default().push(node);
            }
        }
        scope
    }

    fn weight(&self, name: &str) -> Option<Weight> {
        self.weights.get(name).copied().or_else(|| self.outer?.weight(name))
    }

    /// The nodes of this graph that have the value `name` as an input. If there are more than [`REACH`], only the
    /// first ones.
    fn consumers(&self, name: &str) -> impl Iterator<Item = &'a Node> {
        self.consumers.get(name).into_iter().flatten().copied().take(REACH)
    }

    /// Calls `wanted` for the nodes that use the value `from`. If the operator of a node is in `through`, also for
    /// the nodes that use its output, and so on. Nearer nodes come before farther ones. Returns the first result that
    /// is not `None`.
    fn ahead<T>(&self, from: &'a str, through: &[&str], wanted: impl Fn(&str, &'a Node) -> Option<T>) -> Option<T> {
        let mut names = vec![from];
        let mut passed = 0;
        while let Some(name) = names.get(passed).copied() {
            for node in self.consumers(name) {
                if let Some(found) = wanted(name, node) {
                    return Some(found);
                }
                if through.contains(&node.op.as_str()) && names.len() < REACH {
                    names.extend(node.output());
                }
            }
            passed += 1;
        }
        None
    }
}

/// A product of a value `x` with a constant matrix `W`. `weight` is this matrix as `(out, in)`, which is the order of
/// `PyTorch`.
struct Product<'a> {
    node: &'a Node,
    weight: Weight,
}

struct Finder<'a> {
    model: &'a Model,
    network: Network,
    /// A function that returns the values of an integer tensor, or `None` if they are too many or are not stored in
    /// the graph's file.
    integers: &'a dyn Fn(&Constant) -> Option<Vec<i64>>,
    found: Found,
}

impl<'a> Finder<'a> {
    fn visit(&mut self, graph: &'a Graph, outer: Option<&Scope<'a, '_>>) {
        let mut scope = Scope::new(graph, self.model, outer);
        let mut modules = HashMap::new();
        let mut unnamed = Vec::new();
        for node in &graph.nodes {
            if let Some((name, weight)) = derived(node, &scope) {
                scope.weights.insert(name, weight);
                self.take_named(name, weight);
                continue;
            }
            if let Some(weight) = product(node, &scope) {
                match self.module(node, weight, &scope) {
                    Some(module) => {
                        self.insert_product(&module, weight);
                        modules.extend(node.output().map(|output| (output, module)));
                    }
                    None => unnamed.push(Product { node, weight }),
                }
                continue;
            }
            self.take_inputs(node, &scope);
            if node.inputs.iter().any(|input| scope.weight(input).is_some()) {
                self.found.fused = self.found.fused.or(FUSED.iter().find(|op| **op == node.op).copied());
            }
            for graph in node.attributes.iter().flat_map(|attributes| &attributes.graphs) {
                self.visit(graph, Some(&scope));
            }
        }
        for Product { node, weight } in unnamed {
            if let Some(module) = node.output().and_then(|output| module_of_keys(output, &scope, &modules)) {
                self.insert_product(&module, weight);
            }
        }
        if self.found.heads.is_none() {
            self.found.heads = modules
                .iter()
                .filter(|(_, module)| module.ends_with("self_attn.q_proj"))
                .find_map(|(output, module)| self.heads(output, module, &scope));
        }
    }

    /// Adds the weights that are inputs of `node`, which is not a matrix product.
    fn take_inputs(&mut self, node: &'a Node, scope: &Scope<'a, '_>) {
        for (index, name) in node.inputs.iter().enumerate() {
            let Some(weight) = scope.weight(name) else { continue };
            let quantised = match (node.op.as_str(), index) {
                ("ConvInteger", 1) => quantised_product(node, 0, 3, scope),
                ("Gather", 0) => {
                    scope.ahead(node.output().unwrap_or_default(), &[], |_, next| dequantised(next, scope))
                }
                _ => None,
            };
            let weight = Weight { quantised: weight.quantised.or(quantised), ..weight };
            self.take_named(name, weight);
            // One tensor can be both the embedding and the output projection. An export may then name it after the
            // output projection, but this `Gather` uses it as the embedding.
            if (node.op.as_str(), index) == ("Gather", 0)
                && self.network.parameter(name).is_some_and(|name| name.starts_with(PROJECTION))
            {
                self.found.weights.insert("decoder.embed_tokens.weight".to_owned(), weight);
            }
            // The positional embedding is added to the input. It is the only encoder weight, besides factors of
            // products, that an exporter may rename.
            let is_matrix = self.model.tensors[weight.tensor].dims.len() == 2;
            if self.network == Network::Encoder && node.op == "Add" && is_matrix && weight.quantised.is_none() {
                self.found.weights.entry("encoder.embed_positions.weight".to_owned()).or_insert(weight);
            }
        }
    }

    /// Adds a weight if its name contains a known module and no weight was added for this parameter before. Ignores
    /// integers without a scale.
    fn take_named(&mut self, name: &str, weight: Weight) {
        let tensor = &self.model.tensors[weight.tensor];
        if weight.quantised.is_none() && matches!(tensor.data_type, 2..=9) {
            return;
        }
        let named = self.network.parameter(name).or_else(|| self.network.parameter(&tensor.name));
        if let Some(name) = named {
            self.found.weights.entry(name).or_insert(weight);
        }
    }

    /// Adds a constant factor of a matrix product as the weight of `module`. It replaces a weight that was found by
    /// name, because only the product shows whether the tensor is transposed.
    fn insert_product(&mut self, module: &str, weight: Weight) {
        let embedding = self.found.weights.get("decoder.embed_tokens.weight");
        if module == PROJECTION && embedding.is_some_and(|embedding| embedding.tensor == weight.tensor) {
            return;
        }
        self.found.weights.insert(format!("{module}.weight"), weight);
    }

    /// Finds the module that a matrix product belongs to. Tries, in this order: the name of the weight, the name of
    /// the node, the name of the bias that is added to the product, and whether the product leads to the logits.
    /// `None` if nothing shows it.
    fn module(&self, node: &Node, weight: Weight, scope: &Scope<'a, '_>) -> Option<String> {
        let output = node.output()?;
        let own = self.network.parameter(&self.model.tensors[weight.tensor].name);
        let own = own.and_then(|name| name.strip_suffix(".weight").map(str::to_owned));
        let own = own.filter(|module| !module.ends_with("embed_tokens"));
        let of_bias = || {
            scope.ahead(output, &["Cast", "Mul"], |from, next| {
                let bias = next.inputs.iter().find(|input| *input != from).filter(|_| next.op == "Add")?;
                let weight = scope.weight(bias)?;
                let named = self.network.parameter(bias);
                named
                    .or_else(|| self.network.parameter(&self.model.tensors[weight.tensor].name))?
                    .strip_suffix(".bias")
                    .map(str::to_owned)
            })
        };
        let is_logits = |name: &str| self.network == Network::Decoder && name == "logits";
        let of_logits = || {
            let is_output = |_: &str, next: &Node| next.output().is_some_and(is_logits).then_some(());
            let leads_there = is_logits(output) || scope.ahead(output, &["Cast", "Mul"], is_output).is_some();
            leads_there.then(|| PROJECTION.to_owned())
        };
        own.or_else(|| self.network.module_of_node(&node.name)).or_else(of_bias).or_else(of_logits)
    }

    /// The number of attention heads, from the shape into which the queries are reshaped. The queries are the value
    /// `output`, computed by the module `module`. `None` if the graph does not show the number.
    fn heads(&self, output: &str, module: &str, scope: &Scope<'a, '_>) -> Option<usize> {
        let weight = self.found.weights.get(&format!("{module}.weight"))?;
        let dims = &self.model.tensors[weight.tensor].dims;
        let width = *if weight.is_transposed { dims.get(1) } else { dims.first() }?;
        let shape = scope.ahead(output, &["Add", "Cast", "DequantizeLinear", "Mul", "QuantizeLinear"], |_, next| {
            next.input(1).filter(|_| next.op == "Reshape")
        })?;
        let constant = |name: &str| (self.integers)(&self.model.tensors[scope.weight(name)?.tensor]);
        let sizes: Vec<Option<i64>> = if let Some(sizes) = constant(shape) {
            sizes.into_iter().map(Some).collect()
        } else {
            let parts = scope.producers.get(shape).filter(|node| node.op == "Concat")?;
            parts.inputs.iter().map(|part| constant(part).and_then(|sizes| sizes.first().copied())).collect()
        };
        // The shape is (batch, positions, heads, width of a head). One dimension may be -1, which means that the
        // others determine it.
        let [_, _, heads, Some(each)] = sizes.as_slice() else { return None };
        let each = usize::try_from(*each).ok().filter(|each| *each > 0 && width.is_multiple_of(*each))?;
        matches!(heads, Some(-1)).then_some(width / each).or_else(|| usize::try_from((*heads)?).ok())
    }
}

/// Returns the name of a node's output and its constant value. `None` unless the node is a `Constant`, or copies,
/// converts or transposes one other constant.
fn derived<'a>(node: &'a Node, scope: &Scope<'_, '_>) -> Option<(&'a str, Weight)> {
    let output = node.output()?;
    let attributes = node.attributes.as_deref();
    if node.op == "Constant" {
        let tensor = attributes?.value?;
        return Some((output, Weight { tensor, is_transposed: false, quantised: None }));
    }
    let weight = scope.weight(node.input(0)?)?;
    let weight = match node.op.as_str() {
        "Identity" | "Cast" => weight,
        "Transpose" if attributes.is_none_or(|attributes| attributes.perm.is_empty() || attributes.perm == [1, 0]) => {
            Weight { is_transposed: !weight.is_transposed, ..weight }
        }
        "DequantizeLinear" => Weight { quantised: dequantised(node, scope), ..weight },
        _ => return None,
    };
    Some((output, weight))
}

/// The constant factor of a node that is a matrix product, as a weight `(out, in)`. `None` if the node is not a
/// product with a constant.
fn product(node: &Node, scope: &Scope<'_, '_>) -> Option<Weight> {
    let weight = scope.weight(node.input(1)?)?;
    let trans_b = node.attributes.as_deref().is_some_and(|attributes: &Attributes| attributes.trans_b);
    // If the factor is stored as `(in, out)`, its second dimension is the output channel, otherwise its first.
    let axis = i64::from(!weight.is_transposed);
    let quantised = match node.op.as_str() {
        "MatMul" | "Gemm" => weight.quantised,
        "MatMulInteger" => Some(quantised_product(node, axis, 3, scope)?),
        "DynamicQuantizeMatMul" => Some(constants(node, [2, 3], axis, scope)?),
        "MatMulIntegerToFloat" => Some(constants(node, [3, 5], axis, scope)?),
        _ => return None,
    };
    Some(Weight { is_transposed: weight.is_transposed == trans_b, quantised, ..weight })
}

/// Finds the scale and the zero point of the weight `W` in an integer product `y` of `x` and `W`. The scale is a
/// constant by which later nodes multiply the result: `Mul(Cast(y), Mul(scale of x, scale of W))`.
fn quantised_product(node: &Node, axis: i64, zero_point: usize, scope: &Scope<'_, '_>) -> Option<Quantised> {
    let scale = scope.ahead(node.output()?, &["Cast"], |from, next| {
        let factor = next.inputs.iter().find(|input| *input != from).filter(|_| next.op == "Mul")?;
        let both = scope.producers.get(factor.as_str()).filter(|node| node.op == "Mul");
        let of_both = || both?.inputs.iter().find_map(|input| scope.weight(input));
        scope.weight(factor).or_else(of_both)
    })?;
    let zero_point = node.input(zero_point).and_then(|name| scope.weight(name));
    Some(Quantised { scale: scale.tensor, zero_point: zero_point.map(|weight| weight.tensor), axis })
}

/// The scale and the zero point that a `DequantizeLinear` node uses; `None` for other nodes.
fn dequantised(node: &Node, scope: &Scope<'_, '_>) -> Option<Quantised> {
    let axis = node.attributes.as_deref().and_then(|attributes| attributes.axis).unwrap_or(1);
    (node.op == "DequantizeLinear").then(|| constants(node, [1, 2], axis, scope))?
}

/// The scale and the zero point that a node has as inputs. `scale` and `zero_point` are the indices of these inputs.
fn constants(node: &Node, [scale, zero_point]: [usize; 2], axis: i64, scope: &Scope<'_, '_>) -> Option<Quantised> {
    let tensor = |place| Some(scope.weight(node.input(place)?)?.tensor);
    Some(Quantised { scale: tensor(scale)?, zero_point: tensor(zero_point), axis })
}

/// The module of a product that computes attention keys (the value `output`). It is found through the queries that
/// the keys are multiplied with. `modules` holds the modules of queries.
fn module_of_keys(output: &str, scope: &Scope<'_, '_>, modules: &HashMap<&str, String>) -> Option<String> {
    const SHAPING: &[&str] = &[
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Div",
        "Identity",
        "Mul",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ];
    let queries = scope.ahead(output, SHAPING, |from, next| {
        let queries = match next.op.as_str() {
            "MatMul" => next.inputs.iter().find(|input| *input != from)?,
            "Attention" | "MultiHeadAttention" if next.input(1) == Some(from) => next.inputs.first()?,
            _ => return None,
        };
        scope.weight(queries).is_none().then_some(queries)
    })?;
    let mut name = queries.as_str();
    for _ in 0..REACH {
        if let Some(module) = modules.get(name) {
            return module.strip_suffix("q_proj").map(|attention| format!("{attention}k_proj"));
        }
        let node = scope.producers.get(name)?;
        name = node.inputs.iter().find(|input| !input.is_empty() && scope.weight(input).is_none())?;
    }
    None
}
