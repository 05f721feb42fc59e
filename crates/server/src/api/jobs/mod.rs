//! The endpoints of jobs: recordings that are transcribed in the background.

pub mod create;
pub mod events;
mod form;
pub mod manage;
pub mod result;
mod status;
mod store;
