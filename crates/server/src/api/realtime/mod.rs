//! `WS /v1/realtime`: transcription of live speech over a WebSocket, with the events of `OpenAI`'s realtime interface.

mod client_events;
pub mod connect;
mod connection;
mod server_events;
mod session_object;
mod session_params;
mod settings;
mod wire;
