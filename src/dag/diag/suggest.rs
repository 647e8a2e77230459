//! Did you mean: the known word nearest to an unknown one.

/// Longest word that is compared, in characters: edit distance is quadratic.
const WORD_MAX: usize = 64;
/// Most candidates that are looked at.
const CANDIDATES_MAX: usize = 2_000;

/// The candidate that differs least from `word`, if one is close: at most a third of its letters are wrong.
/// Case and the difference between `-`, `_` and nothing do not count, so `maxActiveSteps` finds `max_active_steps`.
pub(in crate::dag) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = fold(word);
    if word.is_empty() || word.len() > WORD_MAX {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().take(CANDIDATES_MAX) {
        let folded = fold(candidate);
        let allowed = word.len().max(folded.len()).div_ceil(3);
        if folded.is_empty() || folded.len() > WORD_MAX || word.len().abs_diff(folded.len()) > allowed {
            continue;
        }
        let distance = distance(&word, &folded);
        if distance <= allowed && distance < word.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    let plain = word.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
    plain.flat_map(char::to_lowercase).take(WORD_MAX + 1).collect()
}

/// Edit distance in which exchanging two neighbours is one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}
