//! Two packs side by side: the sore throat of `examples/`, written without a line of Rust, beside the red spots.

#![allow(clippy::disallowed_methods, reason = "the test copies the packs that it serves")]

mod grpc_support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use grpc_support::{absent, args, connect, observed, present, request};
use rubor::grpc::proto;
use rubor::grpc::proto::knowledge_service_client::KnowledgeServiceClient;
use rubor::grpc::proto::observation::Value;
use rubor::grpc::proto::triage_service_client::TriageServiceClient;
use rubor::server;
use rubor::store::RuleSource;
use rubor::store::keeper::Keeper;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn yaml_lines(folder: &Path) -> usize {
    let mut lines = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            lines += yaml_lines(&path);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            lines += std::fs::read_to_string(&path).expect("read").lines().count();
        }
    }
    lines
}

#[test]
fn the_sore_throat_takes_fewer_than_150_lines() {
    let lines = yaml_lines(&root().join("examples/sore-throat"));
    assert!((50..150).contains(&lines), "{lines} lines");
}

/// A clinician's request about a sore throat with a complete score.
fn sore_throat(age: f64, signs: &[&str]) -> proto::EvaluateRequest {
    let told = |finding: &&str| if signs.contains(finding) { present(finding) } else { absent(finding) };
    let mut observations: Vec<_> = ["exudate", "nodes", "cough"].iter().map(told).collect();
    let degrees = if signs.contains(&"fever") { 38.4 } else { 36.9 };
    let temperature = proto::Quantity { value: degrees, unit: "Cel".into() };
    observations.push(observed("temperature", Value::Quantity(temperature)));
    proto::EvaluateRequest {
        pack: "sore-throat".into(),
        patient: Some(proto::Patient { age_years: Some(age), ..Default::default() }),
        reporter: proto::Reporter::Clinician.into(),
        ..request(observations)
    }
}

#[tokio::test]
async fn a_sore_throat_is_served_beside_red_spots() {
    let rules = tempfile::tempdir().expect("a folder");
    copy(&root().join("rules/red-spots"), &rules.path().join("red-spots"));
    copy(&root().join("examples/sore-throat"), &rules.path().join("sore-throat"));
    let keeper = Arc::new(Keeper::open(RuleSource::Folder(rules.path().to_owned())).unwrap_or_else(|refusal| {
        panic!("{}", refusal.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }));
    let running = server::start(&args(), Arc::clone(&keeper)).await.expect("starts");
    let channel = connect(running.address()).await;

    let listed = KnowledgeServiceClient::new(channel.clone())
        .list_packs(proto::ListPacksRequest::default())
        .await
        .expect("listed")
        .into_inner();
    let ids: Vec<String> = listed.packs.into_iter().filter_map(|pack| pack.rule_set).map(|rules| rules.pack).collect();
    assert_eq!(ids, ["red-spots", "sore-throat"]);

    let mut triage = TriageServiceClient::new(channel);
    let mut ask = async |request| triage.evaluate(request).await.expect("answered").into_inner();
    // Every score that the four signs and the age can make, with the urgency that McIsaac's management gives it.
    let all = ["fever", "exudate", "nodes", "cough"];
    for (age, one_for_age) in [(30.0, 0_i32), (8.0, 1), (60.0, -1)] {
        for chosen in 0..16_u32 {
            let signs: Vec<&str> =
                all.iter().enumerate().filter(|(place, _)| chosen & (1 << place) != 0).map(|(_, sign)| *sign).collect();
            let told = signs.iter().filter(|sign| **sign != "cough").count() + usize::from(!signs.contains(&"cough"));
            let points = (i32::try_from(told).expect("few") + one_for_age).clamp(0, 4);
            let answer = ask(sore_throat(age, &signs)).await;
            let expected = match points {
                0 | 1 => proto::Urgency::SelfCare,
                2 | 3 => proto::Urgency::Routine,
                _ => proto::Urgency::Prompt,
            };
            assert_eq!(answer.urgency(), expected, "{points} points at {age}: {signs:?}");
            if points >= 3 {
                let first = &answer.differentials[0];
                let rule = format!("strep_throat.score_{points}");
                let counted = first
                    .contributions
                    .iter()
                    .any(|reason| reason.rule_id == rule && reason.counting() == proto::Counting::Counted);
                assert!(counted, "{points} points at {age}: {:?}", first.contributions);
                // The shares are those that were published: 37 % with three points, 55 % with four.
                let share = if points == 3 { 0.37 } else { 0.55 };
                assert!((first.share - share).abs() < 0.01, "{} with {points} points", first.share);
            }
        }
    }
    let spots = proto::EvaluateRequest {
        pack: "red-spots".into(),
        ..request(vec![present("fever"), present("non_blanching")])
    };
    assert_eq!(ask(spots).await.urgency(), proto::Urgency::Emergency);
    running.stop().await;
}
