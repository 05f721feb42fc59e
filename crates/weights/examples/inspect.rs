//! Lists a checkpoint's tensors, or compares two checkpoints tensor by tensor:
//! `cargo run --release -p amanuensis-weights --example inspect -- PATH [OTHER]`

use std::path::Path;
use std::time::Instant;

use amanuensis_weights::{Checkpoint, Error, Tensor};

fn main() -> Result<(), Error> {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    match paths.as_slice() {
        [path] => list(&open(path.as_ref())?),
        [path, other] => compare(&open(path.as_ref())?, &open(other.as_ref())?),
        _ => eprintln!("usage: inspect PATH [OTHER]"),
    }
    Ok(())
}

fn open(path: &Path) -> Result<Checkpoint, Error> {
    let start = Instant::now();
    let checkpoint = Checkpoint::open(path)?;
    let heads = (checkpoint.encoder_heads(), checkpoint.decoder_heads());
    println!(
        "{}: {}, heads {heads:?}, opened in {:?}",
        checkpoint.path().display(),
        checkpoint.format(),
        start.elapsed()
    );
    Ok(checkpoint)
}

fn list(checkpoint: &Checkpoint) {
    let tensors: Vec<Tensor> = checkpoint.names().filter_map(|name| checkpoint.get(name)).collect();
    for tensor in &tensors {
        println!("{:60} {:8} {:?}", tensor.name(), tensor.dtype().to_string(), tensor.shape());
    }
    for pass in ["first", "second"] {
        let start = Instant::now();
        let values: usize = tensors.iter().map(convert).sum();
        println!("{values} values in {} tensors; {pass} conversion to f32 in {:?}", tensors.len(), start.elapsed());
    }
}

/// Converts a tensor in blocks of rows that stay in cache, as one that packs it would; returns its number of values.
fn convert(tensor: &Tensor) -> usize {
    let rows_per_block = (16_384 / tensor.row_len().max(1)).max(1);
    let mut block = vec![0.0; rows_per_block * tensor.row_len()];
    for start in (0..tensor.rows()).step_by(rows_per_block) {
        let rows = start..tensor.rows().min(start + rows_per_block);
        let out = &mut block[..rows.len() * tensor.row_len()];
        tensor.rows_f32(rows, out);
        std::hint::black_box(out);
    }
    tensor.rows() * tensor.row_len()
}

fn compare(a: &Checkpoint, b: &Checkpoint) {
    let (mut same, mut worst) = (0, (0.0_f32, "none"));
    for a in a.names().filter_map(|name| a.get(name)) {
        let Some(b) = b.get(a.name()) else {
            println!("{} is in the first only", a.name());
            continue;
        };
        if a.shape() != b.shape() {
            println!("{}: {:?} is not {:?}", a.name(), a.shape(), b.shape());
            continue;
        }
        let (ours, theirs) = (a.to_f32(), b.to_f32());
        let peak = ours.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        let error = ours.iter().zip(&theirs).fold(0.0_f32, |error, (x, y)| error.max((x - y).abs()));
        same += usize::from(ours == theirs);
        if error / peak > worst.0 {
            worst = (error / peak, a.name());
        }
    }
    for b in b.names().filter(|name| a.get(name).is_none()) {
        println!("{b} is in the second only");
    }
    println!("{same} tensors are equal; largest error relative to a tensor's largest value: {} ({})", worst.0, worst.1);
}
