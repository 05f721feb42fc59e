//! Names of values and nodes in an ONNX export, and their canonical names.
//!
//! Exporters name values after `PyTorch`'s modules, and nodes after the path of the module: `layers.0.fc1.bias`,
//! `/model/decoder/layers.0/fc1/MatMul`. If the encoder is exported on its own, names do not begin with
//! `model.encoder.`.

/// The network that a graph computes: the encoder or the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Encoder,
    Decoder,
}

/// Modules outside of layers.
const MODULES: &[&str] = &["conv1", "conv2", "embed_positions", "embed_tokens", "layer_norm"];

/// Modules of layers.
const LAYER_MODULES: &[&str] = &[
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.out_proj",
    "self_attn_layer_norm",
    "encoder_attn.q_proj",
    "encoder_attn.k_proj",
    "encoder_attn.v_proj",
    "encoder_attn.out_proj",
    "encoder_attn_layer_norm",
    "fc1",
    "fc2",
    "final_layer_norm",
];

/// The module name of the output projection.
pub(super) const PROJECTION: &str = "proj_out";

/// Suffixes that export tools append to the name of a value when they change or copy the value.
const SUFFIXES: &[&str] = &["_quantized", "_merged_0", "_merged_1"];

impl Network {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }

    /// The canonical name of the weight or bias that an export calls `name`; `None` if it belongs to no known module.
    pub(super) fn parameter(self, name: &str) -> Option<String> {
        let mut name = name;
        while let Some(shorter) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) {
            name = shorter;
        }
        let (module, parameter) = name.rsplit_once('.')?;
        matches!(parameter, "weight" | "bias").then(|| Some(format!("{}.{parameter}", self.module(module)?)))?
    }

    /// The canonical name of the module that the node `name` belongs to; `None` if it belongs to no known module.
    pub(super) fn module_of_node(self, name: &str) -> Option<String> {
        let (path, _) = name.strip_prefix('/')?.rsplit_once('/')?;
        self.module(&path.replace('/', "."))
    }

    fn module(self, path: &str) -> Option<String> {
        let mut rest = path.strip_prefix("model.").unwrap_or(path);
        if self == Self::Decoder && rest == PROJECTION {
            return Some(PROJECTION.to_owned());
        }
        rest = rest.strip_prefix(self.name()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(rest);
        let is_known = match rest.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) {
            Some((index, module)) => {
                index.len() <= 4 && index.bytes().all(|byte| byte.is_ascii_digit()) && LAYER_MODULES.contains(&module)
            }
            None => MODULES.contains(&rest),
        };
        is_known.then(|| format!("{}.{rest}", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_match_real_exports() {
        let decoder = |name| Network::Decoder.parameter(name);
        let encoder = |name| Network::Encoder.parameter(name);
        assert_eq!(encoder("conv1.weight_quantized").as_deref(), Some("encoder.conv1.weight"));
        assert_eq!(encoder("layers.11.fc1.bias").as_deref(), Some("encoder.layers.11.fc1.bias"));
        assert_eq!(encoder("model.encoder.layer_norm.bias").as_deref(), Some("encoder.layer_norm.bias"));
        assert_eq!(
            decoder("model.decoder.layers.0.encoder_attn.q_proj.bias_merged_0").as_deref(),
            Some("decoder.layers.0.encoder_attn.q_proj.bias")
        );
        assert_eq!(decoder("proj_out.weight").as_deref(), Some("proj_out.weight"));
        for foreign in ["onnx::MatMul_139", "conv1.weight_scale", "layers.x.fc1.bias", "layers.0.fc3.bias", "weight"] {
            assert_eq!(encoder(foreign), None, "{foreign}");
        }
        assert_eq!(encoder("model.decoder.layer_norm.bias"), None);
        let node = |name| Network::Decoder.module_of_node(name);
        assert_eq!(
            node("/model/decoder/layers.3/self_attn/q_proj/MatMul_quant").as_deref(),
            Some("decoder.layers.3.self_attn.q_proj")
        );
        assert_eq!(node("/proj_out/MatMul").as_deref(), Some("proj_out"));
        assert_eq!(node("/model/decoder/layers.3/self_attn/MatMul"), None);
        assert_eq!(node("MatMul_12"), None);
    }
}
