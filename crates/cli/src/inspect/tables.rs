//! Formats the contents of a model as tables.

use std::fmt::Write as _;

use super::contents::{Contents, Graph, Length, NetworkSizes, SpecialToken, TensorInfo, Value, VocabularyInfo};
use crate::console::printable;
use crate::download::format_bytes;

pub fn tables(contents: &Contents) -> String {
    let mut text = String::new();
    add_line(&mut text, &format!("{}: {}", contents.path, contents.format));
    for (name, inputs, network) in
        [("encoder", "mel bins", &contents.encoder), ("decoder", "tokens", &contents.decoder)]
    {
        if let Some(network) = network {
            add_network(&mut text, name, inputs, network);
        }
    }
    if let Some(tokens) = &contents.vocabulary {
        add_vocabulary(&mut text, tokens);
    }
    if let Some(problem) = &contents.problem {
        add_line(&mut text, &format!("{:<11} {problem}", "problem"));
    }
    for graph in &contents.graphs {
        add_graph(&mut text, graph);
    }
    if !contents.tensors.is_empty() {
        add_tensors(&mut text, &contents.tensors);
    }
    text
}

/// Appends a line. Control characters are escaped, because names in a model file may contain them.
fn add_line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", printable(line).trim_end());
}

fn add_network(text: &mut String, name: &str, inputs: &str, network: &NetworkSizes) {
    let NetworkSizes { positions, width, layers, heads, inputs: n_inputs } = network;
    let heads = heads.map_or_else(|| "number of heads in config.json".to_owned(), |heads| format!("{heads} heads"));
    add_line(
        text,
        &format!("{name:<11} {n_inputs} {inputs}, {positions} positions, {layers} layers of width {width}, {heads}"),
    );
}

fn add_vocabulary(text: &mut String, tokens: &VocabularyInfo) {
    let VocabularyInfo { size, multilingual, special, first_timestamp, last_timestamp } = tokens;
    let languages = if *multilingual { "multilingual" } else { "English only" };
    add_line(
        text,
        &format!("{:<11} {size} tokens, {languages}, timestamps {first_timestamp} to {last_timestamp}", "vocabulary"),
    );
    let special: Vec<String> =
        special.iter().map(|SpecialToken { id, name }| format!("{:<28}", format!("{id} {name}"))).collect();
    for row in special.chunks(4) {
        add_line(text, &format!("{:<11} {}", "", row.concat()));
    }
}

fn add_graph(text: &mut String, graph: &Graph) {
    add_line(text, "");
    add_line(text, &graph.file);
    for (kind, values) in [("input", &graph.inputs), ("output", &graph.outputs)] {
        for Value { name, dtype, shape } in values {
            let shape: Vec<String> = shape.iter().map(Length::label).collect();
            add_line(text, &format!("  {kind:<7} {name:<36} {dtype:<8} ({})", shape.join(", ")));
        }
    }
}

fn add_tensors(text: &mut String, tensors: &[TensorInfo]) {
    add_line(text, "");
    let bytes = tensors.iter().map(|tensor| tensor.bytes as u64).sum();
    add_line(text, &format!("{} tensors, {}", tensors.len(), format_bytes(bytes)));
    for TensorInfo { name, dtype, shape, bytes } in tensors {
        add_line(text, &format!("  {name:<52} {dtype:<9} {:<18} {bytes:>11}", format!("{shape:?}")));
    }
}
