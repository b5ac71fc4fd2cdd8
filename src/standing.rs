//! Which worked case each condition wins, and which near-miss it loses: what a reviewer reads first.
//!
//! Owns that choice. How right a pack is over all cases is `accuracy`'s business.

use crate::engine::answer::{Answer, Differential};
use crate::engine::case::{self, Case, Truth};
use crate::engine::plan::Plan;

/// One condition among the cases that say what is true.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The condition's id.
    pub condition: String,
    /// Cases in which it, or a part of it, is what is true.
    pub right: usize,
    /// Of those, cases in which it is first.
    pub won: usize,
    /// The case that it wins with the largest share.
    pub wins: Option<Won>,
    /// The case in which it comes nearest to being first although something else is true and first.
    pub loses: Option<Lost>,
}

/// A case that the condition wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Won {
    /// The case's id.
    pub case: String,
    /// The condition's share, from 0 to 1.
    pub share: f64,
}

/// A case that the condition loses, as it should.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// The case's id.
    pub case: String,
    /// The condition's share, from 0 to 1.
    pub share: f64,
    /// What is first, and right.
    pub to: String,
}

/// Every condition in the pack's order; cases without a truth are passed over.
#[must_use]
pub fn by_condition<'a>(
    plan: &Plan,
    results: impl IntoIterator<Item = (&'a Case, &'a Answer)> + Clone,
) -> Vec<Standing> {
    let conditions = plan.conditions.iter();
    conditions
        .map(|condition| {
            let mut standing = Standing { condition: condition.id.clone(), ..Standing::default() };
            for (case, answer) in results.clone() {
                if let Some(truth) = &case.truth {
                    standing.add(plan, case, truth, answer);
                }
            }
            standing
        })
        .collect()
}

impl Standing {
    fn add(&mut self, plan: &Plan, case: &Case, truth: &Truth, answer: &Answer) {
        let own = |id: &str| case::satisfies(plan, id, &self.condition);
        let also = || std::iter::once(&truth.condition).chain(&truth.also_right);
        let right = own(&truth.condition);
        self.right += usize::from(right);
        let place = answer.differentials.iter().filter(|item| own(&item.condition.id)).max_by(|a, b| nearer(a, b));
        let Some(place) = place else { return };
        if right && place.rank == 1 {
            self.won += 1;
            if self.wins.as_ref().is_none_or(|best| place.share > best.share) {
                self.wins = Some(Won { case: case.id.clone(), share: place.share });
            }
        }
        let first = answer.differentials.iter().find(|item| item.group == place.group && item.rank == 1);
        let Some(first) = first else { return };
        let deserved = also().any(|wanted| case::satisfies(plan, &first.condition.id, wanted));
        let related = |id: &String| own(id) || case::satisfies(plan, &self.condition, id);
        if place.rank > 1
            && deserved
            && !also().any(related)
            && self.loses.as_ref().is_none_or(|best| place.share > best.share)
        {
            self.loses = Some(Lost { case: case.id.clone(), share: place.share, to: first.condition.id.clone() });
        }
    }
}

/// The better rank, then the larger share.
fn nearer(a: &Differential, b: &Differential) -> std::cmp::Ordering {
    b.rank.cmp(&a.rank).then(a.share.total_cmp(&b.share))
}
