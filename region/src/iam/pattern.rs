//! What fits a pattern with `*` and `?`? And what a policy's `${*}`, `${?}` and
//! `${$}` mean: just that character.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Just(char),
    One,
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    /// `*` and `?` are wild, and there is nothing else to it.
    pub(crate) fn wild(text: &str) -> Pattern {
        let piece = |c| match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            other => Piece::Just(other),
        };
        Pattern(text.chars().map(piece).collect())
    }

    /// As a policy writes it; none where it uses a variable, which nobody has
    /// a value for here.
    pub(crate) fn of_policy(text: &str, wild: bool) -> Option<Pattern> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (piece, length) = match c {
                '$' if rest.starts_with("${") => (escaped(rest)?, 4),
                '*' if wild => (Piece::Any, 1),
                '?' if wild => (Piece::One, 1),
                other => (Piece::Just(other), other.len_utf8()),
            };
            pieces.push(piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        Some(Pattern(pieces))
    }

    pub(crate) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // For each piece: which beginnings of the text do the pieces so far fit?
        let mut reached = vec![false; text.len() + 1];
        if let Some(nothing) = reached.first_mut() {
            *nothing = true;
        }
        for piece in &self.0 {
            let mut next = vec![false; text.len() + 1];
            let mut before = false;
            for (at, fits) in next.iter_mut().enumerate() {
                let here = reached.get(at).copied().unwrap_or(false);
                let last = at.checked_sub(1);
                let behind = last
                    .and_then(|at| reached.get(at))
                    .copied()
                    .unwrap_or(false);
                let c = last.and_then(|at| text.get(at));
                *fits = match piece {
                    Piece::Any => here || before,
                    Piece::One => behind,
                    Piece::Just(wanted) => behind && c == Some(wanted),
                };
                before = *fits;
            }
            if !next.contains(&true) {
                return false;
            }
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }
}

fn escaped(rest: &str) -> Option<Piece> {
    ['*', '?', '$']
        .into_iter()
        .find(|c| rest.starts_with(&format!("${{{c}}}")))
        .map(Piece::Just)
}
