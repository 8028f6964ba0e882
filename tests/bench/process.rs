//! The measured processes, with their CPU time and memory from `/proc`.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Kernel clock ticks per second: `USER_HZ`, the same on every Linux that Rust supports.
const TICKS: u64 = 100;

struct Process(Child);

impl Process {
    /// User and system CPU time since the process started.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// A field of `/proc/PID/status`, in megabytes.
    fn memory_mb(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder of the release binaries; this program is in `target/release/deps`.
fn release() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

fn build(arguments: &[&str]) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo).args(["build", "--release", "-q"]).args(arguments).status().unwrap();
    assert!(built.success());
}

fn first_line(process: &mut Child) -> String {
    let mut line = String::new();
    let output: ChildStdout = process.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    line
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The demo identity provider, which signs in a new person at each authorization request.
pub struct Idp {
    _process: Process,
    port: u16,
    slots: Vec<serde_json::Value>,
}

impl Idp {
    pub fn start() -> Self {
        build(&["-p", "portico-demo-idp", "--example", "serve"]);
        let port = free_port();
        let mut child = Command::new(release().join("examples/serve"))
            .args([
                "--port",
                "0",
                "--auto-login-new",
                "--workers",
                "2",
                "--public-url",
                &format!("http://127.0.0.1:{port}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line: serde_json::Value = serde_json::from_str(&first_line(&mut child)).unwrap();
        Self { _process: Process(child), port, slots: line["slots"].as_array().unwrap().clone() }
    }

    fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for slot in &self.slots {
            let text = |name: &str| slot[name].as_str().map(str::to_owned);
            let prefix =
                format!("PORTICO_{}_{}", text("protocol").unwrap(), text("slot").unwrap()).to_uppercase();
            for name in [
                "client_id",
                "client_secret",
                "token_endpoint_auth_method",
                "discovery_url",
                "authorization_url",
                "token_url",
                "userinfo_url",
            ] {
                variables
                    .extend(text(name).map(|value| (format!("{prefix}_{}", name.to_uppercase()), value)));
            }
        }
        variables
    }
}

/// The broker as a separate process with its configuration in environment variables.
pub struct Broker {
    process: Process,
    port: u16,
    /// The time from the start of the process to the first `200` from `/readyz`.
    pub ready_after: Duration,
    _folder: tempfile::TempDir,
}

impl Broker {
    pub async fn start(idp: &Idp, storage: &str) -> Self {
        build(&["-p", "portico"]);
        let folder = tempfile::tempdir().unwrap();
        let admin = free_port();
        let started = Instant::now();
        let child = Command::new(release().join("portico"))
            .current_dir(folder.path())
            .env_clear()
            .envs(idp.variables())
            .env("PORTICO_PUBLIC_URL", format!("http://127.0.0.1:{}", idp.port))
            .env("PORTICO_SERVER_LISTEN", format!("127.0.0.1:{}", idp.port))
            .env("PORTICO_SERVER_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .env(
                "PORTICO_SECURITY_SECRET_KEY",
                "f3ad5c1e9b7240868d1c2b3a4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2",
            )
            .env("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1")
            .env("PORTICO_SECURITY_OAUTH2_PROVIDERS", "provider1")
            .env("PORTICO_STORAGE_URL", storage)
            .env("PORTICO_SERVER_RATE_LIMIT", "0")
            .env("PORTICO_LOG_LEVEL", "warn")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let ready = format!("http://127.0.0.1:{admin}/readyz");
        while !client.get(&ready).send().await.is_ok_and(|response| response.status() == 200) {
            assert!(started.elapsed() < Duration::from_secs(20), "the broker is not ready");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Self { process, port: idp.port, ready_after: started.elapsed(), _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    pub fn memory_mb(&self) -> f64 {
        self.process.memory_mb("VmRSS:")
    }

    pub fn peak_memory_mb(&self) -> f64 {
        self.process.memory_mb("VmHWM:")
    }
}

/// A handler without logic in a separate process, for comparison.
pub struct Bare {
    process: Process,
    url: String,
}

impl Bare {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--bare")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let url = first_line(&mut child).trim().to_owned();
        Self { process: Process(child), url }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }
}

/// Serves the bare handler; `--bare` runs this.
pub fn serve_bare() {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}/", listener.local_addr().unwrap());
    let handler = || async { HttpResponse::Ok().content_type("application/json").body("{}") };
    let server = HttpServer::new(move || App::new().route("/", web::get().to(handler)));
    actix_web::rt::System::new().block_on(server.listen(listener).unwrap().run()).unwrap();
}
