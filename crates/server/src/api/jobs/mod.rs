//! The endpoints for jobs. A job transcribes a recording in the background.

pub mod create;
pub mod events;
mod form;
pub mod manage;
pub mod result;
mod status;
mod store;
