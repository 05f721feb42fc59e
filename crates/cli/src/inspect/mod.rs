//! `amanuensis inspect`: shows the contents of a model.

pub mod args;
mod contents;
mod tables;

use std::ops::ControlFlow;

use amanuensis_models::Store;

use crate::failure::Failure;
use crate::stdout::print;
use args::InspectArgs;
use contents::Contents;

pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    let store = Store::open_default()?;
    let path = store.resolve(&args.model, true, &mut |_| ControlFlow::Continue(()))?;
    let contents = Contents::read(&path)?;
    let text = if args.json {
        serde_json::to_string_pretty(&contents).expect("strings and numbers can always be written as JSON") + "\n"
    } else {
        tables::tables(&contents)
    };
    let has_problem = contents.problem.is_some();
    print(&text).map_err(|failure| failure.after_failures(has_problem))?;
    // The problem was already printed together with the contents of the model.
    if has_problem { Err(Failure::Reported) } else { Ok(()) }
}
