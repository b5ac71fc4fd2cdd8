//! Which rules a request is evaluated on: its pack, its pin, or the defaults.
//!
//! Owns the choice. Each request takes one pack here, once, and keeps it to its end, whatever is published meanwhile.

use std::sync::Arc;

use super::status::Problem;
use crate::engine::submission::Violation;
use crate::store::LoadedPack;
use crate::store::keeper::Keeper;

/// Chooses the rules for a request that names `pack` and pins `digest`; either may be empty.
///
/// # Errors
/// An unknown pack, a pin that is not held, or no pack named where there are several.
pub fn rules(keeper: &Keeper, default: Option<&str>, pack: &str, digest: &str) -> Result<Arc<LoadedPack>, Problem> {
    let snapshot = keeper.current();
    let known = || snapshot.packs.keys().cloned().collect::<Vec<_>>();
    let name = if pack.is_empty() { default.unwrap_or_default() } else { pack };
    let current = if name.is_empty() {
        let mut packs = snapshot.packs.values();
        match (packs.next(), packs.next()) {
            (Some(only), None) => Some(only),
            (None, _) => return Err(Problem::NoRules),
            (Some(_), Some(_)) => return Err(unnamed(&known())),
        }
    } else {
        snapshot.packs.get(name)
    };
    if digest.is_empty() {
        return current.cloned().ok_or_else(|| Problem::UnknownPack { known: known() });
    }
    // A pack that was removed by a reload is still held for interviews that began on it.
    let name = current.map_or(name, |pack| pack.id.as_str());
    let digest = digest.to_ascii_lowercase();
    if let Some(current) = current.filter(|pack| pack.digest == digest) {
        return Ok(Arc::clone(current));
    }
    if let Some(held) = keeper.held(name, &digest) {
        return Ok(held);
    }
    match current {
        Some(pack) => Err(Problem::NotHeld { held: keeper.held_digests(&pack.id) }),
        None => Err(Problem::UnknownPack { known: known() }),
    }
}

fn unnamed(known: &[String]) -> Problem {
    let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let reason = format!("several packs are served; name one of {known}");
    Problem::Invalid(vec![Violation { field: "pack".into(), reason }])
}
