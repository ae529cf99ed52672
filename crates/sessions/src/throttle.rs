//! The arithmetic of failed logins from one address: a pure function of time and of what was told.
//!
//! The script `redis/begin_login.lua` and `redis/end_login.lua` do the same in Redis; the suite of the port holds them
//! together. Failures are counted per account from this address, and for the address; never for an account alone.

use std::collections::HashMap;
use std::time::Duration;

use ports::shared_counts::{ATTEMPT_MAX, ATTEMPTS_UNDER_WAY_MAX};
use ports::{AccountMark, LoginAttempt, ThrottlePolicy};

/// How long those wait who have to wait for attempts that are under way.
pub const SOON: Duration = Duration::from_secs(1);

/// What is remembered of one address.
#[derive(Debug, Default)]
pub struct AddressFailures {
    /// When its window began, in milliseconds of whoever asks; 0 when it has no failures.
    began: u64,
    /// How many failures there were in the window.
    count: u32,
    accounts: HashMap<AccountMark, AccountFailures>,
    /// By nonce: for which account, and until when the attempt counts as under way.
    under_way: HashMap<u128, (AccountMark, u64)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct AccountFailures {
    count: u32,
    last: u64,
    /// Until when the account may not be tried from here.
    until: u64,
}

impl AddressFailures {
    /// See [`begin_login`](ports::SharedCounts::begin_login). `now` counts milliseconds and is never 0.
    pub fn begin(
        &mut self,
        attempt: &LoginAttempt,
        policy: &ThrottlePolicy,
        now: u64,
    ) -> Option<Duration> {
        self.forget(policy, now);
        if self.under_way.contains_key(&attempt.nonce) {
            return None;
        }
        let known = self.accounts.get(&attempt.account).copied();
        let known = known.unwrap_or_default();
        if known.until > now {
            return Some(Duration::from_millis(known.until - now));
        }
        if self.count >= policy.address_failures_max {
            let ends = self.began + millis(policy.window);
            return Some(Duration::from_millis(ends - now));
        }
        let for_this = |(account, _): &&(AccountMark, u64)| *account == attempt.account;
        let held = known.count >= policy.free_failures.max(1)
            && self.under_way.values().any(|other| for_this(&other));
        if held || self.under_way.len() >= ATTEMPTS_UNDER_WAY_MAX as usize {
            return Some(SOON);
        }
        let until = now + millis(ATTEMPT_MAX);
        self.under_way
            .insert(attempt.nonce, (attempt.account, until));
        None
    }

    /// See [`end_login`](ports::SharedCounts::end_login).
    pub fn end(
        &mut self,
        attempt: &LoginAttempt,
        succeeded: bool,
        policy: &ThrottlePolicy,
        now: u64,
    ) -> Option<Duration> {
        self.forget(policy, now);
        self.under_way.remove(&attempt.nonce)?;
        if succeeded {
            self.accounts.remove(&attempt.account);
            return None;
        }
        if self.count == 0 {
            self.began = now;
        }
        self.count += 1;
        let known = self.accounts.entry(attempt.account).or_default();
        known.count += 1;
        known.last = now;
        let wait = policy.wait_after(known.count);
        known.until = now + millis(wait);
        (!wait.is_zero()).then_some(wait)
    }

    /// What another node has found: this account may not be tried from here for so long.
    pub fn hold(&mut self, account: AccountMark, wait: Duration, now: u64) {
        let known = self.accounts.entry(account).or_default();
        known.until = known.until.max(now + millis(wait));
        known.last = now;
    }

    /// Takes an attempt back that was refused elsewhere.
    pub fn withdraw(&mut self, attempt: &LoginAttempt) {
        self.under_way.remove(&attempt.nonce);
    }

    fn forget(&mut self, policy: &ThrottlePolicy, now: u64) {
        let window = millis(policy.window);
        if self.began + window <= now {
            self.count = 0;
        }
        self.accounts
            .retain(|_, known| known.last + window > now || known.until > now);
        self.under_way.retain(|_, (_, until)| *until > now);
    }
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::RandomIds;

    const POLICY: ThrottlePolicy = ThrottlePolicy {
        free_failures: 2,
        wait_first: Duration::from_secs(1),
        wait_max: Duration::from_secs(60),
        window: Duration::from_secs(900),
        address_failures_max: 1000,
    };

    fn attempt(account: &str) -> LoginAttempt {
        LoginAttempt::new(account, [192, 0, 2, 1].into(), &RandomIds)
    }

    fn guess(failures: &mut AddressFailures, now: u64) -> bool {
        let one = attempt("alice");
        let may = failures.begin(&one, &POLICY, now).is_none();
        if may {
            failures.end(&one, false, &POLICY, now);
        }
        may
    }

    #[test]
    fn whoever_guesses_all_the_time_gets_few_guesses() {
        let mut failures = AddressFailures::default();
        let hour = 3_600_000;
        let guesses = (1..hour)
            .step_by(50)
            .filter(|now| guess(&mut failures, *now))
            .count();
        // Two free, seven while the wait doubles up to a minute, and one a minute from then on.
        assert!((60..=70).contains(&guesses), "{guesses}");
    }

    #[test]
    fn it_waits_to_the_millisecond() {
        let mut failures = AddressFailures::default();
        for now in [1, 2, 3] {
            assert!(guess(&mut failures, now));
        }
        assert!(!guess(&mut failures, 1002));
        assert!(guess(&mut failures, 1003));
        assert!(!guess(&mut failures, 3002));
        assert!(guess(&mut failures, 3003));
    }

    #[test]
    fn an_attempt_that_is_never_ended_is_forgotten() {
        let mut failures = AddressFailures::default();
        for now in [1, 2] {
            assert!(guess(&mut failures, now));
        }
        assert_eq!(failures.begin(&attempt("alice"), &POLICY, 10), None);
        assert_eq!(failures.begin(&attempt("alice"), &POLICY, 11), Some(SOON));
        let later = 10 + millis(ATTEMPT_MAX);
        assert_eq!(failures.begin(&attempt("alice"), &POLICY, later), None);
    }

    #[test]
    fn what_it_remembers_is_bounded_by_the_policy() {
        let few = ThrottlePolicy {
            address_failures_max: 10,
            ..POLICY
        };
        let mut failures = AddressFailures::default();
        for number in 0..1000 {
            let one = attempt(&format!("user{number}"));
            if failures.begin(&one, &few, 1).is_none() {
                failures.end(&one, false, &few, 1);
            }
        }
        assert_eq!(failures.accounts.len(), 10);
        assert!(failures.under_way.is_empty());
        failures.begin(&attempt("x"), &few, 1_000_000);
        assert!(failures.accounts.is_empty());
    }

    #[test]
    fn what_another_node_says_holds() {
        let mut failures = AddressFailures::default();
        let one = attempt("alice");
        failures.hold(one.account, Duration::from_secs(5), 1);
        let wait = failures.begin(&one, &POLICY, 1001);
        assert_eq!(wait, Some(Duration::from_secs(4)));
        assert_eq!(failures.begin(&one, &POLICY, 5001), None);
        failures.withdraw(&one);
        assert!(failures.under_way.is_empty());
    }
}
