//! Visitors of the stack, and the account of their views.

use std::ops::RangeInclusive;

use crate::nodes::connect;
use crate::stack::Stack;
use crate::visitors::{Client, Http1, Visits};

/// How many visitors come at a time.
pub const VISITORS: usize = 32;

impl Stack {
    /// Lets visitors come to the `living` nodes while `meanwhile` runs. Accounts for every view.
    pub fn visited(&self, living: &[u8], meanwhile: impl FnOnce(&Visits)) -> Visits {
        self.visited_beside(living, |visits| {
            meanwhile(visits);
            0..=0
        })
    }

    /// The same. `meanwhile` returns how many views of others were counted.
    pub fn visited_beside(
        &self,
        living: &[u8],
        meanwhile: impl FnOnce(&Visits) -> RangeInclusive<i64>,
    ) -> Visits {
        let before = self.counted(living[0]);
        let open = |visitor: usize| {
            let stream = connect(living[visitor % living.len()])?;
            Ok(Box::new(Http1::new(stream)) as Box<dyn Client>)
        };
        let mut others = 0..=0;
        let visits = Visits::over(VISITORS, open, |visits| others = meanwhile(visits));
        let (took, gap) = visits.longest();
        println!(
            "{} failed; the longest wait was {took:.1?}, and for {gap:.1?} nobody got a number",
            visits.failures().len()
        );
        visits.add_up(self.counted(living[0]) - before, others);
        visits
    }
}
