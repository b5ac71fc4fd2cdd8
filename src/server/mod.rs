//! Listens, serves and stops cleanly.
//!
//! Owns sockets, the order of starting and the order of stopping. What is answered is `grpc`'s, what is served is
//! `store`'s. Stopping: say unhealthy, pause so that balancers notice, stop accepting, finish what is in flight, and
//! give up on it after a time.

mod admin;
mod connections;
mod health;
mod signals;
mod systemd;
mod tls;
mod web;

pub use health::healthcheck;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower::layer::util::{Identity, Stack};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use crate::access::Access;
use crate::access::watched::Look;
use crate::config::{AccessArgs, LimitArgs, ServeArgs};
use crate::grpc::gate::Gate;
use crate::grpc::guard::{self, GuardLayer, Patience};
use crate::grpc::proto;
use crate::grpc::service::Services;
use crate::observe::journal::Journal;
use crate::observe::logs;
use crate::observe::metrics::Metrics;
use crate::observe::spans::Spans;
use crate::store::Refusal;
use crate::store::keeper::Keeper;
use crate::store::watch::watch as watch_rules;
use systemd::Sockets;

/// The names that health is asked by; the empty one is the server as a whole.
const HEALTH_NAMES: [&str; 3] = ["", "rubor.v1.TriageService", "rubor.v1.KnowledgeService"];
/// How many calls a client may open and take back before the server has looked at them; then its connection ends. Clients
/// with short deadlines take back dozens while a busy server has no turn for them, and an attack takes back thousands.
const RESETS: usize = 256;

/// How long those have to hear why they were cut off who did not finish in time.
const LAST_WORD: Duration = Duration::from_secs(1);

type Panic = Box<dyn Any + Send>;

/// Serves until told to stop, and stops cleanly.
///
/// # Errors
/// What kept it from starting, in words that say what to do.
pub fn serve(args: &ServeArgs) -> Result<(), String> {
    logs::start(args.log_format, args.log);
    logs::quiet_panics();
    let runtime = runtime().map_err(|error| format!("cannot start: {error}"))?;
    {
        // A SIGHUP while the first rules load must not end the process.
        let _inside = runtime.enter();
        signals::survive_hangup()?;
    }
    let keeper = Keeper::open(args.source()).map_err(|refusal| refused(args, &refusal))?;
    let ended = runtime.block_on(serve_until_told(args, Arc::new(keeper)));
    // Whatever is left over has had its time.
    runtime.shutdown_background();
    ended
}

/// The threads that serve: one for each core.
///
/// # Errors
/// What the system refused.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

async fn serve_until_told(args: &ServeArgs, keeper: Arc<Keeper>) -> Result<(), String> {
    let mut signals = signals::Signals::new()?;
    let mut running = start_on(args, Arc::clone(&keeper), Sockets::passed()?).await?;
    running.helpers.push(tokio::spawn(systemd::keep_told(keeper)));
    let admin = running.admin_address().map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(listen = %running.address(), %admin, "serving");
    systemd::ready();
    tokio::select! {
        () = signals.told_to_stop() => {}
        error = running.failed() => return Err(error),
    }
    tracing::info!("stopping; a second signal ends at once");
    systemd::stopping();
    tokio::select! {
        finished = running.stop() => {
            if finished {
                tracing::info!("stopped");
            } else {
                tracing::warn!("stopped; some calls did not finish in time");
            }
        }
        () = signals.told_to_stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

fn refused(args: &ServeArgs, refusal: &Refusal) -> String {
    let found: Vec<String> = refusal.diagnostics.iter().map(ToString::to_string).collect();
    format!(
        "the rules cannot be served: {}\n\n{}\n\nmend them and check with `rubor check`, or name another folder with `--rules DIR`",
        args.source(),
        found.join("\n")
    )
}

/// A server that is running.
pub struct Running {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    gate: Arc<Gate>,
    health: HealthReporter,
    journal: Option<Arc<Journal>>,
    spans: Spans,
    ready: watch::Sender<bool>,
    stop_accepting: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    helpers: Vec<JoinHandle<()>>,
    pause: Duration,
    timeout: Duration,
}

/// Starts serving; when this returns, calls are answered.
///
/// # Errors
/// An address that cannot be listened on, or a default pack that is not served.
pub async fn start(args: &ServeArgs, keeper: Arc<Keeper>) -> Result<Running, String> {
    start_on(args, keeper, Sockets::default()).await
}

/// The same on sockets that listen already, where there are any.
async fn start_on(args: &ServeArgs, keeper: Arc<Keeper>, sockets: Sockets) -> Result<Running, String> {
    args.check()?;
    check_default_pack(args, &keeper)?;
    let listener = listen(sockets.calls, &args.listen, "--listen").await?;
    let address = listener.local_addr().map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let mut helpers = Vec::new();
    let access = Arc::new(Access::open(&args.access)?);
    let greeting = tls::open(&args.access)?;
    check_exposure(&args.access, address, &access, greeting.is_some())?;
    let mut files = access.files();
    files.extend(greeting.iter().map(|greeting| Arc::clone(greeting) as Arc<dyn Look>));
    let metrics = Arc::new(Metrics::new(Arc::clone(&keeper)).with_credentials(files.clone()));
    let journal = Journal::open(args.keep.wanted(), Arc::clone(metrics.traffic()))?;
    if let Some(journal) = &journal {
        helpers.push(tokio::spawn(signals::at_hangup(Arc::clone(journal))?));
    }
    let gate = Arc::new(Gate::new(args.limits.room()));
    let ready = watch::Sender::new(true);
    let mut admin_address = None;
    if sockets.admin.is_some() || !args.admin.is_empty() {
        let listener = listen(sockets.admin, &args.admin, "--admin").await?;
        admin_address = listener.local_addr().ok();
        let (keeper, metrics) = (Arc::clone(&keeper), Arc::clone(&metrics));
        helpers.push(tokio::spawn(admin::serve(listener, admin::Admin { keeper, metrics, ready: ready.subscribe() })));
    }
    helpers.push(tokio::spawn(watch_rules(Arc::clone(&keeper), args.poll_interval, std::future::pending())));
    helpers.push(tokio::spawn(watch_credentials(files, args.poll_interval)));

    let health = HealthReporter::new();
    set_health(&health, ServingStatus::Serving).await;
    let patience = Patience { call: args.limits.request_timeout, stream: args.limits.max_stream_age };
    let spans = Spans::open(args.traces_to().as_deref())?;
    let guard =
        GuardLayer { gate: Arc::clone(&gate), access, patience, metrics: Arc::clone(&metrics), spans: spans.clone() };
    let incoming = connections::accept(listener, greeting, &args.limits, Arc::clone(metrics.traffic()));
    let services = Services::new(keeper, args.default_pack.clone(), metrics, Arc::clone(&gate))
        .with_stream_idle(args.limits.stream_idle_timeout)
        .with_journal(journal.clone());
    let (stop_accepting, stopped) = oneshot::channel();
    let router = router(args, &services, guard, health.clone())?;
    let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
        // An error means that nobody is left who could tell it to stop: stop.
        let _ = stopped.await;
    }));
    Ok(Running {
        address,
        admin_address,
        gate,
        health,
        journal,
        spans,
        ready,
        stop_accepting,
        serving,
        helpers,
        pause: args.drain_pause,
        timeout: args.drain_timeout,
    })
}

/// What stands around every service, the outermost first.
type Layers = Stack<
    CatchPanicLayer<fn(Panic) -> http::Response<Body>>,
    Stack<GuardLayer, Stack<GrpcWebLayer, Stack<CorsLayer, Identity>>>,
>;

fn router(
    args: &ServeArgs,
    services: &Services,
    guard: GuardLayer,
    health: HealthReporter,
) -> Result<Router<Layers>, String> {
    let LimitArgs { max_calls_per_connection, max_header_bytes, max_connection_age, .. } = args.limits;
    let LimitArgs { keepalive_interval, keepalive_timeout, .. } = args.limits;
    let health = tonic_health::server::HealthService::from_health_reporter(health);
    let router = tonic::transport::Server::builder()
        // With HTTP/2 alone, one silent connection would hold up stopping for ever.
        .accept_http1(true)
        .max_concurrent_streams(max_calls_per_connection)
        .http2_max_header_list_size(max_header_bytes)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_keepalive_interval(Some(keepalive_interval))
        .http2_keepalive_timeout(Some(keepalive_timeout))
        // With a grace beside it, streams would be cut off instead of asked to end.
        .max_connection_age(max_connection_age)
        .layer(web::cors(&args.access.cors_origin)?)
        .layer(GrpcWebLayer::new())
        .layer(guard)
        .layer(CatchPanicLayer::custom(guard::answer_panic as fn(_) -> _))
        .add_service(services.triage())
        .add_service(services.knowledge())
        .add_service(tonic_health::pb::health_server::HealthServer::new(health));
    if args.access.no_reflection {
        return Ok(router);
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let broken = |error: tonic_reflection::server::Error| format!("the descriptor set is broken: {error}");
    Ok(router
        .add_service(reflection().build_v1().map_err(broken)?)
        .add_service(reflection().build_v1alpha().map_err(broken)?))
}

/// Refuses to answer the whole network without TLS, unless the operator says that something else protects it.
fn check_exposure(args: &AccessArgs, address: SocketAddr, access: &Access, has_tls: bool) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if !has_tls && !args.allow_plaintext {
        return Err(format!(
            "--listen {address} is not loopback, and without TLS everybody on the way could read what patients say; \
             add `--tls-cert FILE --tls-key FILE`, or `--allow-plaintext` where something else protects the network, \
             such as a mesh or a proxy beside this process"
        ));
    }
    if !has_tls {
        tracing::warn!(listen = %address, "plaintext on an address that is not loopback, as --allow-plaintext says");
    }
    if !access.wants_tokens() && args.client_ca.is_none() {
        tracing::warn!(listen = %address, "everybody who can connect may call everything; see --tokens and --client-ca");
    }
    Ok(())
}

/// Looks at files of credentials again and again.
async fn watch_credentials(files: Vec<Arc<dyn Look>>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        for file in files.clone() {
            // A look that fails says so itself, and a panic is logged by its hook.
            let _ = tokio::task::spawn_blocking(move || file.look()).await;
        }
    }
}

fn check_default_pack(args: &ServeArgs, keeper: &Keeper) -> Result<(), String> {
    let snapshot = keeper.current();
    match &args.default_pack {
        Some(default) if !snapshot.packs.contains_key(default) => {
            let known: Vec<&str> = snapshot.packs.keys().map(String::as_str).collect();
            Err(format!("--default-pack: no pack `{default}`; the rules hold {}", known.join(", ")))
        }
        _ => Ok(()),
    }
}

async fn listen(passed: Option<std::net::TcpListener>, address: &str, flag: &str) -> Result<TcpListener, String> {
    if let Some(listener) = passed {
        let taken = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        return taken.map_err(|error| format!("cannot listen on the socket that was passed: {error}"));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another address with `{flag} HOST:PORT`"))
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, status).await;
    }
}

impl Running {
    /// Where gRPC is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin port is, if it is on.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Waits until it stops by itself, which it should not; says why.
    pub async fn failed(&mut self) -> String {
        match (&mut self.serving).await {
            Ok(Err(error)) => format!("the server has failed: {error}"),
            Ok(Ok(())) | Err(_) => "the server has ended by itself".into(),
        }
    }

    /// Drains and stops; false when calls were cut off because they did not finish in time.
    pub async fn stop(mut self) -> bool {
        self.ready.send_replace(false);
        set_health(&self.health, ServingStatus::NotServing).await;
        tokio::time::sleep(self.pause).await;

        self.gate.shut();
        let _ = self.stop_accepting.send(());
        // Those who watch health would otherwise hold up the end.
        for name in HEALTH_NAMES {
            self.health.clear_service_status(name).await;
        }
        let finished = tokio::time::timeout(self.timeout, &mut self.serving).await.is_ok();
        if !finished {
            self.gate.cut_off();
            let _ = tokio::time::timeout(LAST_WORD, &mut self.serving).await;
        }
        self.serving.abort();
        if let Some(journal) = self.journal.take() {
            let _ = tokio::task::spawn_blocking(move || journal.finish()).await;
        }
        let spans = self.spans.clone();
        let _ = tokio::task::spawn_blocking(move || spans.finish()).await;
        for helper in &self.helpers {
            helper.abort();
        }
        finished
    }
}
