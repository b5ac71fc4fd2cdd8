//! `Evaluate` beside a call that does nothing, over real sockets: requests a second, latencies, and the server's CPU.
//!
//! `cargo bench --bench rpc`, and after it a number of rules to try a synthetic pack of that size, `reload RULES` for
//! latencies while rules are reloaded, `stream` for one stream beside one call at a time, `threads` for calls, a stream and
//! `rubor batch` by the number of threads, or `plots` for the figures drawn into `docs/plots`. The call that does
//! nothing decodes the request, clones a stored answer of the same size and encodes it, in the same process, with the
//! same allocator and runtime, and with nothing of ours around it. The two alternate within one run. The server is a
//! process of its own, so that its CPU is its own: the scheduler's count of nanoseconds, over all its threads.

#![allow(clippy::disallowed_methods, clippy::cast_precision_loss, clippy::cast_possible_truncation)]
#![allow(clippy::cast_sign_loss, reason = "a bench reads the clock and the disk, and divides counts")]

mod plot;
#[allow(dead_code, reason = "the other bench uses the rest")]
mod synthetic;

use plot::Plot;
use prost::Message as _;
use rubor::config::ServeArgs;
use rubor::engine::submission;
use rubor::grpc::proto::knowledge_service_client::KnowledgeServiceClient;
use rubor::grpc::proto::observation::Value;
use rubor::grpc::proto::triage_service_server::{TriageService, TriageServiceServer};
use rubor::grpc::{proto, service};
use rubor::store::keeper::Keeper;
use rubor::store::{LoadedPack, RuleSource};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use synthetic::{Kind, Synthetic, Told};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many requests take turns.
const REQUESTS: usize = 32;
/// How often the two alternate.
const ROUNDS: usize = 31;
/// How many lines a batch has.
const BATCH: usize = 6_000;
const WINDOW: Duration = Duration::from_millis(200);
/// Where another binary serves, named by `RUBOR_BENCH_SERVER`.
const OTHER: &str = "127.0.0.1:50917";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", rules, requests] => serve(Path::new(rules), Path::new(requests)),
        ["write", size, folder] => {
            let pack = Synthetic::new(size.parse().expect("a number"), 0.8, 0);
            write(&pack, Path::new(folder));
        }
        ["reload", size] => reload(size),
        ["stream"] => stream(&shipped()),
        ["spin", which] => spin(which),
        ["threads"] => threads(&shipped()),
        ["plots"] => {
            let cpu = run("the shipped pack", Path::new("rules"), &shipped());
            draw_calls(&cpu);
            threads(&shipped());
        }
        [] => drop(run("the shipped pack", Path::new("rules"), &shipped())),
        sizes => {
            for size in sizes {
                let pack = Synthetic::new(size.parse().expect("a number of rules"), 0.8, REQUESTS);
                let folder = std::env::temp_dir().join(format!("rubor-rpc-{}-{size}", std::process::id()));
                write(&pack, &folder);
                let requests: Vec<_> = pack.requests.iter().map(|told| told_of(&pack, told)).collect();
                drop(run(&format!("{size} rules"), &folder, &requests));
                std::fs::remove_dir_all(&folder).expect("the pack goes again");
            }
        }
    }
}

fn write(pack: &Synthetic, folder: &Path) {
    for (path, text) in pack.files() {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the pack");
        std::fs::write(path, text).expect("a file of the pack");
    }
}

fn observation(finding: String, value: Value) -> proto::Observation {
    proto::Observation { finding, value: Some(value), group: String::new() }
}

fn told_of(pack: &Synthetic, request: &[Told]) -> proto::EvaluateRequest {
    let value = |told: &Told| match pack.kinds[told.finding] {
        Kind::Age => Value::Quantity(proto::Quantity { value: told.value as f64, unit: String::new() }),
        Kind::Temperature => Value::Quantity(proto::Quantity { value: told.value as f64 / 10.0, unit: String::new() }),
        Kind::Coded => {
            Value::Selection(proto::Selection { options: vec![format!("o{}", told.value)], complete: false })
        }
        Kind::YesNo => Value::Present(told.value == 1),
    };
    let observations = request.iter().map(|told| observation(pack.id(told.finding), value(told))).collect();
    proto::EvaluateRequest { observations, ..proto::EvaluateRequest::default() }
}

/// Fifteen observations each, out of the longest worked cases whose answer has questions.
fn shipped() -> Vec<proto::EvaluateRequest> {
    let keeper = Keeper::open(RuleSource::Folder(PathBuf::from("rules"))).expect("the shipped rules hold");
    let snapshot = keeper.current();
    let pack = snapshot.packs.values().next().expect("a pack");
    let mut requests = Vec::new();
    for case in &pack.cases {
        let told: Vec<_> = case.submission.observations.iter().take(15).cloned().map(converted).collect();
        if told.len() < 15 || !case.submission.none_of_these.is_empty() {
            continue;
        }
        let patient = case.submission.patient.clone();
        let patient = proto::Patient {
            age_years: match patient.age {
                Some(submission::Age::Years(years)) => Some(years),
                _ => None,
            },
            age_months: None,
            age_days: None,
            sex: match patient.sex {
                Some(submission::Sex::Female) => proto::Sex::Female.into(),
                Some(submission::Sex::Male) => proto::Sex::Male.into(),
                Some(submission::Sex::Other) | None => proto::Sex::Unspecified.into(),
            },
        };
        let request =
            proto::EvaluateRequest { observations: told, patient: Some(patient), ..proto::EvaluateRequest::default() };
        let has_questions =
            service::evaluate(pack, request.clone()).is_ok_and(|answer| !answer.next_questions.is_empty());
        if has_questions && requests.len() < REQUESTS {
            requests.push(request);
        }
    }
    assert!(requests.len() >= 8, "the cases hold {} requests of fifteen observations", requests.len());
    requests
}

fn converted(told: submission::Observation) -> proto::Observation {
    let value = match told.value.expect("a case tells something") {
        submission::Value::Present(present) => Value::Present(present),
        submission::Value::Quantity { value, unit } => Value::Quantity(proto::Quantity { value, unit }),
        submission::Value::Selection { options, complete } => Value::Selection(proto::Selection { options, complete }),
        submission::Value::NotKnown(not_known) => Value::NotKnown(not_known),
    };
    observation(told.finding, value)
}

/// Answers with what was stored.
struct Nothing(Vec<proto::EvaluateResponse>, AtomicUsize);

#[tonic::async_trait]
impl TriageService for Nothing {
    async fn evaluate(
        &self,
        request: Request<proto::EvaluateRequest>,
    ) -> Result<Response<proto::EvaluateResponse>, Status> {
        std::hint::black_box(request.into_inner());
        let next = self.1.fetch_add(1, Ordering::Relaxed) % self.0.len();
        Ok(Response::new(self.0[next].clone()))
    }

    type EvaluateStreamStream = tokio_stream::wrappers::ReceiverStream<Result<proto::EvaluateStreamResponse, Status>>;

    async fn evaluate_stream(
        &self,
        _: Request<Streaming<proto::EvaluateStreamRequest>>,
    ) -> Result<Response<Self::EvaluateStreamStream>, Status> {
        Err(Status::unimplemented("only `Evaluate`"))
    }
}

/// The server: ours on one port, the one that does nothing on another.
fn serve(rules: &Path, requests: &Path) {
    let arguments = ServeArgs {
        rules: Some(rules.to_owned()),
        listen: "127.0.0.1:0".to_owned(),
        admin: String::new(),
        poll_interval: Duration::from_secs(3600),
        drain_pause: Duration::ZERO,
        drain_timeout: Duration::from_secs(1),
        log: tracing::level_filters::LevelFilter::OFF,
        ..ServeArgs::default()
    };
    let keeper =
        Arc::new(Keeper::open(arguments.source()).unwrap_or_else(|refused| panic!("{:?}", refused.diagnostics)));
    let pack: Arc<LoadedPack> = Arc::clone(keeper.current().packs.values().next().expect("a pack"));
    let stored: Vec<_> = read_requests(requests)
        .into_iter()
        .map(|request| service::evaluate(&pack, request).unwrap_or_else(|problem| panic!("{}", problem.message())))
        .collect();
    let bytes: usize = stored.iter().map(prost::Message::encoded_len).sum();
    let runtime = rubor::server::runtime().expect("a runtime");
    runtime.block_on(async {
        let running = rubor::server::start(&arguments, keeper).await.expect("ours starts");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{} {} {}", running.address(), listener.local_addr().expect("an address"), bytes / stored.len());
        std::io::stdout().flush().expect("a pipe");
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        tonic::transport::Server::builder()
            .add_service(TriageServiceServer::new(Nothing(stored, AtomicUsize::new(0))))
            .serve_with_incoming(incoming)
            .await
            .expect("the other one serves");
    });
}

fn read_requests(path: &Path) -> Vec<proto::EvaluateRequest> {
    let bytes = std::fs::read(path).expect("requests");
    let mut left = bytes.as_slice();
    let mut requests = Vec::new();
    while !left.is_empty() {
        requests.push(proto::EvaluateRequest::decode_length_delimited(&mut left).expect("a request"));
    }
    requests
}

/// The client sends and receives bytes, so that it leaves the cores to the server.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = usize;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(into, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let length = prost::bytes::Buf::remaining(from);
        prost::bytes::Buf::advance(from, length);
        Ok(Some(length))
    }
}

struct Server {
    child: Child,
    /// Another binary that serves ours, to compare with.
    other: Option<Child>,
    ours: Vec<Channel>,
    nothing: Vec<Channel>,
    size: usize,
}

impl Server {
    fn start(rules: &Path, requests: &Path, runtime: &tokio::runtime::Runtime) -> Self {
        Self::start_with(rules, requests, runtime, &[])
    }

    fn start_with(rules: &Path, requests: &Path, runtime: &tokio::runtime::Runtime, settings: &[(&str, u32)]) -> Self {
        let me = std::env::current_exe().expect("a running program has a path");
        let mut child = Command::new(me)
            .args([Path::new("serve"), rules, requests])
            .envs(settings.iter().map(|(name, value)| (name, value.to_string())))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its addresses");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [ours, nothing, size] = words.as_slice() else { panic!("the server said {line:?}") };
        let other = std::env::var_os("RUBOR_BENCH_SERVER").map(|program| {
            let arguments = ["serve", "--listen", OTHER, "--admin", "", "--log", "off", "--rules"];
            let child = Command::new(program).args(arguments).arg(rules).spawn().expect("the other server starts");
            while std::net::TcpStream::connect(OTHER).is_err() {
                std::thread::sleep(Duration::from_millis(50));
            }
            child
        });
        let ours = if other.is_some() { &OTHER } else { ours };
        let connect = |address: &str| -> Vec<Channel> {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address").tcp_nodelay(true);
            (0..4).map(|_| runtime.block_on(endpoint.connect()).expect("a connection")).collect()
        };
        Self { ours: connect(ours), nothing: connect(nothing), size: size.parse().expect("a size"), child, other }
    }

    /// Nanoseconds on a core so far, over all threads.
    fn cpu(&self) -> u64 {
        self.other.iter().chain([&self.child]).map(cpu_of).sum()
    }
}

impl Server {
    fn end(self) {
        for mut child in self.other.into_iter().chain([self.child]) {
            child.kill().expect("the server runs");
            child.wait().expect("it ends");
        }
    }
}

fn cpu_of(server: &Child) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("the server runs");
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
    threads
        .map(|thread| {
            of(thread.expect("a thread")).split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0)
        })
        .sum()
}

#[derive(Default)]
struct Figures {
    a_second: Vec<f64>,
    cpu: Vec<f64>,
    latencies: Vec<f64>,
}

/// Prints the figures, and returns for each number of calls in flight the microseconds of server CPU of both.
fn run(title: &str, rules: &Path, requests: &[proto::EvaluateRequest]) -> Vec<(usize, f64, f64)> {
    let mut cpu = Vec::new();
    let (runtime, file) = (client_runtime(), stored(requests));
    let server = Server::start(rules, &file, &runtime);
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(requests.iter().map(prost::Message::encode_to_vec).collect());
    println!("## {title}: {} requests of 15 observations, answers of {} bytes\n", requests.len(), server.size);
    println!("| in flight | | requests/s | p50 | p99 | server CPU a call |");
    println!("|---|---|---|---|---|---|");
    for in_flight in [1, 16, 64] {
        let mut figures = [Figures::default(), Figures::default()];
        for round in 0..=ROUNDS {
            for (which, figures) in figures.iter_mut().enumerate() {
                let channels = if which == 0 { &server.ours } else { &server.nothing };
                let before = server.cpu();
                let start = Instant::now();
                let latencies = runtime.block_on(window(channels, &requests, in_flight));
                let took = start.elapsed().as_secs_f64();
                let cpu = (server.cpu() - before) as f64 / 1e9;
                if round > 0 {
                    figures.a_second.push(latencies.len() as f64 / took);
                    figures.cpu.push(cpu / latencies.len() as f64);
                    figures.latencies.extend(latencies);
                }
            }
        }
        let [ours, nothing] = figures;
        // Of windows side by side, since the machine is slower at one time than at another.
        let mut above: Vec<f64> = ours.cpu.iter().zip(&nothing.cpu).map(|(ours, nothing)| ours - nothing).collect();
        above.sort_by(f64::total_cmp);
        let quarter = |quarters: usize| above[(above.len() - 1) * quarters / 4] * 1e6;
        let [ours, nothing] =
            [("Evaluate", ours), ("do nothing", nothing)].map(|(name, figures)| report(in_flight, name, figures));
        println!(
            "| {in_flight} | difference | {:.2}x | {:.2}x | {:.2}x | {:+.1} us ({:+.1} to {:+.1}) |",
            ours[0] / nothing[0],
            ours[1] / nothing[1],
            ours[2] / nothing[2],
            quarter(2),
            quarter(1),
            quarter(3)
        );
        cpu.push((in_flight, ours[3] * 1e6, nothing[3] * 1e6));
    }
    println!();
    server.end();
    std::fs::remove_file(file).expect("the requests go again");
    cpu
}

fn draw_calls(cpu: &[(usize, f64, f64)]) {
    let folder = Path::new("docs/plots");
    std::fs::create_dir_all(folder).expect("a folder for the plots");
    let plot = Plot {
        title: "Server CPU of a call with 15 observations, shipped pack",
        x: "calls in flight",
        y: "microseconds",
        lines: vec![
            ("Evaluate", cpu.iter().map(|&(in_flight, ours, _)| (in_flight as f64, ours)).collect()),
            (
                "a call that does nothing",
                cpu.iter().map(|&(in_flight, _, nothing)| (in_flight as f64, nothing)).collect(),
            ),
        ],
    };
    plot.write(&folder.join("calls.svg"));
}

/// Calls, one stream and `rubor batch` by the number of threads that work on them.
fn threads(requests: &[proto::EvaluateRequest]) {
    let (runtime, file) = (client_runtime(), stored(requests));
    let bytes: Arc<Vec<Vec<u8>>> = Arc::new(requests.iter().map(prost::Message::encode_to_vec).collect());
    let lines = std::env::temp_dir().join(format!("rubor-batch-{}.ndjson", std::process::id()));
    let text: String = requests.iter().cycle().take(BATCH).map(|request| json(request) + "\n").collect();
    std::fs::write(&lines, text).expect("lines for the batch");
    println!("| threads | calls/s, 16 in flight | server CPU a call | items/s, one stream | lines/s, `rubor batch` |");
    println!("|---|---|---|---|---|");
    let mut rates: [Vec<(f64, f64)>; 3] = Default::default();
    for count in [1, 2, 4] {
        let server = Server::start_with(Path::new("rules"), &file, &runtime, &[("TOKIO_WORKER_THREADS", count)]);
        let mut found: [Vec<f64>; 4] = Default::default();
        for round in 0..=ROUNDS {
            let (before, start) = (server.cpu(), Instant::now());
            let calls = runtime.block_on(window(&server.ours, &bytes, 16)).len() as f64;
            let (took, cpu) = (start.elapsed().as_secs_f64(), (server.cpu() - before) as f64 / 1e3 / calls);
            let items = runtime.block_on(items(server.ours[0].clone(), requests.to_vec()));
            if round > 0 {
                found[0].push(calls / took);
                found[1].push(cpu);
                found[2].push(items);
            }
        }
        for _ in 0..3 {
            found[3].push(batch(&lines, count));
        }
        server.end();
        let [calls, cpu, items, lines] = found.map(median);
        println!("| {count} | {calls:.0} | {cpu:.1} us | {items:.0} | {lines:.0} |");
        for (list, rate) in rates.iter_mut().zip([calls, items, lines]) {
            list.push((f64::from(count), rate));
        }
    }
    for end in ["ndjson", "out"] {
        std::fs::remove_file(lines.with_extension(end)).expect("the lines go again");
    }
    std::fs::remove_file(file).expect("the requests go again");
    let [calls, items, lines] = rates;
    let folder = Path::new("docs/plots");
    std::fs::create_dir_all(folder).expect("a folder for the plots");
    let plot = Plot {
        title: "Answers a second by threads, client on the same two cores",
        x: "threads",
        y: "answers a second",
        lines: vec![("rubor batch", lines), ("one stream", items), ("16 calls in flight", calls)],
    };
    plot.write(&folder.join("threads.svg"));
}

/// Lines a second.
fn batch(lines: &Path, threads: u32) -> f64 {
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_rubor"))
        .args(["batch", "--overwrite", "--rules", "rules", "--threads", &threads.to_string(), "--in"])
        .arg(lines)
        .arg("--out")
        .arg(lines.with_extension("out"))
        .stderr(Stdio::null())
        .status()
        .expect("a batch starts");
    assert!(status.success(), "the batch answers every line");
    BATCH as f64 / start.elapsed().as_secs_f64()
}

/// A request of yes and no, numbers and options as protobuf JSON.
fn json(request: &proto::EvaluateRequest) -> String {
    let observation = |told: &proto::Observation| {
        let value = match told.value.as_ref().expect("something is told") {
            Value::Present(present) => format!("\"present\":{present}"),
            Value::NotKnown(not_known) => format!("\"notKnown\":{not_known}"),
            Value::Quantity(told) => format!("\"quantity\":{{\"value\":{},\"unit\":{:?}}}", told.value, told.unit),
            Value::Selection(told) => {
                format!("\"selection\":{{\"options\":{:?},\"complete\":{}}}", told.options, told.complete)
            }
        };
        format!("{{\"finding\":{:?},{value}}}", told.finding)
    };
    let observations: Vec<String> = request.observations.iter().map(observation).collect();
    format!("{{\"observations\":[{}]}}", observations.join(","))
}

fn report(in_flight: usize, name: &str, mut figures: Figures) -> [f64; 4] {
    figures.latencies.sort_by(f64::total_cmp);
    let at = |share: f64| figures.latencies[((figures.latencies.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    let (rate, cpu) = (median(figures.a_second), median(figures.cpu));
    println!("| {in_flight} | {name} | {rate:.0} | {:.0} us | {:.0} us | {:.1} us |", p50 * 1e6, p99 * 1e6, cpu * 1e6);
    [rate, p50, p99, cpu]
}

/// Calls of one kind and nothing else, for a profiler that looks at the server.
fn spin(which: &str) {
    let (runtime, requests) = (client_runtime(), shipped());
    let file = stored(&requests);
    let server = Server::start(Path::new("rules"), &file, &runtime);
    let bytes: Arc<Vec<Vec<u8>>> = Arc::new(requests.iter().map(prost::Message::encode_to_vec).collect());
    println!("the server is process {}", server.child.id());
    let channels = if which == "nothing" { &server.nothing } else { &server.ours };
    let (before, mut calls) = (server.cpu(), 0);
    for _ in 0..ROUNDS {
        calls += runtime.block_on(window(channels, &bytes, 16)).len();
    }
    println!("{:.1} us of server CPU a call", (server.cpu() - before) as f64 / 1e3 / calls as f64);
    server.end();
    std::fs::remove_file(file).expect("the requests go again");
}

/// Latencies while the rules are reloaded again and again, beside those while they are not; every call must be answered.
fn reload(size: &str) {
    let rules = size.parse().expect("a number of rules");
    let pack = Synthetic::new(rules, 0.8, REQUESTS);
    let folder = std::env::temp_dir().join(format!("rubor-reload-{}-{size}", std::process::id()));
    write(&pack, &folder);
    let requests: Vec<_> = pack.requests.iter().map(|told| told_of(&pack, told)).collect();
    let (runtime, file) = (client_runtime(), stored(&requests));
    let server = Server::start(&folder, &file, &runtime);
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(requests.iter().map(prost::Message::encode_to_vec).collect());
    println!("| {size} rules | calls | p50 | p90 | p99 | worst |\n|---|---|---|---|---|---|");
    for (round, name) in ["quiet", "reloading", "quiet", "reloading"].into_iter().enumerate() {
        let mut latencies = Vec::new();
        let mut loading = None;
        if name == "reloading" {
            let header = folder.join("pack.yaml");
            let text = std::fs::read_to_string(&header).expect("a header");
            std::fs::write(&header, format!("{text}# change {round}\n")).expect("a changed header");
            let mut client = KnowledgeServiceClient::new(server.ours[3].clone());
            loading = Some(runtime.spawn(async move { client.reload_rules(proto::ReloadRulesRequest {}).await }));
        }
        let start = Instant::now();
        while loading.as_ref().map_or(start.elapsed() < Duration::from_secs(6), |loading| !loading.is_finished()) {
            latencies.extend(runtime.block_on(window(&server.ours[..2], &requests, 4)));
        }
        if let Some(loading) = loading {
            runtime.block_on(loading).expect("a task").expect("the rules are good");
        }
        latencies.sort_by(f64::total_cmp);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] * 1e6;
        println!(
            "| {name}, {:.1} s | {} | {:.0} us | {:.0} us | {:.0} us | {:.0} us |",
            start.elapsed().as_secs_f64(),
            latencies.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
    }
    server.end();
    std::fs::remove_dir_all(&folder).expect("the pack goes again");
    std::fs::remove_file(file).expect("the requests go again");
}

/// One connection: one call in flight, beside a stream with many items in flight.
fn stream(requests: &[proto::EvaluateRequest]) {
    let (runtime, file) = (client_runtime(), stored(requests));
    let server = Server::start(Path::new("rules"), &file, &runtime);
    let bytes: Arc<Vec<Vec<u8>>> = Arc::new(requests.iter().map(prost::Message::encode_to_vec).collect());
    println!("| one connection | answers/s |\n|---|---|");
    let mut rates: [Vec<f64>; 2] = Default::default();
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let calls = runtime.block_on(window(&server.ours[..1], &bytes, 1)).len() as f64 / start.elapsed().as_secs_f64();
        let items = runtime.block_on(items(server.ours[0].clone(), requests.to_vec()));
        if round > 0 {
            rates[0].push(calls);
            rates[1].push(items);
        }
    }
    let [calls, items] = rates.map(median);
    println!(
        "| one call in flight | {calls:.0} |\n| `EvaluateStream` | {items:.0} |\n| ratio | {:.2}x |",
        items / calls
    );
    server.end();
    std::fs::remove_file(file).expect("the requests go again");
}

/// Answers a second over one stream.
async fn items(channel: Channel, requests: Vec<proto::EvaluateRequest>) -> f64 {
    let (sender, receiver) = tokio::sync::mpsc::channel(32);
    tokio::spawn(async move {
        let end = Instant::now() + WINDOW;
        for request in requests.iter().cycle() {
            let item = proto::EvaluateStreamRequest { request: Some(request.clone()) };
            if Instant::now() > end || sender.send(prost::Message::encode_to_vec(&item)).await.is_err() {
                break;
            }
        }
    });
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("the server is there");
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/rubor.v1.TriageService/EvaluateStream");
    let items = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let start = Instant::now();
    let mut answers: Streaming<usize> =
        client.streaming(Request::new(items), path, Raw).await.expect("a stream").into_inner();
    let mut count = 0.0;
    while answers.message().await.expect("an answer").is_some() {
        count += 1.0;
    }
    count / start.elapsed().as_secs_f64()
}

fn client_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A file of requests for the server.
fn stored(requests: &[proto::EvaluateRequest]) -> PathBuf {
    let file = std::env::temp_dir().join(format!("rubor-rpc-requests-{}", std::process::id()));
    let bytes: Vec<u8> = requests.iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect();
    std::fs::write(&file, bytes).expect("requests");
    file
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// Calls for one window, so many at a time; the latency of each call.
async fn window(channels: &[Channel], requests: &Arc<Vec<Vec<u8>>>, in_flight: usize) -> Vec<f64> {
    let end = Instant::now() + WINDOW;
    let tasks: Vec<_> = (0..in_flight)
        .map(|place| {
            let mut client = tonic::client::Grpc::new(channels[place % channels.len()].clone());
            let requests = Arc::clone(requests);
            tokio::spawn(async move {
                let (mut latencies, mut next) = (Vec::new(), place * 7);
                while Instant::now() < end {
                    let start = Instant::now();
                    client.ready().await.expect("the server is there");
                    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/rubor.v1.TriageService/Evaluate");
                    let request = Request::new(requests[next % requests.len()].clone());
                    let response: Response<usize> = client.unary(request, path, Raw).await.expect("an answer");
                    assert!(response.into_inner() > 100, "an answer has something in it");
                    latencies.push(start.elapsed().as_secs_f64());
                    next += 1;
                }
                latencies
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("a worker"));
    }
    all
}
