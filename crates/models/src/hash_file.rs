//! Computes the digest of a file and reports the progress.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::digest::Hasher;
use crate::error::Error;

/// Feeds the whole file at `path` to `hasher`. Calls `on_block` with the number of bytes of each block. If `on_block`
/// returns an error, hashing stops.
pub(crate) fn hash_file(
    path: &Path,
    hasher: &mut Hasher,
    mut on_block: impl FnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                hasher.update(&block[..read]);
                on_block(read as u64)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
    }
}
