//! Checks names of models and files, so that they are safe to use as paths.

/// Whether `name` is a plain file name on every platform, so that a path joined from a directory and `name` stays
/// inside the directory. Names that start with a dot are reserved for the store.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(is_plain)
}
