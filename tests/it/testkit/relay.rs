//! A TCP relay: a plain round-robin proxy before replicas, or a wire to the database that a test can hold or cut.

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
    /// Nothing goes through, in either direction, and nobody is told.
    Held,
    /// Connections are closed, and new ones at once.
    Cut,
}

struct State {
    targets: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    wire: watch::Sender<Wire>,
    /// How many more messages towards the target go through.
    left: AtomicUsize,
}

/// Runs on a thread of its own until it is dropped.
pub struct Relay {
    pub at: SocketAddr,
    state: Arc<State>,
    _stop: oneshot::Sender<()>,
}

impl Relay {
    /// A relay to these; each new connection goes to the next one that accepts it.
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

    /// Where new connections go from now on.
    pub fn lead_to(&self, targets: &[SocketAddr]) {
        *self.state.targets.lock().unwrap() = targets.to_vec();
    }

    /// Lets so many more messages through and then holds everything.
    pub fn hold_after(&self, messages: usize) {
        self.state.left.store(messages, Ordering::SeqCst);
    }

    /// Whether the wire is held before `patience` is over.
    pub async fn is_held(&self, patience: Duration) -> bool {
        let mut wire = self.state.wire.subscribe();
        let held = wire.wait_for(|wire| *wire == Wire::Held);
        tokio::time::timeout(patience, held).await.is_ok()
    }

    /// Closes every connection, and every new one.
    pub fn cut(&self) {
        self.state.wire.send_replace(Wire::Cut);
    }

    /// Everything goes through again.
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

/// Passes messages on until one side has ended.
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
                    let hold = *wire == Wire::Open;
                    if hold {
                        *wire = Wire::Held;
                    }
                    hold
                });
            }
        }
        if wire.wait_for(|wire| *wire != Wire::Held).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
    let _ = to.shutdown().await;
}
