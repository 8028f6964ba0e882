//! The `portico` binary as an operator starts it: variables, arguments, exit codes, output.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use portico_core::clock::{Clock, Entropy};
use tempfile::TempDir;
use url::Url;

use super::app::SECRET_KEY;
use super::{Browser, Database};

/// The timeout for every operation that an operator waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The path of the binary: `PORTICO_TEST_BINARY`, or the binary of this build.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "tests read their own environment")]
        if let Some(named) = std::env::var_os("PORTICO_TEST_BINARY") {
            return named.into();
        }
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "portico"]).status().unwrap();
        assert!(built.success(), "the binary must build");
        // The test binary is in <target>/<profile>/deps.
        let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        profile.join("portico")
    })
}

/// A free port, reserved against other tests until this value is dropped.
///
/// Its number is below the range of ephemeral ports, so connections of other tests do not take it.
struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    fn free() -> Self {
        let claims = std::env::temp_dir().join("portico-test-ports");
        std::fs::create_dir_all(&claims).unwrap();
        let claim = |number: u16| {
            let file = File::create(claims.join(number.to_string())).unwrap();
            let free = file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok();
            free.then_some(Self { number, _claim: file })
        };
        let mut candidates = (0..1000).map(|_| 20_000 + u16::from_be_bytes(Entropy.bytes::<2>()) % 12_000);
        candidates.find_map(claim).unwrap()
    }
}

/// The binary with its own folder, environment and listeners. Folder and environment are empty by default.
pub struct Program {
    variables: BTreeMap<String, String>,
    folder: TempDir,
    _ports: Vec<Port>,
}

/// The result of a finished run.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Output {
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        self.exits(0);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The only line on standard error that contains all of these words.
    #[track_caller]
    pub fn complains(&self, words: &[&str]) -> &str {
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        let lines: Vec<_> = self.stderr.lines().filter(has_all).collect();
        assert_eq!(lines.len(), 1, "expected exactly one line with {words:?} in:\n{}", self.stderr);
        lines[0]
    }
}

impl Program {
    pub fn new() -> Self {
        Self { variables: BTreeMap::new(), folder: tempfile::tempdir().unwrap(), _ports: Vec::new() }
    }

    /// A program with the settings that every service needs: public URL, secret key, database in its folder.
    pub fn configured() -> Self {
        let ports = [Port::free(), Port::free()];
        let [port, admin] = ports.each_ref().map(|port| format!("127.0.0.1:{}", port.number));
        Self { _ports: ports.into(), ..Self::new() }
            .set("PORTICO_PUBLIC_URL", &format!("http://{port}"))
            .set("PORTICO_SERVER_LISTEN", &port)
            .set("PORTICO_SERVER_ADMIN_LISTEN", &admin)
            .set("PORTICO_SECURITY_SECRET_KEY", SECRET_KEY)
            .set("PORTICO_STORAGE_URL", "sqlite://portico.db")
            .set("PORTICO_SERVER_RATE_LIMIT", "0")
    }

    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn set_all(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables.extend(variables);
        self
    }

    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// Writes a file into the program's folder.
    pub fn file(self, name: &str, content: &str) -> Self {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    /// Replaces a file of the program's folder atomically.
    pub fn rewrite(&self, name: &str, content: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.folder.path().join(name)).unwrap();
    }

    /// Whether the SQLite file exists in the program's folder.
    pub fn sqlite_exists(&self) -> bool {
        self.folder.path().join("portico.db").exists()
    }

    /// The SQLite database in the program's folder.
    pub fn sqlite(&self) -> Database {
        Database::of_file(&self.folder.path().join("portico.db"))
    }

    /// Runs the binary with these arguments until it exits.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let id = child.id();
        let watchdog = Watchdog::new(id);
        let stdout = read_all(child.stdout.take().unwrap());
        let stderr = read_all(child.stderr.take().unwrap());
        let status = child.wait().unwrap();
        watchdog.call_off();
        let code = status.code().unwrap_or_else(|| panic!("{arguments:?} did not exit: {status:?}"));
        Output {
            code,
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            took: started.elapsed(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts `portico serve` and waits until it is ready.
    pub async fn serve(self) -> Service {
        self.serve_at("PORTICO").await
    }

    /// Like [`Self::serve`], with another prefix for the variables of the listeners.
    pub async fn serve_at(self, prefix: &'static str) -> Service {
        let command = self.command(&["serve"]);
        self.serve_as(command, prefix).await
    }

    /// Like [`Self::serve`], with a limit for the size of each file in KiB, as if the disk were full.
    pub async fn serve_with_files_up_to(self, kib: u32) -> Service {
        let mut command = Command::new("/bin/bash");
        command
            .args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "bash", &kib.to_string()])
            .arg(binary())
            .arg("serve")
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        self.serve_as(command, "PORTICO").await
    }

    async fn serve_as(self, mut command: Command, prefix: &'static str) -> Service {
        let log = self.folder.path().join("log");
        let started = Instant::now();
        let child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut service = Service { child, program: self, prefix, ready_after: Duration::ZERO };
        while !service.is_ready().await {
            assert!(started.elapsed() < PATIENCE, "the service did not become ready: {}", service.log());
            assert!(service.child.try_wait().unwrap().is_none(), "the service exited: {}", service.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        service.ready_after = started.elapsed();
        service
    }
}

/// Kills a child process that does not exit. The test then fails because the exit code is missing.
struct Watchdog(std::sync::mpsc::Sender<()>);

impl Watchdog {
    fn new(child: u32) -> Self {
        let (called_off, waits) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if waits.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                signal(child, "KILL");
            }
        });
        Self(called_off)
    }

    fn call_off(self) {
        let _ = self.0.send(());
    }
}

fn signal(process: u32, name: &str) {
    Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap();
}

fn read_all(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

/// The service in its own process.
pub struct Service {
    child: Child,
    /// The program that started the service. Further commands can run while the service runs.
    pub program: Program,
    prefix: &'static str,
    /// The time from the start of the process until `/readyz` returned 200.
    pub ready_after: Duration,
}

impl Service {
    fn address(&self, name: &str) -> SocketAddr {
        self.program.variable(&format!("{}_{name}", self.prefix)).parse().unwrap()
    }

    async fn is_ready(&self) -> bool {
        let url = format!("http://{}/readyz", self.address("SERVER_ADMIN_LISTEN"));
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        client.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    pub fn browser(&self) -> Browser {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        let public = Url::parse(self.program.variable("PORTICO_PUBLIC_URL")).unwrap();
        Browser::new(http, public, self.address("SERVER_LISTEN"), Clock::System)
    }

    /// The address on which the service listens; the public URL may differ.
    pub fn listens_at(&self) -> SocketAddr {
        self.address("SERVER_LISTEN")
    }

    /// The log up to now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.program.folder.path().join("log")).unwrap()
    }

    /// All files in the program's folder except the log, that is, the database files.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries =
            std::fs::read_dir(self.program.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != "log"))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect()
    }

    /// Sends SIGHUP, so that the service reloads its settings.
    pub fn hang_up(&self) {
        signal(self.child.id(), "HUP");
    }

    /// The metrics of the operator's listener.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.program.variable("PORTICO_SERVER_ADMIN_LISTEN"));
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until the log contains this text so many times.
    pub async fn has_logged(&self, text: &str, times: usize) {
        let started = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(started.elapsed() < PATIENCE, "{text:?} was not logged {times} times: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the service and returns its program with the same folder.
    pub fn stop(mut self) -> Program {
        assert_eq!(self.end().0, 0);
        std::mem::replace(&mut self.program, Program::new())
    }

    /// Kills the service with SIGKILL and returns its program with the same folder.
    pub fn kill(mut self) -> Program {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.program, Program::new())
    }

    /// Sends SIGTERM and waits. Returns the exit code and the whole log.
    pub fn terminate(mut self) -> (i32, String) {
        self.end()
    }

    fn end(&mut self) -> (i32, String) {
        signal(self.child.id(), "TERM");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = self.log();
                return (
                    status.code().unwrap_or_else(|| panic!("the service was killed by a signal: {log}")),
                    log,
                );
            }
            assert!(started.elapsed() < PATIENCE, "the service did not stop: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
