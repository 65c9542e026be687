//! How does a client speak to PostgreSQL? As much of its protocol (version 3)
//! as a client without a password and without TLS needs: start, a simple query,
//! its rows, its errors. Every wait is bounded.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const VERSION: i32 = 196_608;
const USER: &str = "postgres";
/// No answer is larger: a table's rows come one message each.
const LONGEST_MESSAGE: usize = 1 << 20;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// Whether it was done is not known.
    #[error("the connection failed: {0}")]
    Lost(#[from] io::Error),
    /// It was not done.
    #[error("PostgreSQL says: {0}")]
    Refused(String),
}

pub(super) type Row = Vec<String>;

/// One connection.
#[derive(Debug)]
pub(super) struct Session<S = TcpStream> {
    stream: S,
}

impl Session {
    pub(super) fn open(address: SocketAddr, patience: Duration) -> Result<Self, QueryError> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Self::greet(stream)
    }
}

impl<S: Read + Write> Session<S> {
    fn greet(stream: S) -> Result<Self, QueryError> {
        let mut session = Self { stream };
        let mut start = VERSION.to_be_bytes().to_vec();
        for word in ["user", USER, "database", USER, ""] {
            start.extend_from_slice(word.as_bytes());
            start.push(0);
        }
        session.send(None, &start)?;
        session.answer()?;
        Ok(session)
    }

    /// The rows of the answer, each value as text; NULL is empty.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<Row>, QueryError> {
        let mut text = sql.as_bytes().to_vec();
        text.push(0);
        self.send(Some(b'Q'), &text)?;
        self.answer()
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = i32::try_from(body.len().saturating_add(4)).map_err(io::Error::other)?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        self.stream.write_all(&message)
    }

    /// Everything until the server is ready for the next query.
    fn answer(&mut self) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        let mut error = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'D' => rows.push(values(&body).ok_or_else(garbled)?),
                // A fatal error is the last thing a connection says.
                b'E' if field(&body, b'S').as_deref() != Some("ERROR") => {
                    return Err(QueryError::Refused(message_of(&body)));
                }
                b'E' => error = Some(message_of(&body)),
                b'R' if body != 0_i32.to_be_bytes() => {
                    return Err(QueryError::Refused("it asks for a password".to_owned()));
                }
                b'Z' => break,
                _ => {}
            }
        }
        error.map_or(Ok(rows), |error| Err(QueryError::Refused(error)))
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut kind = [0];
        let mut length = [0; 4];
        self.stream.read_exact(&mut kind)?;
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or_default();
        let length = length
            .checked_sub(4)
            .filter(|length| *length <= LONGEST_MESSAGE);
        let mut body = vec![0; length.ok_or_else(garbled)?];
        self.stream.read_exact(&mut body)?;
        Ok((kind.first().copied().unwrap_or_default(), body))
    }
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is garbled")
}

/// How many, and for each its length and its bytes.
fn values(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk()?;
    let mut row = Vec::new();
    for _ in 0..i16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        row.push(String::from_utf8_lossy(after.get(..length)?).into_owned());
        rest = after.get(length..)?;
    }
    Some(row)
}

/// An error's fields: a letter, a text and a zero each.
fn field(body: &[u8], letter: u8) -> Option<String> {
    let mut fields = body.split(|byte| *byte == 0);
    let found = fields.find_map(|field| field.strip_prefix(&[letter]))?;
    Some(String::from_utf8_lossy(found).into_owned())
}

fn message_of(body: &[u8]) -> String {
    field(body, b'M').unwrap_or_else(|| "no".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Says what it was given, and remembers what it was told.
    struct Server {
        says: io::Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Server {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Server {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 4).unwrap();
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn session(messages: &[Vec<u8>]) -> Session<Server> {
        Session {
            stream: Server {
                says: io::Cursor::new(messages.concat()),
                heard: Vec::new(),
            },
        }
    }

    #[test]
    fn rows_are_read_and_everything_else_is_passed_over() {
        let row = [&[0, 2, 0, 0, 0, 2], b"42".as_slice(), &[255, 255, 255, 255]].concat();
        let mut session = session(&[
            message(b'T', b"whatever"),
            message(b'D', &row),
            message(b'C', b"SELECT 1\0"),
            message(b'Z', b"I"),
        ]);
        let rows = session.query("SELECT n").unwrap();
        assert_eq!(rows, [["42".to_owned(), String::new()]]);
        assert_eq!(session.stream.heard, message(b'Q', b"SELECT n\0"));
    }

    #[test]
    fn an_error_is_what_postgresql_said() {
        let fields = b"SERROR\0C42P01\0Mrelation \"ledger\" does not exist\0\0";
        let mut failed = session(&[message(b'E', fields), message(b'Z', b"I")]);
        let error = failed.query("x").unwrap_err().to_string();
        assert_eq!(error, "PostgreSQL says: relation \"ledger\" does not exist");
        let fatal = b"SFATAL\0Mthe database system is starting up\0\0";
        let mut starting = session(&[message(b'E', fatal)]);
        let error = starting.query("x").unwrap_err();
        assert!(matches!(error, QueryError::Refused(_)), "{error}");
    }

    #[test]
    fn an_answer_cut_short_is_no_answer() {
        let mut cut = session(&[message(b'C', b"INSERT 0 1\0")]);
        assert!(matches!(cut.query("x").unwrap_err(), QueryError::Lost(_)));
        let mut garbled = session(&[message(b'D', &[0, 9, 0])]);
        assert!(matches!(
            garbled.query("x").unwrap_err(),
            QueryError::Lost(_)
        ));
        let mut absurd = session(&[vec![b'D', 0x7f, 0xff, 0xff, 0xff]]);
        assert!(matches!(
            absurd.query("x").unwrap_err(),
            QueryError::Lost(_)
        ));
    }
}
