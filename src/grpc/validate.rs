//! Rule files in a request -> whether they would be accepted, and what would change.
//!
//! Owns what such a request may name, and the order of the steps. Whether rules are good is decided by the door that
//! every rule set goes through, in `store`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::convert::rule_set;
use super::proto;
use super::proto::validate_rules_response::Result as Verdict;
use super::report::diagnostic;
use super::status::Problem;
use super::{cases, limits};
use crate::engine::case::Case;
use crate::engine::source::SourceFile;
use crate::engine::submission::Violation;
use crate::store::read::path_fault;
use crate::store::{self, LoadedPack, Refusal, Snapshot};

/// Most diagnostics in an answer. A pack of many megabytes may have more mistakes than anybody reads.
const DIAGNOSTICS: usize = 1000;

/// A request that makes sense.
pub(super) struct Trial {
    files: Vec<SourceFile>,
    /// The served pack to compare with, where one is named.
    named: Option<Arc<LoadedPack>>,
    served: Arc<Snapshot>,
}

/// Reads a request; `served` is what the impact is told against.
///
/// # Errors
/// Everything that is over a limit, else every path that cannot be, else a pack that is not served.
pub(super) fn read(request: proto::ValidateRulesRequest, served: Arc<Snapshot>) -> Result<Trial, Problem> {
    limits::check_rules(&request)?;
    let proto::ValidateRulesRequest { files, pack } = request;
    let violations = faults(&files);
    if !violations.is_empty() {
        return Err(Problem::Invalid(violations));
    }
    let named = match pack.as_str() {
        "" => None,
        name => match served.packs.get(name) {
            Some(pack) => Some(Arc::clone(pack)),
            None => return Err(Problem::UnknownPack { known: served.packs.keys().cloned().collect() }),
        },
    };
    let files = files.into_iter().map(|proto::RuleFile { path, content }| SourceFile { path, text: content }).collect();
    Ok(Trial { files, named, served })
}

/// Everything that is wrong with the names of the files. A name is never repeated.
fn faults(files: &[proto::RuleFile]) -> Vec<Violation> {
    let violation = |field: String, reason: &str| Violation { field, reason: reason.to_owned() };
    if files.is_empty() {
        return vec![violation("files".to_owned(), "required; send every file of the pack")];
    }
    let folders: BTreeSet<&str> = files.iter().flat_map(|file| folders(&file.path)).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let path = file.path.as_str();
        let fault = path_fault(path)
            .or_else(|| (!seen.insert(path)).then_some("a path that is here before; send each file once"))
            .or_else(|| folders.contains(path).then_some("a folder of another file; no file can have its name"));
        found.extend(fault.map(|reason| violation(format!("files[{at}].path"), reason)));
    }
    let is_header = |name: &str| name == "pack.yaml" || name == "pack.yml";
    let below = |path: &str| path.split_once('/').is_some_and(|(_, name)| is_header(name));
    if found.is_empty()
        && !files.iter().any(|file| is_header(&file.path))
        && let Some(at) = files.iter().position(|file| below(&file.path))
    {
        let reason = "a pack's header in a folder; leave the name of the pack's folder out of every path";
        found.push(violation(format!("files[{at}].path"), reason));
    }
    found
}

/// `a` and `a/b` for `a/b/c.yaml`.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Tries the files out, as long as somebody waits for it.
///
/// # Errors
/// Nobody waits for it any more.
pub(super) fn verdict(trial: Trial, is_wanted: impl Fn() -> bool) -> Result<proto::ValidateRulesResponse, Problem> {
    let Trial { files, named, served } = trial;
    let verdict = match store::try_out(files) {
        Ok(pack) => {
            let named = named.or_else(|| served.packs.get(&pack.id).cloned());
            Verdict::Accepted(accepted(&pack, named.as_deref(), is_wanted)?)
        }
        Err(refusal) => Verdict::Refused(refused(&refusal)),
    };
    Ok(proto::ValidateRulesResponse { result: Some(verdict) })
}

fn accepted(
    pack: &LoadedPack,
    served: Option<&LoadedPack>,
    is_wanted: impl Fn() -> bool,
) -> Result<proto::AcceptedRules, Problem> {
    let all: Vec<&Case> = pack.cases.iter().collect();
    let (results, figures) = cases::results(pack, &all, is_wanted)?;
    Ok(proto::AcceptedRules {
        digest: pack.digest.clone(),
        rule_set: Some(rule_set(pack)),
        warnings: pack.warnings.iter().map(diagnostic).collect(),
        cases: results,
        figures: Some(figures),
        impact: served.map(|served| cases::impact(served, pack)),
    })
}

fn refused(refusal: &Refusal) -> proto::RefusedRules {
    let Refusal { digest, diagnostics } = refusal;
    let left_out = diagnostics.len().saturating_sub(DIAGNOSTICS);
    proto::RefusedRules {
        digest: digest.clone(),
        diagnostics: diagnostics.iter().take(DIAGNOSTICS).map(diagnostic).collect(),
        since: None,
        more_diagnostics: u32::try_from(left_out).unwrap_or(u32::MAX),
    }
}
