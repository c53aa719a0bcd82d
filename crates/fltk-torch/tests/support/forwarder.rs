//! A forwarder of TCP connections that can swallow what goes in one direction, or in both: neither side notices at once, as when a network fails.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A direction in which nothing arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing reaches the server.
    Up,
    /// Nothing reaches the client.
    Down,
    /// Nothing reaches anybody.
    Both,
}

#[derive(Default)]
struct State {
    cut: Option<Cut>,
    connections: Vec<TcpStream>,
}

/// A forwarder, which forwards until the process ends.
pub struct Forwarder {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Forwarder {
    /// Starts to forward connections to a port of this machine.
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                // Nobody listens there any more.
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let both = |stream: &TcpStream| stream.try_clone().unwrap();
                shared.lock().unwrap().connections.extend([both(&client), both(&server)]);
                for (from, to, own) in [(both(&client), both(&server), Cut::Up), (both(&server), both(&client), Cut::Down)] {
                    let state = Arc::clone(&shared);
                    thread::spawn(move || pump(from, to, own, &state));
                }
            }
        });
        Self { port, state }
    }

    /// Returns the port at which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Begins to swallow, or ends it. Connections of which something was swallowed are of no use any more, and end.
    pub fn set(&self, cut: Option<Cut>) {
        let mut state = self.state.lock().unwrap();
        state.cut = cut;
        if cut.is_none() {
            for stream in state.connections.drain(..) {
                // One that has ended already can't end again.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, own: Cut, state: &Mutex<State>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let is_swallowed = state.lock().unwrap().cut.is_some_and(|cut| cut == own || cut == Cut::Both);
        if !is_swallowed && to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    if state.lock().unwrap().cut.is_none() {
        let _ = to.shutdown(Shutdown::Both);
    }
}
