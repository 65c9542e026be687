//! Is a composite alarm's rule true?
//!
//! `ALARM("a") AND (OK(b) OR NOT INSUFFICIENT_DATA('c'))`, with TRUE and FALSE.

use super::state::State;

/// Rules are short; a longer or deeper one is refused.
const TOKENS_MAX: usize = 2_000;
const DEPTH_MAX: u32 = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
}

/// What the rule says, given the state of each alarm; an error names what is wrong with it.
pub(crate) fn holds(rule: &str, state_of: &dyn Fn(&str) -> Option<State>) -> Result<bool, String> {
    let tokens = tokens(rule)?;
    let mut reader = Reader {
        tokens: &tokens,
        place: 0,
        state_of,
    };
    let value = reader.any_of(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(token) => Err(format!("unexpected {token:?} at the end of the alarm rule")),
    }
}

fn tokens(rule: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = rule.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '"' | '\'' => tokens.push(Token::Quoted(
                letters
                    .by_ref()
                    .take_while(|next| *next != letter)
                    .collect(),
            )),
            space if space.is_whitespace() => {}
            other => {
                let mut word = String::from(other);
                while let Some(next) =
                    letters.next_if(|next| !next.is_whitespace() && !"()\"'".contains(*next))
                {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
        if tokens.len() > TOKENS_MAX {
            return Err("the alarm rule is too long".to_owned());
        }
    }
    Ok(tokens)
}

struct Reader<'a> {
    tokens: &'a [Token],
    place: usize,
    state_of: &'a dyn Fn(&str) -> Option<State>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.place)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.place += 1;
        token
    }

    fn word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        self.place += usize::from(found);
        found
    }

    fn any_of(&mut self, depth: u32) -> Result<bool, String> {
        let mut value = self.all_of(depth)?;
        while self.word("OR") {
            value |= self.all_of(depth)?;
        }
        Ok(value)
    }

    fn all_of(&mut self, depth: u32) -> Result<bool, String> {
        let mut value = self.one(depth)?;
        while self.word("AND") {
            value &= self.one(depth)?;
        }
        Ok(value)
    }

    fn one(&mut self, depth: u32) -> Result<bool, String> {
        if depth > DEPTH_MAX {
            return Err("the alarm rule is nested too deep".to_owned());
        }
        if self.word("NOT") {
            return Ok(!self.one(depth + 1)?);
        }
        match self.next() {
            Some(Token::Open) => {
                let value = self.any_of(depth + 1)?;
                self.close()?;
                Ok(value)
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("TRUE") => Ok(true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("FALSE") => Ok(false),
            Some(Token::Word(word)) => {
                let state = State::parse(word)
                    .ok_or_else(|| format!("unknown function {word} in the alarm rule"))?;
                self.names(state)
            }
            _ => Err("the alarm rule ends too early".to_owned()),
        }
    }

    /// `("name")` after the name of a state.
    fn names(&mut self, state: State) -> Result<bool, String> {
        let (Some(Token::Open), Some(Token::Word(name) | Token::Quoted(name))) =
            (self.next(), self.next())
        else {
            return Err(format!(
                "{} must be followed by an alarm's name in parentheses",
                state.as_str()
            ));
        };
        self.close()?;
        let name = name.rsplit(":alarm:").next().unwrap_or(name);
        Ok((self.state_of)(name) == Some(state))
    }

    fn close(&mut self) -> Result<(), String> {
        match self.next() {
            Some(Token::Close) => Ok(()),
            _ => Err("a parenthesis is missing in the alarm rule".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(rule: &str) -> Result<bool, String> {
        holds(rule, &|name| match name {
            "burning" => Some(State::Alarm),
            "fine" => Some(State::Ok),
            _ => None,
        })
    }

    #[test]
    fn rules_are_evaluated() {
        assert_eq!(eval("ALARM(burning)"), Ok(true));
        assert_eq!(
            eval("ALARM(\"fine\") OR (OK('fine') AND NOT ALARM(fine))"),
            Ok(true)
        );
        assert_eq!(eval("TRUE AND INSUFFICIENT_DATA(unknown)"), Ok(false));
        assert_eq!(
            eval("ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:burning)"),
            Ok(true)
        );
    }

    #[test]
    fn broken_rules_are_refused() {
        for rule in ["", "ALARM", "ALARM(burning", "MAYBE(x)", "TRUE TRUE", "NOT"] {
            assert!(eval(rule).is_err(), "{rule}");
        }
        assert!(eval(&"(".repeat(1_000)).is_err());
        assert!(eval(&"NOT ".repeat(1_999)).is_err());
    }
}
