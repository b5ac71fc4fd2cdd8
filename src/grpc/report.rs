//! What operators ask, as protobuf: which rules are served, and why a newer set is not.
//!
//! Owns the projection of the keeper's status. The status RPC, the reload RPC and the admin port's `/status` all take
//! it from here, so that they cannot tell different stories.

use std::sync::Arc;
use std::time::SystemTime;

use super::convert::rule_set;
use super::proto;
use crate::engine::diagnostic::{Diagnostic, Severity};
use crate::engine::source::Place;
use crate::store::Snapshot;
use crate::store::keeper::{Attempt, AttemptResult, Keeper, Refused, ReloadOutcome, Status};

/// The status at this moment.
#[must_use]
pub fn status(keeper: &Keeper) -> proto::GetStatusResponse {
    let (snapshot, status) = together(keeper);
    let Status {
        source,
        serving_digest,
        serving_since,
        held,
        last_attempt: Attempt { at, result },
        last_success,
        refused,
        reloads_published,
        reloads_refused,
        reloads_unchanged,
    } = status;
    let packs = snapshot.packs.values().map(|pack| proto::PackStatus {
        rule_set: Some(rule_set(pack)),
        held_digests: held.get(&pack.id).cloned().unwrap_or_default(),
        warnings: pack.warnings.iter().map(diagnostic).collect(),
    });
    let result = match result {
        AttemptResult::Published => proto::ReloadResult::Published,
        AttemptResult::Unchanged => proto::ReloadResult::Unchanged,
        AttemptResult::Refused => proto::ReloadResult::Refused,
    };
    proto::GetStatusResponse {
        digest: serving_digest,
        serving_since: Some(timestamp(serving_since)),
        last_attempt: Some(proto::ReloadAttempt { time: Some(timestamp(at)), result: result.into() }),
        last_success: Some(timestamp(last_success)),
        refused: refused.as_deref().map(self::refused),
        packs: packs.collect(),
        source,
        reloads_published,
        reloads_refused,
        reloads_unchanged,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// How a reload went.
#[must_use]
pub fn reload(keeper: &Keeper, outcome: ReloadOutcome) -> proto::ReloadRulesResponse {
    let (result, digest, refused) = match outcome {
        ReloadOutcome::Unchanged => (proto::ReloadResult::Unchanged, keeper.current().digest.clone(), None),
        ReloadOutcome::Published { digest } => (proto::ReloadResult::Published, digest, None),
        ReloadOutcome::Refused { digest, diagnostics } => {
            // Since when is in the book, unless the folder has been mended meanwhile.
            let book = keeper.status().refused.filter(|refused| refused.digest == digest);
            let since = book.map(|refused| timestamp(refused.at));
            let diagnostics = diagnostics.iter().map(diagnostic).collect();
            let refused = proto::RefusedRules { digest, diagnostics, since, more_diagnostics: 0 };
            (proto::ReloadResult::Refused, keeper.current().digest.clone(), Some(refused))
        }
    };
    proto::ReloadRulesResponse { result: result.into(), digest, refused }
}

/// A snapshot and the status that belongs to it; a reload may come between the two.
fn together(keeper: &Keeper) -> (Arc<Snapshot>, Status) {
    let mut status = keeper.status();
    let mut snapshot = keeper.current();
    while snapshot.digest != status.serving_digest {
        status = keeper.status();
        snapshot = keeper.current();
    }
    (snapshot, status)
}

fn refused(refused: &Refused) -> proto::RefusedRules {
    let Refused { at, digest, diagnostics } = refused;
    proto::RefusedRules {
        digest: digest.clone(),
        diagnostics: diagnostics.iter().map(diagnostic).collect(),
        since: Some(timestamp(*at)),
        more_diagnostics: 0,
    }
}

pub(super) fn diagnostic(diagnostic: &Diagnostic) -> proto::Diagnostic {
    let Diagnostic { code, severity, message, place, help, related } = diagnostic;
    let severity = match severity {
        Severity::Error => proto::Severity::Error,
        Severity::Warning => proto::Severity::Warning,
    };
    proto::Diagnostic {
        code: code.to_string(),
        severity: severity.into(),
        message: message.clone(),
        place: place.as_ref().map(self::place),
        help: help.clone().unwrap_or_default(),
        related: related
            .iter()
            .map(|(place, message)| proto::RelatedPlace { place: Some(self::place(place)), message: message.clone() })
            .collect(),
    }
}

pub(super) fn place(place: &Place) -> proto::Place {
    let Place { file, line, column, length } = place;
    proto::Place { file: file.clone(), line: *line, column: *column, length: *length }
}

fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}
