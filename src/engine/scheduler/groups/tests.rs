//! Turns.

use super::round::Round;

type Test = Round<&'static str, ()>;

fn enter(round: &mut Test, key: &'static str, now: u64) {
    round.enter(&key, now);
    round.set_ready(&key, true);
}

#[test]
fn the_one_that_was_served_least_recently_is_next() {
    let mut round = Test::default();
    enter(&mut round, "b", 1);
    enter(&mut round, "a", 2);
    let mut order = Vec::new();
    for now in 3..7 {
        let next = *round.next().unwrap();
        round.serve(&next, now);
        order.push(next);
    }
    assert_eq!(order, ["b", "a", "b", "a"]);
    // One that cannot be served is passed over and keeps its turn.
    round.set_ready(&"b", false);
    assert_eq!(round.next(), Some(&"a"));
    round.set_ready(&"b", true);
    assert_eq!(round.next(), Some(&"b"));
}

#[test]
fn a_new_one_goes_before_the_one_that_was_served_last_and_behind_the_others() {
    let mut round = Test::default();
    for (now, key) in ["a", "b"].into_iter().enumerate() {
        enter(&mut round, key, now as u64);
    }
    round.serve(&"b", 2);
    round.serve(&"a", 3);
    enter(&mut round, "new", 4);
    let mut order = Vec::new();
    for now in 5..8 {
        let next = *round.next().unwrap();
        round.serve(&next, now);
        order.push(next);
    }
    assert_eq!(order, ["b", "new", "a"]);
}

#[test]
fn a_stream_of_new_ones_starves_nobody() {
    let mut round: Round<u64, ()> = Round::default();
    round.enter(&0, 0);
    round.set_ready(&0, true);
    round.serve(&0, 1);
    let mut served = 0;
    for n in 1..2000 {
        round.enter(&n, 2 * n);
        round.set_ready(&n, true);
        let next = *round.next().unwrap();
        served += u64::from(next == 0);
        round.serve(&next, 2 * n + 1);
        if next > 0 {
            round.leave(&next);
        }
    }
    // As many come as are served, so more and more take turns with it.
    assert!(served > 30, "served {served} times of 1999");
}
