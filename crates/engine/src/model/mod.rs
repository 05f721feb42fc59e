//! Reading a model's files: its configuration, its dimensions, and its layers.

mod config;
mod dimensions;
mod loader;

pub(crate) use self::config::{Config, NamedToken, read_if_exists, read_json};
pub(crate) use self::dimensions::{FRAMES_PER_POSITION, ModelDimensions};
pub(crate) use self::loader::Loader;
