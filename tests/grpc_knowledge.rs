//! Trying rules out, running cases and watching the status, as a client sees them: a real tonic client against a real
//! server on a loopback port.

#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve")]

mod grpc_support;

use std::time::Duration;

use grpc_support::{Rules, Served, emergency};
use rubor::grpc::proto;
use rubor::grpc::proto::validate_rules_response::Result as Verdict;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

/// Stands for what a caller sent. It must never come back in an error.
const CANARY: &str = "zq9canaryqz";
const VALIDATE: &str = "/rubor.v1.KnowledgeService/ValidateRules";

fn file(path: &str, content: &str) -> proto::RuleFile {
    proto::RuleFile { path: path.into(), content: content.into() }
}

/// The files of a pack's folder.
fn files(rules: &Rules) -> Vec<proto::RuleFile> {
    let read = |name: &str| file(name, &std::fs::read_to_string(rules.path(name)).expect("read"));
    // Not in the order of the paths: that is the server's.
    ["rules.yaml", "cases/small.yaml", "pack.yaml"].map(read).into()
}

fn edited(files: &[proto::RuleFile], path: &str, from: &str, to: &str) -> Vec<proto::RuleFile> {
    let mut files = files.to_vec();
    let file = files.iter_mut().find(|file| file.path == path).expect("a file");
    assert!(file.content.contains(from), "`{from}` is not in {path}");
    file.content = file.content.replacen(from, to, 1);
    files
}

async fn validate(served: &Served, files: Vec<proto::RuleFile>) -> Result<Verdict, Status> {
    let asked = proto::ValidateRulesRequest { files, pack: String::new() };
    let answer = served.knowledge().validate_rules(asked).await?.into_inner();
    Ok(answer.result.expect("a result"))
}

async fn accepted(served: &Served, files: Vec<proto::RuleFile>) -> proto::AcceptedRules {
    match validate(served, files).await.expect("answered") {
        Verdict::Accepted(accepted) => accepted,
        Verdict::Refused(refused) => panic!("refused: {:?}", refused.diagnostics),
    }
}

async fn refused(served: &Served, files: Vec<proto::RuleFile>) -> proto::RefusedRules {
    match validate(served, files).await.expect("answered") {
        Verdict::Refused(refused) => refused,
        Verdict::Accepted(_) => panic!("accepted"),
    }
}

async fn status(served: &Served) -> proto::GetStatusResponse {
    served.knowledge().get_status(proto::GetStatusRequest {}).await.expect("status").into_inner()
}

#[tokio::test]
async fn the_served_files_are_accepted_and_change_nothing() {
    let served = Served::start().await;
    let before = status(&served).await;
    let tried = accepted(&served, files(&served.rules)).await;
    assert_eq!(tried.digest, before.digest, "the digest that they would be served under");
    let rules = tried.rule_set.expect("rules");
    assert_eq!((rules.pack.as_str(), &rules.digest), ("small", &tried.digest));
    assert_eq!(tried.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["an_old_dome", "fever_and_spots"]);
    assert!(tried.cases.iter().all(|case| case.holds && case.failures.is_empty()));
    let answer = tried.cases[1].answer.as_ref().expect("an answer");
    assert_eq!((answer.urgency(), answer.fired_red_flags.len()), (proto::Urgency::Emergency, 1));
    assert!(tried.figures.is_some());
    let impact = tried.impact.expect("an impact");
    assert_eq!(impact.compared_with.expect("rules").digest, before.digest);
    assert_eq!((impact.case_count, impact.changes.len(), impact.unreadable.len()), (2, 0, 0));
    assert_eq!(status(&served).await, before, "trying out is no reload");
}

#[tokio::test]
async fn the_impact_names_every_case_that_moves_the_most_dangerous_first() {
    let served = Served::start().await;
    let before = status(&served).await;
    let mut changed = edited(&files(&served.rules), "rules.yaml", "    floor: emergency", "    floor: prompt");
    changed = edited(&changed, "rules.yaml", "    while_unknown: urgent\n", "");
    changed = edited(&changed, "rules.yaml", "when: dome, supports: strong", "when: dome, argues_against: strong");
    changed = edited(&changed, "cases/small.yaml", "  urgency: emergency", "  urgency_at_most: urgent");
    changed = edited(&changed, "cases/small.yaml", "  top: angioma\n  urgency: self_care", "  safety_net: true");
    let tried = accepted(&served, changed).await;
    assert_ne!(tried.digest, before.digest);
    let changes = tried.impact.expect("an impact").changes;
    let told: Vec<_> = changes.iter().map(|change| (change.case_id.as_str(), change.danger())).collect();
    assert_eq!(told[0], ("fever_and_spots", proto::Danger::LessUrgent), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    let urgency = |answer: &Option<proto::CaseAnswer>| answer.as_ref().expect("an answer").urgency();
    assert_eq!(urgency(&changes[0].before), proto::Urgency::Emergency);
    assert!(urgency(&changes[0].after) < proto::Urgency::Emergency);
    let dome = &changes[1];
    let first = |answer: &Option<proto::CaseAnswer>| answer.as_ref().expect("an answer").first_places[0].clone();
    assert_eq!(first(&dome.before).condition, "angioma");
    assert_ne!(first(&dome.before), first(&dome.after));
    assert_eq!(status(&served).await, before, "nothing is published");
    let answer = served.evaluate(emergency()).await.expect("answered");
    assert_eq!(answer.urgency(), proto::Urgency::Emergency);
}

#[tokio::test]
async fn lost_and_new_red_flags_and_cases_that_one_side_cannot_read_are_told() {
    let served = Served::start().await;
    let asks = "conditions:\n";
    let finding =
        "findings:\n  - { id: rash, name: rash, about: spots, kind: yes_no, ask: \"A rash?\" }\nconditions:\n";
    let new_case = "---\nid: a_rash\ntitle: A rash\npresent: [rash]\nexpect: { urgency_at_least: prompt }\n";
    let mut changed = files(&served.rules);
    // The findings of a pack may stand in any of its files.
    changed.push(file("more/rash.yaml", finding.trim_end_matches(asks)));
    changed = edited(&changed, "rules.yaml", "  - id: fever_with_spots_that_stay\n", "  - id: hot_and_spotted\n");
    changed = edited(&changed, "cases/small.yaml", "red_flags: [fever_with_spots_that_stay]", "safety_net: false");
    changed.iter_mut().find(|file| file.path.starts_with("cases/")).expect("cases").content.push_str(new_case);
    let impact = accepted(&served, changed).await.impact.expect("an impact");
    let change = &impact.changes[0];
    assert_eq!(change.danger(), proto::Danger::RedFlagLost);
    assert_eq!(change.red_flags_lost, ["fever_with_spots_that_stay"]);
    assert_eq!(change.red_flags_gained, ["hot_and_spotted"]);
    let unreadable = &impact.unreadable[0];
    assert_eq!((unreadable.case_id.as_str(), unreadable.side()), ("a_rash", proto::RulesSide::Served));
    assert!(!unreadable.reason.is_empty());
}

#[tokio::test]
async fn mistakes_are_refused_with_their_places_and_nothing_is_noted() {
    let served = Served::start().await;
    let before = status(&served).await;
    let good = files(&served.rules);
    let mut wrong = edited(&good, "rules.yaml", "sign: fever", "sign: fevr");
    wrong = edited(&wrong, "rules.yaml", "when: dome,", "when: domme,");
    let found = refused(&served, wrong).await;
    assert!(found.diagnostics.len() >= 2 && !found.digest.is_empty() && found.since.is_none());
    let error = found.diagnostics.iter().find(|one| one.message.contains("fevr")).expect("the error");
    let place = error.place.as_ref().expect("a place");
    assert_eq!((error.code.as_str(), error.severity()), ("R101", proto::Severity::Error));
    assert!(place.file == "rules.yaml" && place.line > 1 && place.column > 1);
    assert!(error.help.contains("fever"), "{error:?}");

    let broken = edited(&good, "rules.yaml", "    floor: emergency", "    floor: prompt");
    let broken = edited(&broken, "rules.yaml", "    while_unknown: urgent\n", "");
    let found = refused(&served, broken).await;
    let case = found.diagnostics.iter().find(|one| one.code == "R300").expect("a broken case");
    assert!(case.message.contains("fever_and_spots"), "{case:?}");
    assert_eq!(case.place.as_ref().expect("a place").file, "cases/small.yaml");

    let marked = edited(&good, "pack.yaml", "pack:", "\u{feff}pack:");
    assert_eq!(refused(&served, marked).await.diagnostics[0].code, "R001");
    let after = status(&served).await;
    assert_eq!(after, before, "neither refused nor counted");
}

/// What is refused over gRPC is what is refused from a folder, and so are the digests.
#[tokio::test]
async fn a_set_is_refused_in_the_words_of_loading() {
    let served = Served::start().await;
    let wrong = edited(&files(&served.rules), "rules.yaml", "sign: fever", "sign: fevr");
    let tried = refused(&served, wrong).await;
    served.rules.edit("rules.yaml", "sign: fever", "sign: fevr");
    let loaded = served.knowledge().reload_rules(proto::ReloadRulesRequest {}).await.expect("answered").into_inner();
    let loaded = loaded.refused.expect("refused");
    assert_eq!((&tried.digest, &tried.diagnostics), (&loaded.digest, &loaded.diagnostics));
}

#[tokio::test]
async fn hostile_yaml_is_a_diagnostic_in_bounded_time() {
    let served = Served::start().await;
    let bomb = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n";
    let deep = format!("findings: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let wide = format!("findings: [{}]", "x,".repeat(300_000));
    for (name, text) in [("bomb", bomb), ("deep", deep.as_str()), ("wide", wide.as_str()), ("tab", "\tfindings: []")] {
        let mut all = files(&served.rules);
        all.push(file("hostile.yaml", text));
        let found = timeout(Duration::from_secs(60), refused(&served, all)).await.expect("in time");
        assert!(!found.diagnostics.is_empty() && found.diagnostics.len() <= 1000, "{name}");
        let more = usize::try_from(found.more_diagnostics).expect("a count");
        assert!(more == 0 || found.diagnostics.len() == 1000, "{name}");
    }
    assert!(served.evaluate(emergency()).await.is_ok());
}

#[tokio::test]
async fn a_path_out_of_the_pack_is_a_field_violation_and_not_repeated() {
    let served = Served::start().await;
    let wrong = [
        "".to_owned(),
        format!("/{CANARY}/pack.yaml"),
        format!("../{CANARY}.yaml"),
        format!("cases/../../{CANARY}.yaml"),
        format!("./{CANARY}.yaml"),
        format!("a//{CANARY}.yaml"),
        format!("..\\{CANARY}.yaml"),
        format!("C:\\{CANARY}.yaml"),
        format!("file:///etc/{CANARY}.yaml"),
        format!(".{CANARY}.yaml"),
        format!("..data/{CANARY}.yaml"),
        format!("{CANARY}.yaml\0.md"),
        format!("{CANARY}.md"),
        format!("{CANARY}/"),
        "pack.yaml".to_owned(),
        "cases".to_owned(),
    ];
    let mut all = files(&served.rules);
    let good = all.len();
    all.extend(wrong.iter().map(|path| file(path, CANARY)));
    let status = validate(&served, all).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let told = status.get_details_bad_request().expect("a BadRequest").field_violations;
    let fields: Vec<&str> = told.iter().map(|violation| violation.field.as_str()).collect();
    let expected: Vec<String> = (good..good + wrong.len()).map(|at| format!("files[{at}].path")).collect();
    assert_eq!(fields, expected);
    let all = format!("{status:?}{}", String::from_utf8_lossy(status.details()));
    assert!(!all.contains(CANARY), "{all}");

    let status = validate(&served, Vec::new()).await.expect_err("no files");
    assert_eq!(status.get_details_bad_request().expect("a BadRequest").field_violations[0].field, "files");
    let mut below = files(&served.rules);
    below.iter_mut().for_each(|file| file.path = format!("small/{}", file.path));
    let status = validate(&served, below).await.expect_err("a folder too many");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("leave the name of the pack's folder out"), "{}", status.message());
}

#[tokio::test]
async fn the_limits_of_loading_hold_for_a_request() {
    let served = Served::start().await;
    let mib = 1024 * 1024;
    let comment = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    let with = |more: Vec<proto::RuleFile>| [files(&served.rules), more].concat();
    let numbered = |count: usize| (0..count).map(|at| file(&format!("more/{at}.yaml"), "")).collect::<Vec<_>>();
    for (name, field, over) in [
        ("files", "files", with(numbered(4094))),
        ("a file", "files[3].content", with(vec![file("large.yaml", &comment(mib + 1))])),
        ("folders", "files[3].path", with(vec![file("1/2/3/4/5/6/7/8/9/deep.yaml", "")])),
        ("a path", "files[3].path", with(vec![file(&format!("{}.yaml", "x".repeat(1020)), "")])),
    ] {
        let status = validate(&served, over).await.expect_err(name);
        assert_eq!(status.code(), Code::ResourceExhausted, "{name}: {status:?}");
        let quota = status.get_details_quota_failure().expect("a QuotaFailure");
        assert_eq!(quota.violations[0].subject, field, "{name}");
    }
    let large = |count: usize| {
        (0..count).map(|at| file(&format!("large/{at}.yaml"), &comment(mib))).collect::<Vec<proto::RuleFile>>()
    };
    let status = validate(&served, with(large(17))).await.expect_err("over 16 MiB");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("16777216"), "{status:?}");
    // The limits themselves are accepted.
    let fits = with([large(15), numbered(4000), vec![file("1/2/3/4/5/6/7/8/deep.yaml", "")]].concat());
    accepted(&served, fits).await;
    // Other methods of the service take no such messages.
    let asked = proto::RunCasesRequest { filter: "x".repeat(5 * mib), ..Default::default() };
    let status = served.knowledge().run_cases(asked).await.expect_err("over 1 MiB");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("1048576"), "{status:?}");
}

#[tokio::test]
async fn the_pack_to_compare_with_is_served_or_not_found() {
    let served = Served::start().await;
    let asked = |pack: &str, files| proto::ValidateRulesRequest { files, pack: pack.into() };
    let status =
        served.knowledge().validate_rules(asked(CANARY, files(&served.rules))).await.expect_err("no such pack");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no such pack; this server has `small`");

    let other = edited(&files(&served.rules), "pack.yaml", "id: small", "id: other");
    let tried = accepted(&served, other.clone()).await;
    assert!(tried.impact.is_none(), "there is nothing to compare with");
    let answer = served.knowledge().validate_rules(asked("small", other)).await.expect("answered").into_inner();
    let Some(Verdict::Accepted(tried)) = answer.result else { panic!("refused") };
    assert_eq!(tried.rule_set.expect("rules").pack, "other");
    assert_eq!(tried.impact.expect("an impact").compared_with.expect("rules").pack, "small");
}

#[tokio::test]
async fn one_set_is_tried_out_at_a_time_and_requests_are_answered_meanwhile() {
    let served = Served::start().await;
    // A caller who has begun to send, and does not go on.
    let sending = tokio::spawn({
        let channel = served.channel.clone();
        async move {
            let mut client = tonic::client::Grpc::new(channel);
            // Again where one of the whole requests below was there first.
            loop {
                client.ready().await.expect("ready");
                let codec = tonic_prost::ProstCodec::default();
                let nothing = tokio_stream::pending::<proto::ValidateRulesRequest>();
                let path = VALIDATE.parse().expect("a path");
                let ended: Result<tonic::Response<proto::ValidateRulesResponse>, _> =
                    client.client_streaming(tonic::Request::new(nothing), path, codec).await;
                assert_eq!(ended.expect_err("refused").code(), Code::ResourceExhausted);
            }
        }
    });
    let good = files(&served.rules);
    let started = Instant::now();
    let status = loop {
        match validate(&served, good.clone()).await {
            Err(status) => break status,
            Ok(_) => assert!(started.elapsed() < Duration::from_secs(10), "never refused"),
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(served.evaluate(emergency()).await.is_ok());
    sending.abort();
    while validate(&served, good.clone()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "the place was never given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_deadline_ends_a_trial_and_gives_the_place_back() {
    let served = Served::start().await;
    let many: String = (0..6000)
        .map(|at| format!("---\nid: case_{at}\ntitle: A case\npresent: [dome, years]\nexpect: {{ top: angioma }}\n"))
        .collect();
    let all = [files(&served.rules), vec![file("cases/many.yaml", &many)]].concat();
    let mut asked = tonic::Request::new(proto::ValidateRulesRequest { files: all, pack: String::new() });
    asked.metadata_mut().insert("grpc-timeout", "100m".parse().expect("metadata"));
    let status = served.knowledge().validate_rules(asked).await.expect_err("too late");
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
    let started = Instant::now();
    loop {
        match validate(&served, files(&served.rules)).await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the place was never given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The small pack with cases that say what is true.
async fn with_truth() -> Served {
    let served = Served::start().await;
    let cases = "---
id: dome_of_a_child
title: Taken for something else
present: [dome, years]
absent: [stays]
none_of_these: [danger]
expect: { urgency_at_most: self_care }
truth: { condition: low_platelets, urgency: urgent }
---
id: dome_of_an_adult
title: A dome
article_rows: [A10, A2]
present: [dome, years]
absent: [stays]
none_of_these: [danger]
expect: { top: angioma }
truth: { condition: angioma, urgency: self_care }
";
    let all = std::fs::read_to_string(served.rules.path("cases/small.yaml")).expect("read") + cases;
    served.rules.write("cases/small.yaml", &all);
    served.knowledge().reload_rules(proto::ReloadRulesRequest {}).await.expect("reloaded");
    assert_eq!(served.keeper.current().packs["small"].cases.len(), 4);
    served
}

#[tokio::test]
async fn cases_are_run_and_counted() {
    let served = with_truth().await;
    let answer = served.knowledge().run_cases(proto::RunCasesRequest::default()).await.expect("run").into_inner();
    assert_eq!(answer.rule_set.expect("rules").digest, served.keeper.current().digest);
    assert_eq!((answer.cases.len(), answer.failed), (4, 0));
    let case = &answer.cases[0];
    assert_eq!((case.id.as_str(), case.title.as_str(), case.holds), ("an_old_dome", "A dome for years", true));
    let place = case.place.as_ref().expect("a place");
    assert_eq!((place.file.as_str(), place.line), ("cases/small.yaml", 1));
    let first = &case.answer.as_ref().expect("an answer").first_places[0];
    assert_eq!((first.group.as_str(), first.condition.as_str()), ("", "angioma"));

    let figures = answer.figures.expect("figures");
    let names: Vec<&str> = figures.sets.iter().map(|set| set.set.as_str()).collect();
    assert_eq!(names, ["all", "worked on", "held out", "full", "held out, full", "sparse"]);
    let all = &figures.sets[0];
    assert_eq!((all.cases, all.answered, all.m1), (2, 2, 1));
    assert_eq!((all.triaged, all.triage_exact, all.safe_strict, all.safe_loose), (2, 1, 1, 1));
    assert_eq!((all.dangerous, all.hazardous, all.benign, all.alarmed), (1, 1, 1, 0));
    assert!((all.hazardous_upper_bound - 1.0).abs() < 1e-9);
    assert_eq!((all.red_flags_expected, all.red_flags_fired), (1, 1));
    let wrong = all.wrong.as_ref().expect("wrong cases");
    assert_eq!(
        (wrong.not_first.as_slice(), wrong.under.as_slice()),
        (["dome_of_a_child".to_owned()].as_slice(), ["dome_of_a_child".to_owned()].as_slice())
    );
    assert_eq!(all.triage.len(), 5);
    let urgent = &all.triage[3];
    assert_eq!((urgent.expected(), urgent.under, urgent.over), (proto::Urgency::Urgent, 1, 0));
    assert_eq!(urgent.advised, [1, 0, 0, 0, 0]);
    assert_eq!(all.reliability.iter().map(|bin| bin.cases).sum::<u32>(), 2);
    assert!(all.reliability.iter().all(|bin| bin.from < bin.to && (bin.cases == 0) == (bin.mean_share == 0.0)));
    assert_eq!((figures.sets[2].cases, figures.sets[2].set.as_str()), (0, "held out"));
    let coverage = figures.coverage.expect("coverage");
    assert_eq!((coverage.red_flag_count, coverage.rule_count), (2, 6));
    assert_eq!(coverage.silent_red_flags, ["confusion"]);
    assert_eq!(figures.article_rows.iter().map(|row| row.row.as_str()).collect::<Vec<_>>(), ["A2", "A10"]);
}

#[tokio::test]
async fn cases_are_chosen_by_pack_digest_and_filter() {
    let served = with_truth().await;
    let mut knowledge = served.knowledge();
    let asked = |filter: &str| proto::RunCasesRequest { filter: filter.into(), ..Default::default() };
    let answer = knowledge.run_cases(asked("dome_of")).await.expect("run").into_inner();
    assert_eq!(answer.cases.len(), 2);
    assert_eq!(answer.figures.expect("figures").coverage.expect("coverage").silent_red_flags.len(), 2);

    let status = knowledge.run_cases(asked(CANARY)).await.expect_err("fits none");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_details_bad_request().expect("a BadRequest").field_violations[0].field, "filter");
    assert!(!format!("{status:?}").contains(CANARY));
    let status = knowledge.run_cases(asked(&"x".repeat(257))).await.expect_err("too long");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let unknown = proto::RunCasesRequest { pack: "other".into(), ..Default::default() };
    assert_eq!(knowledge.run_cases(unknown).await.expect_err("no such pack").code(), Code::NotFound);

    let held = served.keeper.held_digests("small");
    let pinned = proto::RunCasesRequest { expected_digest: held[1].clone(), ..Default::default() };
    let answer = knowledge.run_cases(pinned).await.expect("held").into_inner();
    assert_eq!((answer.rule_set.expect("rules").digest, answer.cases.len()), (held[1].clone(), 2));
    let gone = proto::RunCasesRequest { expected_digest: "ab".repeat(32), ..Default::default() };
    assert_eq!(knowledge.run_cases(gone).await.expect_err("not held").code(), Code::FailedPrecondition);
}

async fn next(watching: &mut Streaming<proto::WatchStatusResponse>) -> proto::GetStatusResponse {
    let told = timeout(Duration::from_secs(5), watching.next()).await.expect("in time").expect("a message");
    told.expect("the stream goes on").status.expect("a status")
}

#[tokio::test]
async fn the_status_is_told_at_once_and_at_every_change() {
    // No poll comes between: only what is asked for changes anything.
    let served = Served::start_with(|args| args.poll_interval = Duration::from_secs(3600)).await;
    let mut watching =
        served.knowledge().watch_status(proto::WatchStatusRequest {}).await.expect("opened").into_inner();
    let first = next(&mut watching).await;
    assert_eq!(first, status(&served).await);
    assert!(timeout(Duration::from_millis(300), watching.next()).await.is_err(), "nothing changes, nothing is told");

    let keeper = std::sync::Arc::clone(&served.keeper);
    let reload = || {
        let keeper = std::sync::Arc::clone(&keeper);
        tokio::task::spawn_blocking(move || keeper.try_reload(true))
    };
    served.rules.edit("rules.yaml", "sign: fever", "sign: fevr");
    reload().await.expect("no panic");
    let refused = next(&mut watching).await;
    assert_eq!(refused.digest, first.digest);
    assert!(refused.refused.is_some_and(|refused| !refused.diagnostics.is_empty()));

    served.rules.edit("rules.yaml", "sign: fevr", "sign: fever # again");
    let published = loop {
        reload().await.expect("no panic");
        let told = next(&mut watching).await;
        if told.refused.is_none() {
            break told;
        }
    };
    assert_ne!(published.digest, first.digest);
    assert_eq!(published.reloads_published, 1);

    reload().await.expect("no panic");
    // The folder is watched for events too, so more than one look may have found the served set.
    let mut latest = next(&mut watching).await;
    while latest.reloads_unchanged == 0 {
        latest = next(&mut watching).await;
    }
    assert_eq!((latest.digest, latest.refused), (published.digest, None));
}

#[tokio::test]
async fn a_slow_watcher_gets_the_latest() {
    let served = Served::start().await;
    let mut watching =
        served.knowledge().watch_status(proto::WatchStatusRequest {}).await.expect("opened").into_inner();
    for _ in 0..300 {
        let keeper = std::sync::Arc::clone(&served.keeper);
        tokio::task::spawn_blocking(move || keeper.try_reload(true)).await.expect("no panic");
    }
    let mut count = 0;
    loop {
        count += 1;
        if next(&mut watching).await.reloads_unchanged == 300 {
            break;
        }
    }
    assert!(count <= 301, "{count} messages");
}

#[tokio::test]
async fn watching_ends_at_the_drain_and_at_the_deadline() {
    let served = Served::start_with(|args| args.drain_pause = Duration::from_millis(50)).await;
    let mut asked = tonic::Request::new(proto::WatchStatusRequest {});
    asked.metadata_mut().insert("grpc-timeout", "300m".parse().expect("metadata"));
    let mut short = served.knowledge().watch_status(asked).await.expect("opened").into_inner();
    next(&mut short).await;
    let end = timeout(Duration::from_secs(2), short.next()).await.expect("in time").expect("an end");
    assert_eq!(end.expect_err("too late").code(), Code::DeadlineExceeded);

    let mut watching =
        served.knowledge().watch_status(proto::WatchStatusRequest {}).await.expect("opened").into_inner();
    next(&mut watching).await;
    let started = Instant::now();
    let stopping = tokio::spawn(served.running.stop());
    let end = timeout(Duration::from_secs(4), watching.next()).await.expect("in time").expect("an end");
    assert_eq!(end.expect_err("draining").code(), Code::Unavailable);
    assert!(stopping.await.expect("no panic"), "nothing had to be cut off");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn so_many_may_watch_and_places_come_back() {
    let served = Served::start_with(|args| args.limits.max_in_flight = 1000).await;
    let mut knowledge = served.knowledge();
    let mut watching = Vec::new();
    for _ in 0..64 {
        watching.push(knowledge.watch_status(proto::WatchStatusRequest {}).await.expect("opened").into_inner());
    }
    let status = knowledge.watch_status(proto::WatchStatusRequest {}).await.expect_err("one too many");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(served.evaluate(emergency()).await.is_ok());
    drop(watching);
    let started = Instant::now();
    while knowledge.watch_status(proto::WatchStatusRequest {}).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "no place was given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, metrics) = served.admin("/metrics").await;
    let counted = r#"rubor_rpc_requests_total{method="rubor.v1.KnowledgeService/WatchStatus",code="CANCELLED"}"#;
    assert!(metrics.contains(counted), "{metrics}");
}
