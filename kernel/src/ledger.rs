//! The W/L ledger: the system's currency. Connects that succeed are wins, those that time out are losses.

/// Points that a win adds and a loss takes away.
pub const STAKE: i64 = 10;

/// One process's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, defmt::Format)]
pub struct Ledger {
    wins: u32,
    losses: u32,
}

impl Ledger {
    /// An account without wins and losses.
    pub const EMPTY: Ledger = Ledger { wins: 0, losses: 0 };

    /// Counts a connect that succeeded.
    pub fn win(&mut self) {
        self.wins = self.wins.saturating_add(1);
    }

    /// Counts a connect that timed out.
    pub fn lose(&mut self) {
        self.losses = self.losses.saturating_add(1);
    }

    /// Connects that succeeded.
    pub fn wins(&self) -> u32 {
        self.wins
    }

    /// Connects that timed out.
    pub fn losses(&self) -> u32 {
        self.losses
    }

    /// [`STAKE`] for each win, minus [`STAKE`] for each loss.
    pub fn balance(&self) -> i64 {
        (i64::from(self.wins) - i64::from(self.losses)) * STAKE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wins_and_losses_are_counted_apart_and_balanced_by_the_stake() {
        let mut ledger = Ledger::EMPTY;
        for _ in 0..5 {
            ledger.win();
        }
        for _ in 0..2 {
            ledger.lose();
        }
        assert_eq!((ledger.wins(), ledger.losses(), ledger.balance()), (5, 2, 30));
        for _ in 0..4 {
            ledger.lose();
        }
        assert_eq!((ledger.wins(), ledger.losses(), ledger.balance()), (5, 6, -10));
    }
}
