//! Listens, serves and stops cleanly.
//!
//! Owns sockets, the order of starting and the order of stopping. What is answered is `grpc`'s, what is served is
//! `store`'s. Stopping: say unhealthy, pause so that balancers notice, stop accepting, finish what is in flight, and
//! give up on it after a time.

mod admin;
mod signals;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::ServeArgs;
use crate::grpc::guard::{self, Gate, GuardLayer};
use crate::grpc::proto;
use crate::grpc::service::Services;
use crate::observe::logs;
use crate::observe::metrics::Metrics;
use crate::store::Refusal;
use crate::store::keeper::Keeper;
use crate::store::watch::watch as watch_rules;

/// The names that health is asked by; the empty one is the server as a whole.
const HEALTH_NAMES: [&str; 3] = ["", "rubor.v1.TriageService", "rubor.v1.KnowledgeService"];
/// Calls on one connection.
const STREAMS_PER_CONNECTION: u32 = 256;
/// How often an idle connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until told to stop, and stops cleanly.
///
/// # Errors
/// What kept it from starting, in words that say what to do.
pub fn serve(args: &ServeArgs) -> Result<(), String> {
    logs::start(args.log_format, args.log);
    logs::quiet_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
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

async fn serve_until_told(args: &ServeArgs, keeper: Arc<Keeper>) -> Result<(), String> {
    let mut signals = signals::Signals::new()?;
    let mut running = start(args, keeper).await?;
    let admin = running.admin_address().map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(listen = %running.address(), %admin, "serving");
    tokio::select! {
        () = signals.told_to_stop() => {}
        error = running.failed() => return Err(error),
    }
    tracing::info!("stopping; a second signal ends at once");
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
    check_default_pack(args, &keeper)?;
    let listener = bind(&args.listen, "--listen").await?;
    let address = listener.local_addr().map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let metrics = Arc::new(Metrics::new(Arc::clone(&keeper)));
    let gate = Arc::new(Gate::new(usize::try_from(args.max_in_flight).unwrap_or(usize::MAX)));
    let ready = watch::Sender::new(true);

    let mut helpers = Vec::new();
    let mut admin_address = None;
    if !args.admin.is_empty() {
        let listener = bind(&args.admin, "--admin").await?;
        admin_address = listener.local_addr().ok();
        let admin =
            admin::Admin { keeper: Arc::clone(&keeper), metrics: Arc::clone(&metrics), ready: ready.subscribe() };
        helpers.push(tokio::spawn(admin::serve(listener, admin)));
    }
    helpers.push(tokio::spawn(watch_rules(Arc::clone(&keeper), args.poll_interval, std::future::pending())));

    let health = HealthReporter::new();
    set_health(&health, ServingStatus::Serving).await;
    let layer = GuardLayer::new(Arc::clone(&gate), Arc::clone(&metrics));
    let services = Services::new(keeper, args.default_pack.clone(), metrics, Arc::clone(&gate));
    let (stop_accepting, stopped) = oneshot::channel();
    let serving = tokio::spawn(transport(&services, layer, health.clone(), listener, stopped)?);
    Ok(Running {
        address,
        admin_address,
        gate,
        health,
        ready,
        stop_accepting,
        serving,
        helpers,
        pause: args.drain_pause,
        timeout: args.drain_timeout,
    })
}

fn transport(
    services: &Services,
    guard: GuardLayer,
    health: HealthReporter,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
) -> Result<impl Future<Output = Result<(), tonic::transport::Error>> + Send + use<>, String> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let broken = |error: tonic_reflection::server::Error| format!("the descriptor set is broken: {error}");
    let health = tonic_health::server::HealthService::from_health_reporter(health);
    let router = tonic::transport::Server::builder()
        // With HTTP/2 alone, one silent connection would hold up stopping for ever.
        .accept_http1(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(guard)
        .layer(CatchPanicLayer::custom(guard::answer_panic as fn(_) -> _))
        .add_service(services.triage())
        .add_service(services.knowledge())
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection().build_v1().map_err(broken)?)
        .add_service(reflection().build_v1alpha().map_err(broken)?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE));
    Ok(router.serve_with_incoming_shutdown(incoming, async {
        // An error means that nobody is left who could tell it to stop: stop.
        let _ = stopped.await;
    }))
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

async fn bind(address: &str, flag: &str) -> Result<TcpListener, String> {
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
        self.serving.abort();
        for helper in &self.helpers {
            helper.abort();
        }
        finished
    }
}

/// Asks a server at `HOST:PORT` whether it serves; false when it does not, or does not say so within some seconds.
#[must_use]
pub fn healthcheck(address: &str) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
    runtime.block_on(is_serving(address))
}

async fn is_serving(address: &str) -> bool {
    use tonic_health::pb::health_check_response::ServingStatus as Reported;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    let ask = async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).ok()?;
        let mut client = HealthClient::new(endpoint.connect().await.ok()?);
        let answer = client.check(HealthCheckRequest { service: String::new() }).await.ok()?;
        Some(answer.into_inner().status() == Reported::Serving)
    };
    tokio::time::timeout(Duration::from_secs(3), ask).await.ok().flatten().unwrap_or(false)
}
