//! A minimal WebSocket client. It can also send frames that violate the protocol.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::http::Server;

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;

/// A WebSocket connection.
pub struct Socket(pub TcpStream);

impl Socket {
    /// Connects to the server and opens a transcription session.
    pub fn open(server: &Server) -> Self {
        let mut stream = server.connect();
        let request = "GET /v1/realtime?intent=transcription HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let mut socket = Self(stream);
        assert_eq!(socket.event()["type"], "session.created");
        socket
    }

    /// Sends a WebSocket frame. `is_last` marks it as the final frame of a message. The protocol requires that
    /// clients mask their frames. This client uses a mask of zeros, which does not change the data. Returns false if
    /// the write fails.
    pub fn send(&mut self, opcode: u8, is_last: bool, payload: &[u8]) -> bool {
        let mut frame = vec![opcode | if is_last { 0x80 } else { 0 }];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame).is_ok()
    }

    pub fn send_event(&mut self, event: &Value) {
        self.send(TEXT, true, event.to_string().as_bytes());
    }

    /// Reads the next frame: its opcode and its payload. Returns `None` once the connection is closed.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        let mut length = u64::from(head[1]);
        if length >= 126 {
            let mut bytes = [0; 8];
            let width = if length == 126 { 2 } else { 8 };
            self.0.read_exact(&mut bytes[8 - width..]).ok()?;
            length = u64::from_be_bytes(bytes);
        }
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[0] & 15, payload))
    }

    /// Reads the next frame, which must contain an event, and parses the event.
    #[track_caller]
    pub fn event(&mut self) -> Value {
        let (opcode, payload) = self.frame().expect("the connection was closed");
        assert_eq!(opcode, TEXT, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }

    /// Reads events until the connection is closed. Returns the types of the events, and the close code if the server
    /// sent one.
    pub fn until_closed(&mut self) -> (Vec<String>, Option<u16>) {
        let mut kinds = Vec::new();
        while let Some((opcode, payload)) = self.frame() {
            match opcode {
                TEXT => {
                    let event: Value = serde_json::from_slice(&payload).unwrap();
                    kinds.push(event["type"].as_str().unwrap().to_owned());
                }
                CLOSE => {
                    self.send(CLOSE, true, &payload);
                    return (kinds, payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
                }
                _ => {}
            }
        }
        (kinds, None)
    }
}
