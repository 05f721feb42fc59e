//! `WS /v1/realtime` transcribes live speech over a WebSocket, with the events of `OpenAI`'s realtime API.

mod client_events;
pub mod connect;
mod connection;
mod server_events;
mod session_object;
mod session_params;
mod settings;
mod wire;
