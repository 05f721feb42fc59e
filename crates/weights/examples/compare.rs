//! Compares two checkpoints of the same model, tensor by tensor:
//! `cargo run --release -p amanuensis-weights --example compare -- PATH OTHER`

use amanuensis_weights::{Checkpoint, Error};

fn main() -> Result<(), Error> {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [path, other] = paths.as_slice() else {
        eprintln!("usage: compare PATH OTHER");
        return Ok(());
    };
    compare(&Checkpoint::open(path.as_ref())?, &Checkpoint::open(other.as_ref())?);
    Ok(())
}

/// Prints the differences of two checkpoints.
fn compare(a: &Checkpoint, b: &Checkpoint) {
    let (mut equal, mut worst) = (0, (0.0_f32, "none"));
    for a in a.names().filter_map(|name| a.get(name)) {
        let Some(b) = b.get(a.name()) else {
            println!("{} is only in the first checkpoint", a.name());
            continue;
        };
        if a.shape() != b.shape() {
            println!("{}: the shapes are {:?} and {:?}", a.name(), a.shape(), b.shape());
            continue;
        }
        let (first, second) = (a.to_f32(), b.to_f32());
        let peak = first.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        let error = first.iter().zip(&second).fold(0.0_f32, |error, (x, y)| error.max((x - y).abs()));
        equal += usize::from(first == second);
        if error / peak > worst.0 {
            worst = (error / peak, a.name());
        }
    }
    for b in b.names().filter(|name| a.get(name).is_none()) {
        println!("{b} is only in the second checkpoint");
    }
    println!(
        "{equal} tensors are equal; largest error relative to the largest value of a tensor: {} ({})",
        worst.0, worst.1
    );
}
