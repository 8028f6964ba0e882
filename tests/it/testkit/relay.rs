//! A TCP relay: a round-robin proxy for replicas, or a database connection that a test can pause or close.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Open,
    /// No data passes in either direction, and connections stay open.
    Paused,
    /// Existing connections are closed, and new ones are closed immediately.
    Cut,
}

struct State {
    targets: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    wire: watch::Sender<Wire>,
    /// The number of messages towards the target that still pass.
    left: AtomicUsize,
}

/// A relay that runs on its own thread until it is dropped.
pub struct Relay {
    pub at: SocketAddr,
    state: Arc<State>,
    _stop: oneshot::Sender<()>,
}

impl Relay {
    /// Starts a relay to these targets. Each new connection goes to the next target that accepts it.
    pub fn to(targets: &[SocketAddr]) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(State {
            targets: Mutex::new(targets.to_vec()),
            next: AtomicUsize::new(0),
            wire: watch::Sender::new(Wire::Open),
            left: AtomicUsize::new(usize::MAX),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { at, state, _stop: stop }
    }

    /// Sets the targets of new connections.
    pub fn lead_to(&self, targets: &[SocketAddr]) {
        *self.state.targets.lock().unwrap() = targets.to_vec();
    }

    /// Lets so many more messages pass and then pauses all connections.
    pub fn hold_after(&self, messages: usize) {
        self.state.left.store(messages, Ordering::SeqCst);
    }

    /// Waits until the relay is paused. Returns `false` if this takes longer than `patience`.
    pub async fn is_held(&self, patience: Duration) -> bool {
        let mut wire = self.state.wire.subscribe();
        let held = wire.wait_for(|wire| *wire == Wire::Paused);
        tokio::time::timeout(patience, held).await.is_ok()
    }

    /// Closes all connections, and every new connection.
    pub fn cut(&self) {
        self.state.wire.send_replace(Wire::Cut);
    }

    /// Lets all data pass again.
    pub fn mend(&self) {
        self.state.left.store(usize::MAX, Ordering::SeqCst);
        self.state.wire.send_replace(Wire::Open);
    }
}

async fn accept(listener: StdListener, state: Arc<State>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, Arc::clone(&state)));
    }
}

async fn connect(client: TcpStream, state: Arc<State>) {
    let targets = state.targets.lock().unwrap().clone();
    let first = state.next.fetch_add(1, Ordering::SeqCst);
    for offset in 0..targets.len() {
        if let Ok(target) = TcpStream::connect(targets[(first + offset) % targets.len()]).await {
            client.set_nodelay(true).unwrap();
            target.set_nodelay(true).unwrap();
            let ((from_client, to_client), (from_target, to_target)) =
                (client.into_split(), target.into_split());
            let there = pass(from_client, to_target, &state, true);
            let back = pass(from_target, to_client, &state, false);
            let cut = async {
                let _ = state.wire.subscribe().wait_for(|wire| *wire == Wire::Cut).await;
            };
            tokio::select! {
                _ = async { tokio::join!(there, back) } => {}
                () = cut => {}
            }
            return;
        }
    }
}

/// Forwards messages until one side closes the connection.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, counted: bool) {
    let mut buffer = vec![0; 64 * 1024];
    let mut wire = state.wire.subscribe();
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if counted {
            let left = state.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                usize::MAX => Some(left),
                _ => left.checked_sub(1),
            });
            if left.is_err() {
                state.wire.send_if_modified(|wire| {
                    let is_open = *wire == Wire::Open;
                    if is_open {
                        *wire = Wire::Paused;
                    }
                    is_open
                });
            }
        }
        if wire.wait_for(|wire| *wire != Wire::Paused).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
    let _ = to.shutdown().await;
}
