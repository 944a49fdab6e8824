//! Jobs whose `needs` will never be met. Owns why: what is missing, what waits in a circle, and what waits for either.

use super::Pool;
use super::needs::Waiting;
use crate::record::Status;
use std::collections::BTreeMap;

/// A job that waits, and what it needs first of all that can never be.
struct Unmet {
    job: Waiting,
    id: String,
    need: String,
    why: Why,
}

/// What keeps a job waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The list does not hold what it needs.
    Missing,
    /// What it needs waits too.
    Waits,
    /// The same, in the end for this very job.
    Circle,
}

impl Pool {
    /// Nothing more will come, and of these jobs and all that they wait for none runs and none is ready: what they wait for
    /// will never be.
    pub(super) fn settle_unmet_needs(&mut self, blocked: &[Waiting]) {
        let waiting = blocked.iter().filter_map(|&(key, _)| {
            let entry = self.jobs.get(key);
            let needs = entry.job.options.as_ref().map(|options| options.needs.as_slice()).unwrap_or_default();
            let missing = needs.iter().find(|id| !self.needs.is_known(id));
            let why = if missing.is_some() { Why::Missing } else { Why::Waits };
            let open = || needs.iter().find(|id| self.needs.is_open(id));
            let need = missing.or_else(open).or(needs.first())?;
            Some(Unmet { job: (key, entry.job.number), id: entry.job.id.to_string(), need: need.to_string(), why })
        });
        let mut unmet: Vec<Unmet> = waiting.collect();
        find_circles(&mut unmet);
        for Unmet { job: (key, number), id, need, why } in unmet {
            // The first failure may have stopped the run, and with it all that wait (`--halt`).
            if self.jobs.find(key, number).is_none() {
                continue;
            }
            let why = match why {
                Why::Missing => format!("needs {need}, which is not in the list"),
                Why::Circle if need == id => "needs itself".into(),
                Why::Circle => format!("needs {need}, which waits for this job in turn"),
                Why::Waits => format!("needs {need}, which can never be begun"),
            };
            self.needs.unblocked();
            self.finish_unrun(key, Status::Skipped, &why);
        }
    }
}

/// Each job is followed to the one it needs, from there to the next, until a job is met that was seen before: on the same
/// way, and then the way back to it is a circle, or on an earlier one.
fn find_circles(unmet: &mut [Unmet]) {
    let places: BTreeMap<String, usize> = unmet.iter().enumerate().map(|(at, one)| (one.id.clone(), at)).collect();
    let next: Vec<Option<usize>> =
        unmet.iter().map(|one| if one.why == Why::Missing { None } else { places.get(&one.need).copied() }).collect();
    let mut way_of = vec![usize::MAX; unmet.len()];
    for way in 0..unmet.len() {
        let mut at = Some(way);
        while let Some(here) = at.filter(|&here| way_of[here] == usize::MAX) {
            way_of[here] = way;
            at = next[here];
        }
        let mut circle = at.filter(|&met| way_of[met] == way && unmet[met].why == Why::Waits);
        while let Some(here) = circle.filter(|&here| unmet[here].why == Why::Waits) {
            unmet[here].why = Why::Circle;
            circle = next[here];
        }
    }
}
