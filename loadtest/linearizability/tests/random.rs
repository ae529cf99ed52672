//! Random histories: those of a real object are accepted, and what is said of others agrees with trying every order.
//!
//! `LINEARIZABILITY_SEED` repeats a run, which every failure names.

use linearizability::tag::{Input, Output, Tag, When};
use linearizability::{Model, Operation, Outcome, STEPS_MAX, Verdict, check};

/// Xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

fn seed() -> u64 {
    let said = std::env::var("LINEARIZABILITY_SEED").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| u64::from(now.subsec_nanos()) | 1)
    })
}

fn any_input(random: &mut Random, targets: u64) -> Input {
    let target = |random: &mut Random| random.below(targets).to_string().into();
    let when = match random.below(8) {
        0 => Some(When::Is(target(random))),
        1 => Some(When::Absent),
        2 => Some(When::Exists),
        3 => Some(When::IsNot(target(random))),
        _ => None,
    };
    match random.below(10) {
        0..4 => Input::Read,
        4..8 => Input::Push {
            to: target(random),
            when,
            key: (random.below(4) == 0).then(|| random.below(targets - 1).to_string().into()),
        },
        8 => Input::Delete { when },
        _ => Input::DeleteManifest {
            target: target(random),
        },
    }
}

/// Every output that any operation may have that names one of these.
fn outputs(targets: &[&str]) -> Vec<Output> {
    let mut outputs = vec![
        Output::Done,
        Output::Absent,
        Output::Refused { current: None },
    ];
    outputs.extend(targets.iter().map(|target| Output::Is {
        target: (*target).into(),
        version: None,
    }));
    outputs.extend(targets.iter().map(|target| Output::Refused {
        current: Some((*target).into()),
    }));
    outputs
}

/// Inputs with calls, returns and the moment between them at which each has its effect, on one tag: what it answers.
fn run(random: &mut Random, operations: usize, targets: u64) -> Vec<Operation<Input, Output>> {
    let inputs: Vec<Input> = (0..operations)
        .map(|_| any_input(random, targets))
        .collect();
    let unknown = |input: &Input| Operation {
        client: String::new(),
        input: input.clone(),
        called: 0,
        outcome: Outcome::Unknown,
    };
    let model = Tag::of(&inputs.iter().map(unknown).collect::<Vec<_>>());
    let mut state = model.initial();
    let mut history = Vec::new();
    for (index, input) in inputs.into_iter().enumerate() {
        let effect = 1000 + 100 * index as u64;
        let called = effect - random.below(400);
        let returned = effect + random.below(400);
        let dies = random.below(8) == 0;
        let outcome = if dies {
            if random.below(2) == 0 {
                state = model.apply(&state, &input, None).unwrap_or(state);
            }
            Outcome::Unknown
        } else {
            let current = state.to_string();
            let answers = outputs(&[&current]).into_iter();
            let possible: Vec<(Output, _)> = answers
                .filter_map(|output| {
                    let after = model.apply(&state, &input, Some(&output))?;
                    Some((output, after))
                })
                .collect();
            let (output, after) = possible[random.below(possible.len() as u64) as usize].clone();
            state = after;
            Outcome::Known { output, returned }
        };
        history.push(Operation {
            client: format!("c{index}"),
            input,
            called,
            outcome,
        });
    }
    history
}

/// Tries every order, by the definition: an operation may be next if no other that is left returned before it was called.
fn brute_force<M: Model>(
    model: &M,
    state: &M::State,
    left: &[&Operation<M::Input, M::Output>],
) -> bool {
    let returned = |operation: &Operation<M::Input, M::Output>| match operation.outcome {
        Outcome::Known { returned, .. } => returned,
        Outcome::Unknown => u64::MAX,
    };
    if left.iter().all(|operation| returned(operation) == u64::MAX) {
        return true;
    }
    let first_return = left.iter().map(|operation| returned(operation)).min();
    (0..left.len()).any(|index| {
        let operation = left[index];
        if Some(operation.called) > first_return {
            return false;
        }
        let output = match &operation.outcome {
            Outcome::Known { output, .. } => Some(output),
            Outcome::Unknown => None,
        };
        let mut rest = left.to_vec();
        rest.remove(index);
        model
            .apply(state, &operation.input, output)
            .is_some_and(|state| brute_force(model, &state, &rest))
    })
}

fn is_accepted(history: &[Operation<Input, Output>], seed: u64) -> bool {
    match check(&Tag::of(history), history, STEPS_MAX) {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Undecided { .. } => panic!("undecided, seed {seed}"),
    }
}

#[test]
fn what_a_real_tag_answers_is_accepted() {
    let seed = seed();
    let mut random = Random(seed);
    for _ in 0..2_000 {
        let operations = 1 + random.below(60) as usize;
        let history = run(&mut random, operations, 3);
        assert!(is_accepted(&history, seed), "seed {seed}: {history:#?}");
    }
}

#[test]
fn checker_agrees_with_trying_every_order_when_one_answer_is_another() {
    let seed = seed();
    let mut random = Random(seed);
    let (mut accepted, mut rejected) = (0, 0);
    for _ in 0..6_000 {
        let operations = 2 + random.below(6) as usize;
        let mut history = run(&mut random, operations, 3);
        let index = random.below(history.len() as u64) as usize;
        if let Outcome::Known { output, .. } = &mut history[index].outcome {
            let others = outputs(&["0", "1", "2"]);
            *output = others[random.below(others.len() as u64) as usize].clone();
        }
        let model = Tag::of(&history);
        let all: Vec<&Operation<Input, Output>> = history.iter().collect();
        let expected = brute_force(&model, &model.initial(), &all);
        let said = is_accepted(&history, seed);
        assert_eq!(said, expected, "seed {seed}: {history:#?}");
        match said {
            true => accepted += 1,
            false => rejected += 1,
        }
    }
    assert!(
        accepted > 500 && rejected > 500,
        "{accepted} and {rejected}, seed {seed}"
    );
}

#[test]
fn long_history_with_many_unknown_outcomes_is_decided() {
    let mut random = Random(7);
    let history = run(&mut random, 1_500, 1 << 40);
    let unknown = history
        .iter()
        .filter(|operation| matches!(operation.outcome, Outcome::Unknown));
    assert!(unknown.count() > 100);
    assert!(is_accepted(&history, 7));
}
