//! What fits a pattern with `*` and `?`? And what a policy's `${*}`, `${?}` and
//! `${$}` mean: just that character.

use std::str::Chars;

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

    /// A star takes as little as it can, and one character more each time what
    /// follows it does not fit.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let (mut pieces, mut rest) = (self.0.as_slice(), text.chars());
        let mut star: Option<(&[Piece], Chars<'_>)> = None;
        loop {
            let mut behind = rest.clone();
            match (pieces.split_first(), behind.next()) {
                (None, None) => return true,
                (Some((Piece::Any, after)), _) => {
                    star = Some((after, rest.clone()));
                    pieces = after;
                }
                (Some((piece, after)), Some(c)) if piece.is(c) => {
                    (pieces, rest) = (after, behind);
                }
                _ => {
                    let Some((after, from)) = &mut star else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    (pieces, rest) = (*after, from.clone());
                }
            }
        }
    }
}

impl Piece {
    fn is(self, c: char) -> bool {
        match self {
            Self::Just(wanted) => wanted == c,
            Self::One | Self::Any => true,
        }
    }
}

fn escaped(rest: &str) -> Option<Piece> {
    ['*', '?', '$']
        .into_iter()
        .find(|c| rest.starts_with(&format!("${{{c}}}")))
        .map(Piece::Just)
}
